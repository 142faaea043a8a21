//! The partitions, and the servers that hold them.

use std::sync::Arc;

use super::{
    address::Address,
    connection::SentFlag,
    error::failure,
    keys::{events_key, seal_key},
    server::Server,
    servers::Servers,
    slot::slot_of,
    store::RedisStore,
};
use crate::store::StoreError;

/// A server that holds partitions, and the indexes of these among the asked ones.
pub(super) type ServerPartitions = (Result<Arc<Server>, StoreError>, Vec<usize>);

impl RedisStore {
    /// Returns the server that holds a partition by the present map of a cluster.
    pub(super) fn owner_now(&self, partition: usize) -> Option<Address> {
        match &self.servers {
            Servers::One(server) => Some(server.address.clone()),
            Servers::Cluster(cluster) => {
                let slot = slot_of(seal_key(partition as u64).as_bytes());
                cluster
                    .map()
                    .owner(slot)
                    .map(|server| server.address.clone())
            }
        }
    }

    /// Returns true when the server that holds a key by the present map of a cluster failed the last
    /// verification.
    pub(super) fn is_at_faulty_server(&self, key: &str) -> bool {
        let Servers::Cluster(cluster) = &self.servers else {
            return false;
        };
        let map = cluster.map();
        let owner = map.owner(slot_of(key.as_bytes()));
        owner.is_some_and(|server| server.is_faulty())
    }

    /// Returns the number of partitions.
    pub(super) fn partition_count(&self) -> usize {
        usize::try_from(self.settings.partitions).unwrap_or(usize::MAX)
    }

    /// Returns the partitions that a server of a cluster holds.
    pub(super) fn partitions_at(&self, server: &Server) -> Vec<usize> {
        let is_here =
            |partition: &usize| self.owner_now(*partition).as_ref() == Some(&server.address);
        (0..self.partition_count()).filter(is_here).collect()
    }

    /// Returns the partitions whose slot no server of a cluster serves.
    pub(super) fn unserved_partitions(&self) -> Vec<usize> {
        let is_unserved = |partition: &usize| self.owner_now(*partition).is_none();
        (0..self.partition_count()).filter(is_unserved).collect()
    }

    /// Groups partitions by the server that holds them; each group has the indexes of its
    /// partitions.
    pub(super) async fn by_server(
        &self,
        partitions: &[usize],
    ) -> Result<Vec<ServerPartitions>, StoreError> {
        let sent = SentFlag::default();
        let keys: Vec<String> = partitions
            .iter()
            .map(|partition| events_key(*partition as u64))
            .collect();
        let grouping = async { Ok(self.servers.group(keys.iter().map(String::as_bytes)).await) };
        let groups = self.within(&sent, grouping).await?.into_iter();
        let groups = groups.map(|(server, indexes)| {
            let server = server.map_err(|error| failure(&error, &sent));
            (server, indexes)
        });
        Ok(groups.collect())
    }

    /// Returns the server that holds a partition.
    ///
    /// # Errors
    /// [`StoreError`] when no server does.
    pub(super) async fn server_of(&self, partition: usize) -> Result<Arc<Server>, StoreError> {
        let sent = SentFlag::default();
        let key = seal_key(partition as u64);
        self.within(&sent, self.servers.holder_of(key.as_bytes()))
            .await
    }
}
