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
    address::Address, cluster_node::has_open_slot, connection::SentFlag, error::failure,
    keys::seal_key, server::Server, server_info::info, servers::Servers, store::RedisStore,
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
    is_primary: bool,
    /// It moves a slot of a cluster, or receives one.
    has_open_slot: bool,
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
                // Where no sentinel answers, the primary that is connected may.
                let _ = self.refresh_servers().await;
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
            let epoch = if server.is_faulty() {
                Err(StoreError::Unavailable(
                    "a server does not answer".to_owned(),
                ))
            } else {
                self.read_server_epoch(server).await
            };
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
            is_slot_open: epochs.values().any(|server| server.has_open_slot),
        })
    }

    /// Reads the epoch of one server.
    async fn read_server_epoch(&self, server: &Server) -> Result<ServerEpoch, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("server");
        pipeline.cmd("INFO").arg("replication");
        if self.servers.is_cluster() {
            pipeline.cmd("CLUSTER").arg("NODES");
        }
        let replies: Vec<String> = self.query_server(server, &pipeline).await?;
        let reply = |index: usize| replies.get(index).map_or("", String::as_str);
        let (server, replication, nodes) = (reply(0), reply(1), reply(2));
        let run_id = info(server, "run_id").to_owned();
        let replication_id = info(replication, "master_replid").to_owned();
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
            was_never_replica: info(replication, "master_replid2") == NO_REPLICATION_ID,
            is_primary: info(replication, "role") == "master",
            has_open_slot: has_open_slot(nodes),
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
        let keys: Vec<String> = (0..self.settings.partitions).map(seal_key).collect();
        let is_asked = |key: &String| !self.is_at_faulty_server(key);
        let asked: Vec<bool> = keys.iter().map(is_asked).collect();
        let mut pipeline = redis::pipe();
        for (key, _) in keys.iter().zip(&asked).filter(|(_, is_asked)| **is_asked) {
            pipeline.get(key);
        }
        let replies = self.query_each(&pipeline).await;
        // A store of which no part answers is not observed at all.
        if replies.iter().all(Result::is_err) {
            let problem = replies.into_iter().find_map(Result::err);
            let silent = || StoreError::Unavailable("no part of the store answers".to_owned());
            return Err(problem.unwrap_or_else(silent));
        }
        let seal = |reply: Result<Value, StoreError>| match reply {
            Ok(Value::BulkString(text)) => {
                Seal::Carried(String::from_utf8_lossy(&text).into_owned())
            }
            // An unexpected reply is no seal that a gateway wrote.
            Ok(_) => Seal::Missing,
            Err(_) => Seal::Unknown,
        };
        let mut replies = replies.into_iter().map(seal);
        let mut seals = Vec::with_capacity(asked.len());
        for is_asked in asked {
            let seal = if is_asked { replies.next() } else { None };
            seals.push(seal.unwrap_or(Seal::Unknown));
        }
        Ok(seals)
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
/// B is unchanged, and the partition carries its seal, but A does not run as a primary any more. One
/// that answers again may still take itself for one; the map leaves it out while it counts as failing.
fn has_moved(
    known: &str,
    now: &str,
    known_name: &str,
    epochs: &HashMap<Address, ServerEpoch>,
) -> bool {
    epoch::all_in(known_name).any(|known| known == now)
        && epochs
            .values()
            .any(|server| server.is_primary && server.is_still(known))
}

fn no_owner() -> StoreError {
    StoreError::Unavailable("a slot of the cluster has no server".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, is_primary: bool) -> ServerEpoch {
        let (run_id, replication_id) = name.split_once(':').unwrap();
        ServerEpoch {
            run_id: run_id.to_owned(),
            replication_id: replication_id.to_owned(),
            was_never_replica: false,
            is_primary,
            has_open_slot: false,
        }
    }

    #[test]
    fn partition_has_moved_only_from_a_primary_that_still_runs() {
        let has_moved = |from: &str, is_primary| {
            let servers = [server(from, is_primary), server("b:2", true)];
            let address = |port| Address {
                host: "h".to_owned(),
                port,
            };
            let epochs = (1..).map(address).zip(servers).collect();
            has_moved("a:1", "b:2", "a:1,b:2/0.1", &epochs)
        };
        assert!(has_moved("a:1", true));
        assert!(!has_moved("a:1", false) && !has_moved("a:3", true));
    }
}
