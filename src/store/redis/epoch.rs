//! The replication epoch, and the seal of each partition.
//!
//! The epoch of a server is `<run id>:<replication id>`: the first changes with each start of the
//! server, the second with each promotion. `commit.lua` compares both with those of the server that
//! executes it.

use std::collections::HashMap;

use futures::{
    FutureExt,
    future::{join_all, try_join_all},
};
use redis::Value;

use super::{
    address::Address, connection::SentFlag, error::failure, keys::seal_key, server::Server,
    server_info::info, servers::Servers, store::RedisStore,
};
use crate::store::{
    Expiry, StoreError,
    epoch::{self, EpochReading, Seal, Seals},
};

/// The second replication id of a server that was never a replica.
const NO_REPLICATION_ID: &str = "0000000000000000000000000000000000000000";

/// The epoch that a server reports of itself.
struct ServerEpoch {
    run_id: String,
    replication_id: String,
    /// It was never a replica since it started.
    was_never_replica: bool,
}

impl ServerEpoch {
    /// Returns true when the server is still in a known epoch. A primary gets another replication id, and
    /// no second one, with its first replica: nothing is lost. See commit.lua.
    fn is_still(&self, known: &str) -> bool {
        known.split(':').next() == Some(self.run_id.as_str())
            && (self.was_never_replica || known == self.name())
    }

    fn name(&self) -> String {
        format!("{}:{}", self.run_id, self.replication_id)
    }
}

impl RedisStore {
    /// Reads the replication epoch; returns `known` where a partition is still in it.
    pub(super) async fn read_epoch(&self, known: Option<&str>) -> Result<EpochReading, StoreError> {
        let cluster = match &self.servers {
            Servers::One(server) => {
                let now = self.read_server_epoch(server).await?;
                let name = match known {
                    Some(known) if now.is_still(known) => known.to_owned(),
                    _ => now.name(),
                };
                return Ok(name.into());
            }
            Servers::Cluster(cluster) => cluster,
        };
        self.refresh_servers().await?;
        let servers = cluster.all_primaries();
        let reading = servers.iter().map(async |server| {
            let epoch = self.read_server_epoch(server).await;
            (server.address.clone(), epoch)
        });
        let mut epochs = HashMap::new();
        let mut problem = None;
        for (address, epoch) in join_all(reading).await {
            match epoch {
                Ok(epoch) => drop(epochs.insert(address, epoch)),
                Err(error) => problem = Some(error),
            }
        }
        let known_name = known.unwrap_or_default();
        let name_now = |epoch: &ServerEpoch| {
            let known = epoch::all_in(known_name);
            let mut still = known.filter(|known| epoch.is_still(known));
            still.next().map_or_else(|| epoch.name(), ToOwned::to_owned)
        };
        let mut names = Vec::new();
        let mut moved = Vec::new();
        for partition in 0..self.partition_count() {
            let known = known.map(|known| epoch::of_partition(known, partition));
            let owner = self.owner_now(partition);
            let (now, known) = match (owner.and_then(|owner| epochs.get(&owner)), known) {
                (Some(now), known) => (name_now(now), known),
                // Claims at a server that does not answer fail. Whether it lost anything shows when
                // it answers again.
                (None, Some(known)) => (known.to_owned(), None),
                (None, None) => return Err(problem.unwrap_or_else(no_owner)),
            };
            if let Some(known) = known
                && known != now
                && has_moved(known, &now, known_name, &epochs)
            {
                moved.push((partition, known.to_owned()));
            }
            names.push(now);
        }
        // Sorted, so that every gateway gives the epoch the same name.
        let mut others: Vec<String> = epochs.values().map(name_now).collect();
        others.sort_unstable();
        Ok(EpochReading {
            name: epoch::join(&names, &others),
            moved,
        })
    }

    /// Reads the epoch of one server.
    async fn read_server_epoch(&self, server: &Server) -> Result<ServerEpoch, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("server");
        pipeline.cmd("INFO").arg("replication");
        let (server, replication): (String, String) = self.query_server(server, &pipeline).await?;
        let run_id = info(&server, "run_id").to_owned();
        let replication_id = info(&replication, "master_replid").to_owned();
        if run_id.is_empty() || replication_id.is_empty() {
            return Err(StoreError::Unsuitable(
                "INFO lacks run_id or master_replid, so a loss cannot be detected; connect to \
                 Redis or Valkey directly"
                    .to_owned(),
            ));
        }
        Ok(ServerEpoch {
            run_id,
            replication_id,
            was_never_replica: info(&replication, "master_replid2") == NO_REPLICATION_ID,
        })
    }

    /// Has the current primaries determined again.
    pub(super) async fn refresh_servers(&self) -> Result<(), StoreError> {
        let sent = SentFlag::default();
        let refreshing = async {
            self.servers
                .refresh()
                .await
                .map_err(|error| failure(&error, &sent))
        };
        let timeout = self.settings.timeout;
        let timed_out =
            |_| StoreError::Unavailable(format!("no primary was found within {timeout:?}"));
        tokio::time::timeout(timeout, refreshing)
            .await
            .map_err(timed_out)?
    }

    /// Reads the seal of each partition.
    pub(super) async fn read_seals(&self) -> Result<Seals, StoreError> {
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            pipeline.get(seal_key(partition));
        }
        let replies = self.query_each(&pipeline).await;
        // A store of which no part answers is not observed at all.
        if replies.iter().all(Result::is_err) {
            return match replies.into_iter().next() {
                Some(Err(error)) => Err(error),
                _ => Ok(Vec::new()),
            };
        }
        let seal = |reply: Result<Value, StoreError>| match reply {
            Ok(Value::BulkString(text)) => {
                Seal::Carried(String::from_utf8_lossy(&text).into_owned())
            }
            // An unexpected reply is no seal that a gateway wrote.
            Ok(_) => Seal::Missing,
            Err(_) => Seal::Unknown,
        };
        Ok(replies.into_iter().map(seal).collect())
    }

    /// Compares and sets the seal of each partition.
    pub(super) async fn set_seals(
        &self,
        from: &[Seal],
        id: &str,
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        let sealing = (0..).zip(from).filter_map(|(partition, from)| {
            let from = match from {
                Seal::Carried(seal) => Some(seal.as_str()),
                Seal::Missing => None,
                Seal::Unknown => return None,
            };
            Some(self.set_seal(partition, from, id, expiry).boxed())
        });
        let sealed = try_join_all(sealing).await.map(drop);
        // The other partitions may have been written.
        sealed.map_err(StoreError::into_indeterminate)
    }

    /// Compares and sets the seal of one partition.
    async fn set_seal(
        &self,
        partition: u64,
        from: Option<&str>,
        id: &str,
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        let mut call = self.scripts.put_note.key(seal_key(partition));
        call.arg(u8::from(from.is_some()))
            .arg(from.unwrap_or_default())
            .arg(id)
            .arg(expiry.until.as_millisecond());
        self.invoke::<Vec<Value>>(&call).await.map(drop)
    }
}

/// Returns true when a partition moved without a loss: from a server that is still in the epoch that
/// was known of the partition, to one that was known before and is in the same epoch `now`.
///
/// SUBTLE: a partition that moves from a promoted replica may lack records:
/// 1. primary A of the partition fails, and its replica A' is promoted without the last claims;
/// 2. before any gateway notices, the partition moves from A' to B.
///
/// B is unchanged, and the partition carries its seal, but A does not run as a primary any more.
fn has_moved(
    known: &str,
    now: &str,
    known_name: &str,
    epochs: &HashMap<Address, ServerEpoch>,
) -> bool {
    epoch::all_in(known_name).any(|known| known == now)
        && epochs.values().any(|server| server.is_still(known))
}

fn no_owner() -> StoreError {
    StoreError::Unavailable("a slot of the cluster has no server".to_owned())
}
