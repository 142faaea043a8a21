//! Opens a store: the only place that distinguishes the kinds of stores.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::warn;

use super::{
    contract::Store,
    error::StoreError,
    identity::{Identity, UserIdBefore, UserIdChange},
    open_mode::OpenMode,
    record::Codec,
    redb::{RedbSettings, RedbStore},
    redis::{RedisSettings, RedisStore},
    settings::StoreSettings,
};

/// A failure to open a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The embedded store does not exist, and the mode does not create one.
    #[error("store.path: there is no {}", .0.display())]
    Missing(PathBuf),
    /// The store cannot be opened.
    #[error("{setting}")]
    Failed {
        /// The setting that names the store, with a remedy if there is one.
        setting: &'static str,
        /// The failure.
        source: StoreError,
    },
}

/// A store that was opened.
#[derive(Clone)]
pub struct OpenedStore(pub(super) Backend);

#[derive(Clone)]
pub(super) enum Backend {
    Embedded(Arc<RedbStore>),
    Redis(Arc<RedisStore>),
}

impl OpenedStore {
    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        match &self.0 {
            Backend::Embedded(store) => Arc::<RedbStore>::clone(store),
            Backend::Redis(store) => Arc::<RedisStore>::clone(store),
        }
    }

    /// Returns the name of the database system, as spans show it.
    #[must_use]
    pub const fn system(&self) -> &'static str {
        match &self.0 {
            Backend::Embedded(_) => "redb",
            Backend::Redis(_) => "redis",
        }
    }

    /// Connects to the servers of a shared store, verifies without writing that a gateway of
    /// `identity` can use it, and returns what it found, one line for each fact.
    ///
    /// # Errors
    /// [`StoreError`] when a server does not answer, or the store cannot be used.
    pub async fn describe(&self, identity: &Identity) -> Result<Vec<String>, StoreError> {
        match &self.0 {
            Backend::Embedded(_) => Ok(vec!["embedded".to_owned()]),
            Backend::Redis(store) => store.describe(identity).await,
        }
    }

    /// Returns the schema of the store, as far as this process knows.
    #[must_use]
    pub fn schema(&self) -> u32 {
        self.codec().schema()
    }

    /// Returns true when what is written is encrypted.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.codec().encrypts()
    }

    /// Returns the codec of the store.
    pub(super) fn codec(&self) -> &Codec {
        match &self.0 {
            Backend::Embedded(store) => store.codec(),
            Backend::Redis(store) => store.codec(),
        }
    }

    /// Raises the store to the schema of this release, and returns the schema before. Without
    /// `is_confirmed` nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the store has no schema that this release knows.
    pub async fn upgrade_schema(&self, is_confirmed: bool) -> Result<u32, StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.upgrade_schema(is_confirmed).await,
            Backend::Redis(store) => store.upgrade_schema(is_confirmed).await,
        }
    }

    /// Changes the user id of an account, and returns what the store held before. Without
    /// `is_confirmed` nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the change is rejected.
    pub async fn change_user_id(
        &self,
        change: &UserIdChange,
        is_confirmed: bool,
    ) -> Result<UserIdBefore, StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.change_user_id(change, is_confirmed).await,
            Backend::Redis(store) => store.change_user_id(change, is_confirmed).await,
        }
    }
}

/// Opens the store of an identity in a mode.
///
/// # Errors
/// [`OpenError`] when it is missing, unreachable, or unusable: an embedded store can be open in
/// one process only.
pub async fn open(
    settings: &StoreSettings,
    identity: &Identity,
    mode: OpenMode<'_>,
) -> Result<OpenedStore, OpenError> {
    let is_of_copy = matches!(mode, OpenMode::Source | OpenMode::Target);
    let adopts_nothing = is_of_copy || matches!(mode, OpenMode::Inspect);
    let backend = match settings {
        StoreSettings::Embedded { path, settings } => {
            let store = open_embedded(path, settings.clone(), identity, mode).await?;
            Backend::Embedded(Arc::new(store))
        }
        StoreSettings::Redis(settings) => {
            let opened = open_redis(settings.clone(), identity, mode).await;
            let store = opened.map_err(failed("store.url"))?;
            Backend::Redis(Arc::new(store))
        }
    };
    let opened = OpenedStore(backend);
    if adopts_nothing {
        // A gateway finds nothing where another number of partitions puts it.
        let verified = opened.verify_partitions().await;
        verified.map_err(failed(match settings {
            StoreSettings::Embedded { .. } => "store.path",
            StoreSettings::Redis(_) => "store.url",
        }))?;
    }
    if is_of_copy {
        let learned = opened.learn_schema().await;
        learned.map_err(failed("store"))?;
    }
    Ok(opened)
}

async fn open_embedded(
    path: &Path,
    settings: RedbSettings,
    identity: &Identity,
    mode: OpenMode<'_>,
) -> Result<RedbStore, OpenError> {
    let must_exist = |must_exist| RedbSettings {
        must_exist,
        ..settings.clone()
    };
    let opened = match mode {
        OpenMode::Serve { record_loss } => {
            let restored = RedbStore::restore(path, identity, settings.clone(), record_loss).await;
            if restored.map_err(failed("store.path"))? {
                warn!(path = %path.display(), "store restored from a backup");
            }
            let opened = RedbStore::open_with(path, identity, settings.clone()).await;
            return opened.map_err(failed("store.path"));
        }
        OpenMode::Existing | OpenMode::Inspect | OpenMode::Source if !path.exists() => {
            return Err(OpenError::Missing(path.to_owned()));
        }
        OpenMode::Existing => RedbStore::open_with(path, identity, must_exist(true)).await,
        OpenMode::Inspect => RedbStore::open_read_only(path, settings.clone()).await,
        OpenMode::Source => RedbStore::open_for_copy(path, None, settings.clone()).await,
        OpenMode::Target => {
            RedbStore::open_for_copy(path, Some(identity.epoch), settings.clone()).await
        }
        OpenMode::Lost if path.exists() => {
            RedbStore::open_restored(path, identity, settings.clone()).await
        }
        OpenMode::Lost => RedbStore::open_with(path, identity, must_exist(false)).await,
    };
    opened.map_err(failed("store.path: stop the gateway first"))
}

async fn open_redis(
    settings: RedisSettings,
    identity: &Identity,
    mode: OpenMode<'_>,
) -> Result<RedisStore, StoreError> {
    match mode {
        OpenMode::Inspect | OpenMode::Source => RedisStore::connect(settings),
        OpenMode::Target => RedisStore::open_target(settings).await,
        OpenMode::Serve { .. } | OpenMode::Existing | OpenMode::Lost => {
            RedisStore::open(settings, identity).await
        }
    }
}

fn failed(setting: &'static str) -> impl FnOnce(StoreError) -> OpenError {
    move |source| OpenError::Failed { setting, source }
}
