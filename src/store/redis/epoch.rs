//! The replication epoch, and the seal of each partition.
//!
//! The epoch is `<run id>:<replication id>`: the first changes with each start of the server,
//! the second with each promotion. `commit.lua` compares both.

use futures::future::try_join_all;
use redis::Value;

use super::{keys::seal_key, server_info::info, store::RedisStore};
use crate::store::{Expiry, StoreError, epoch::Seals};

/// The second replication id of a server that was never a replica.
const NO_REPLICATION_ID: &str = "0000000000000000000000000000000000000000";

impl RedisStore {
    /// Reads the replication epoch; returns `known` if the server is still in it.
    pub(super) async fn read_epoch(&self, known: Option<&str>) -> Result<String, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("server");
        pipeline.cmd("INFO").arg("replication");
        let (server, replication): (String, String) = self.query_all(&pipeline).await?;
        let run_id = info(&server, "run_id");
        let replication_id = info(&replication, "master_replid");
        if run_id.is_empty() || replication_id.is_empty() {
            return Err(StoreError::Unsuitable(
                "INFO lacks run_id or master_replid, so a loss cannot be detected; connect to \
                 Redis or Valkey directly"
                    .to_owned(),
            ));
        }
        if let Some(known) = known
            && known.split(':').next() == Some(run_id)
            && info(&replication, "master_replid2") == NO_REPLICATION_ID
        {
            // A primary gets another replication id, and no second one, with its first
            // replica: nothing is lost. See commit.lua.
            return Ok(known.to_owned());
        }
        Ok(format!("{run_id}:{replication_id}"))
    }

    /// Reads the seal of each partition.
    pub(super) async fn read_seals(&self) -> Result<Seals, StoreError> {
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            pipeline.get(seal_key(partition));
        }
        self.query_all(&pipeline).await
    }

    /// Compares and sets the seal of each partition.
    pub(super) async fn set_seals(
        &self,
        from: &[Option<String>],
        id: &str,
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        let sealing = (0..).zip(from).map(async |(partition, from)| {
            let mut call = self.scripts.put_note.key(seal_key(partition));
            call.arg(u8::from(from.is_some()))
                .arg(from.as_deref().unwrap_or_default())
                .arg(id)
                .arg(expiry.until.as_millisecond());
            self.invoke::<Vec<Value>>(&call).await.map(drop)
        });
        let sealed = try_join_all(sealing).await.map(drop);
        // The other partitions may have been written.
        sealed.map_err(StoreError::into_indeterminate)
    }
}
