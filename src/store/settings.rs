//! The settings of a store of either kind.

use std::{path::PathBuf, sync::Arc};

use jiff::SignedDuration;

use super::{
    EncryptionKeys,
    redb::RedbSettings,
    redis::{RedisSettings, RedisTopology},
};

/// The kind and the settings of the store of transactions.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// A file that only this process has open.
    Embedded {
        /// The file.
        path: PathBuf,
        /// The options with which it is opened and used.
        settings: RedbSettings,
    },
    /// Redis.
    Redis(RedisSettings),
}

impl StoreSettings {
    /// Returns the time for which events are kept.
    #[must_use]
    pub fn event_retention(&self) -> SignedDuration {
        match self {
            Self::Embedded { settings, .. } => settings.event_retention,
            Self::Redis(settings) => settings.event_retention,
        }
    }

    /// Returns the kind and the place of the store, without credentials.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Embedded { path, .. } => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("embedded {}", path.display())
            }
            Self::Redis(settings) => match &settings.topology {
                // The same sentinels may monitor several primaries.
                RedisTopology::Sentinel { primary, .. } => {
                    format!("redis {primary} at {}", settings.addresses())
                }
                RedisTopology::Standalone | RedisTopology::Cluster => {
                    format!("redis {}", settings.addresses())
                }
            },
        }
    }

    /// Returns the settings without keys of encryption, to upgrade a store of schema 3 with. No record
    /// is read or written with them.
    #[must_use]
    pub fn without_keys(&self) -> Self {
        let mut without = self.clone();
        let keys = Arc::new(EncryptionKeys::only_decrypting(Vec::new()));
        match &mut without {
            Self::Embedded { settings, .. } => settings.keys = keys,
            Self::Redis(settings) => settings.keys = keys,
        }
        without
    }

    /// Returns the settings for a command. Its time-out for an embedded store is longer than that
    /// of a gateway, which has waiting callers.
    #[must_use]
    pub fn of_command(&self) -> Self {
        match self {
            Self::Embedded { path, settings } => Self::Embedded {
                path: path.clone(),
                settings: RedbSettings {
                    timeout: RedbSettings::default().timeout,
                    must_exist: RedbSettings::default().must_exist,
                    ..settings.clone()
                },
            },
            Self::Redis(settings) => Self::Redis(settings.clone()),
        }
    }
}
