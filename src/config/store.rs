//! The section `[store]`: where transactions are kept.

use std::{path::PathBuf, time::Duration};

use super::reader::Reader;
use crate::store::{redb::RedbSettings, redis::RedisSettings};

/// Where transactions are kept.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// In a file of this process alone.
    Embedded {
        /// The file.
        path: PathBuf,
        /// The options with which it is opened and used.
        settings: RedbSettings,
    },
    /// In Redis.
    Redis(RedisSettings),
}

pub(super) fn read_store(reader: &mut Reader, timeout: Option<Duration>) -> Option<StoreSettings> {
    match reader.text_or("store.kind", "embedded").as_str() {
        "embedded" => {
            let path = reader.read(
                "store.path",
                "okebayar-data/gateway.redb",
                |text| (!text.trim().is_empty()).then(|| text.to_owned()),
                "give a file on a disk that lasts",
            );
            let must_exist = reader.flag("store.must_exist");
            Some(StoreSettings::Embedded {
                path: path?.into(),
                settings: RedbSettings {
                    timeout: timeout?,
                    must_exist: must_exist?,
                },
            })
        }
        "redis" => {
            let url = reader.required("store.url", "give redis://host:6379 or rediss://host:6379");
            let partitions = reader.count("store.partitions", "64");
            let event_retention = reader.duration("store.event_retention", "168h");
            Some(StoreSettings::Redis(RedisSettings {
                url: url?,
                partitions: u64::try_from(partitions?).ok()?,
                timeout: timeout?,
                event_retention: event_retention?,
            }))
        }
        other => {
            reader.fault(
                "store.kind",
                format!("{other:?} is no store"),
                "give embedded or redis",
            );
            None
        }
    }
}
