//! A description of the servers, for operators.

use super::{
    connection::SentFlag, server::Server, server_info::info, store::RedisStore,
    topology::AcknowledgingReplicas,
};
use crate::store::{Identity, SCHEMA, StoreError, identity};

impl RedisStore {
    /// Connects to every server without writing, verifies that the store can be used by a gateway
    /// of `identity`, and returns what it found, one line for each fact.
    ///
    /// # Errors
    /// [`StoreError`] when a server does not answer, may evict keys, or the store belongs to
    /// another identity.
    pub async fn describe(&self, identity: &Identity) -> Result<Vec<String>, StoreError> {
        let mut lines = vec![format!("redis, {}", self.settings.topology.name())];
        for server in self.all_servers().await? {
            self.verify_policy_of(&server).await?;
            lines.push(self.describe_server(&server).await?);
        }
        lines.push(match self.settings.acknowledging {
            AcknowledgingReplicas::AtLeast(0) => {
                "claims wait for no replica: a failover can lose them \
                 (store.acknowledging_replicas)"
                    .to_owned()
            }
            AcknowledgingReplicas::AtLeast(count) => {
                format!("claims wait for {count} replicas")
            }
            AcknowledgingReplicas::All => {
                "claims wait for all known replicas; a server without one \
                 takes none"
                    .to_owned()
            }
        });
        let facts = self.read_identity().await?;
        lines.push(if facts.is_empty() {
            "no store yet: the first gateway that starts creates it".to_owned()
        } else {
            self.adoption(identity, SCHEMA).facts(&facts)?;
            let schema = facts.get(identity::SCHEMA_FACT);
            format!(
                "schema {}, {} partitions",
                schema.map_or("unknown", String::as_str),
                self.settings.partitions
            )
        });
        Ok(lines)
    }

    /// Describes one server.
    async fn describe_server(&self, server: &Server) -> Result<String, StoreError> {
        let mut ask = redis::pipe();
        for section in ["server", "replication", "persistence"] {
            ask.cmd("INFO").arg(section);
        }
        let (about, replication, persistence): (String, String, String) =
            self.query_server(server, &ask).await?;
        let role = match info(&replication, "role") {
            "master" => "primary",
            other => other,
        };
        let connected = info(&replication, "connected_slaves");
        let replicas = match self.servers.replicas_of(server).await {
            Ok(0) if self.settings.acknowledging == AcknowledgingReplicas::All => {
                "no replica is known, so it takes no claims".to_owned()
            }
            Ok(known) => format!("{connected} of {known} replicas connected"),
            Err(_) => format!("{connected} replicas connected"),
        };
        let append_only = match info(&persistence, "aof_enabled") {
            "1" => "on",
            _ => "off",
        };
        let client = self.locate(server).await?;
        Ok(format!(
            "{client}: version {}, {role}, {replicas}, append-only file {append_only}",
            info(&about, "redis_version"),
        ))
    }

    /// Returns the address of a server: that of the primary where sentinels name it.
    async fn locate(&self, server: &Server) -> Result<String, StoreError> {
        let sent = SentFlag::default();
        let client = self.within(&sent, server.connection.locate()).await?;
        Ok(client.get_connection_info().addr().to_string())
    }
}
