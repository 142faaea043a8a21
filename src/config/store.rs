//! The section `[store]`: the kind of store and its settings.

use std::time::Duration;

use super::reader::Reader;
use crate::store::{StoreSettings, redb::RedbSettings, redis::RedisSettings};

/// Reads the settings of the store; `timeout` is `store.timeout`.
pub(super) fn read_store(reader: &mut Reader, timeout: Option<Duration>) -> Option<StoreSettings> {
    match reader.text_or("store.kind", "embedded").as_str() {
        "embedded" => {
            let path = reader.read(
                "store.path",
                "okebayar-data/gateway.redb",
                |text| (!text.trim().is_empty()).then(|| text.to_owned()),
                "use a file on a persistent disk",
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
            let url = reader.required("store.url", "use redis://host:6379 or rediss://host:6379");
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
                format!("unknown store {other:?}"),
                "use embedded or redis",
            );
            None
        }
    }
}
