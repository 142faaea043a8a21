//! Health checks of the servers, and the number of subscribers.

use std::time::Duration;

use futures::{FutureExt, future::join_all};
use jiff::Timestamp;
use redis::Value;

use super::{
    connection::SentFlag,
    identity::IDENTITY_KEY,
    server::Server,
    server_info::info,
    servers::Servers,
    store::RedisStore,
    subscription::{READER_CHANNEL, WAKE_CHANNEL},
};
use crate::store::{PartFault, StoreError};

/// The key that a verification writes which is not that of a gateway.
const VERIFY_KEY: &str = "okb:verify";
/// The lifetime of what a verification writes, such as the presence of a gateway: longer than two
/// verifications and their time-outs.
const VERIFY_KEPT: Duration = Duration::from_secs(20);
/// The longest verification of one server of a cluster: one that hangs leaves time for the others
/// within [`crate::failover::VERIFY_TIMEOUT`].
const SERVER_VERIFY_MAX: Duration = Duration::from_millis(2500);

impl RedisStore {
    /// Verifies that no server evicts a key.
    pub(super) async fn verify_policy(&self) -> Result<(), StoreError> {
        for server in self.all_servers().await? {
            self.verify_policy_of(&server).await?;
        }
        Ok(())
    }

    /// Verifies that one server never evicts a key.
    pub(super) async fn verify_policy_of(&self, server: &Server) -> Result<(), StoreError> {
        let mut ask = redis::pipe();
        ask.cmd("INFO").arg("memory");
        let (memory,): (String,) = self.query_server(server, &ask).await?;
        match info(&memory, "maxmemory_policy") {
            "noeviction" => Ok(()),
            policy => Err(StoreError::Unsuitable(format!(
                "Redis has maxmemory-policy {policy:?}, so it may evict records; set \
                 maxmemory-policy noeviction"
            ))),
        }
    }

    /// Verifies the policy, the identity, and that each server accepts writes. Returns the servers
    /// of a cluster that fail while others answer.
    pub(super) async fn verify_all(&self) -> Result<Vec<PartFault>, StoreError> {
        if let Servers::One(server) = &self.servers {
            // Where no sentinel answers, the primary that is connected may.
            let _ = self.refresh_servers().await;
            self.verify_policy_of(server).await?;
            self.restore_identity().await?;
            let key = self.presence_key();
            let key = key.unwrap_or_else(|| VERIFY_KEY.to_owned());
            return self.verify_write(key).await.map(|()| Vec::new());
        }
        self.refresh_servers().await?;
        let servers = self.all_servers().await?;
        let verifying = servers.iter().map(|server| self.verify_server(server));
        let mut faults: Vec<PartFault> = Vec::new();
        for (server, verified) in servers.iter().zip(join_all(verifying).await) {
            server.set_faulty(verified.as_ref().is_err_and(StoreError::is_transient));
            match verified {
                Ok(()) => {}
                Err(error) if error.is_transient() => faults.push(PartFault {
                    server: server.address.to_string(),
                    partitions: self.partitions_at(server),
                    problem: error.to_string(),
                }),
                Err(error) => return Err(error),
            }
        }
        let unserved = self.unserved_partitions();
        if !unserved.is_empty() {
            faults.push(PartFault {
                server: "no server".to_owned(),
                partitions: unserved,
                problem: "the cluster serves no slot of these partitions".to_owned(),
            });
        }
        if faults.len() < servers.len() {
            // Boxed: the compiler does not resolve the nested futures otherwise.
            let restored = match self.verify_identity().boxed().await {
                Ok(()) => self.verify_presence().await,
                failed => failed,
            };
            match restored {
                // Its server is among those that fail.
                Err(error) if error.is_transient() && !faults.is_empty() => {}
                restored => restored?,
            }
            return Ok(faults);
        }
        let problem = faults.into_iter().next().map(|fault| fault.problem);
        Err(StoreError::Unavailable(problem.unwrap_or_default()))
    }

    /// Verifies the identity, unless its server is known to fail.
    async fn verify_identity(&self) -> Result<(), StoreError> {
        if self.is_at_faulty_server(IDENTITY_KEY) {
            return Ok(());
        }
        self.restore_identity().await
    }

    /// Writes the presence of this gateway, unless its server is known to fail.
    async fn verify_presence(&self) -> Result<(), StoreError> {
        match self.presence_key() {
            Some(key) if !self.is_at_faulty_server(&key) => self.verify_write(key).await,
            _ => Ok(()),
        }
    }

    /// Verifies one server of a cluster.
    async fn verify_server(&self, server: &Server) -> Result<(), StoreError> {
        let verifying = async {
            self.verify_policy_of(server).await?;
            match self.partitions_at(server).first() {
                Some(partition) => {
                    self.verify_write(format!("okb:{{{partition}}}:verify"))
                        .await
                }
                None => Ok(()),
            }
        };
        let timeout = self.settings.timeout.min(SERVER_VERIFY_MAX);
        let verified = tokio::time::timeout(timeout, verifying).await;
        verified.unwrap_or_else(|_| {
            let problem = format!("no answer to the verification within {timeout:?}");
            Err(StoreError::Indeterminate(problem))
        })
    }

    /// Verifies that the server of a key accepts writes: only a write detects a read-only replica, a
    /// full disk or memory, or too few replicas.
    async fn verify_write(&self, key: String) -> Result<(), StoreError> {
        let mut set = redis::cmd("SET");
        set.arg(key)
            .arg(1)
            .arg("PX")
            .arg(VERIFY_KEPT.as_millis().to_string());
        let written = self.query::<Value>(&set).await;
        // The write of the identity may have happened.
        written.map(drop).map_err(StoreError::into_indeterminate)
    }

    /// Reads the clock of the server that holds a partition.
    pub(super) async fn read_clock(&self, partition: usize) -> Result<Timestamp, StoreError> {
        let server = self.server_of(partition).await?;
        let mut ask = redis::pipe();
        ask.cmd("TIME");
        let ((seconds, micros),): ((i64, i64),) = self.query_server(&server, &ask).await?;
        let micros = seconds.saturating_mul(1_000_000).saturating_add(micros);
        let unreadable = |_| StoreError::Unavailable("the clock of Redis is out of range".into());
        Timestamp::from_microsecond(micros).map_err(unreadable)
    }

    /// Counts the subscribers to changes at all servers.
    pub(super) async fn count_listeners(&self) -> Result<Option<u64>, StoreError> {
        let mut count = redis::pipe();
        count.cmd("PUBSUB").arg("NUMSUB").arg(WAKE_CHANNEL);
        let mut listeners = 0;
        for server in self.all_servers().await? {
            let ((_, at_server),): ((String, u64),) = self.query_server(&server, &count).await?;
            listeners += at_server;
        }
        Ok(Some(listeners))
    }

    /// Returns the servers that hold a part of the store.
    pub(super) async fn all_servers(&self) -> Result<Vec<std::sync::Arc<Server>>, StoreError> {
        // Nothing that is sent here is a write, so a failure is determinate: `sent` stays unset.
        let sent = SentFlag::default();
        self.within(&sent, self.servers.all()).await
    }

    /// Counts the subscribers to changes at all servers that cannot read schema 4: gateways of an
    /// earlier release.
    pub(super) async fn count_earlier_listeners(&self) -> Result<u64, StoreError> {
        let mut count = redis::pipe();
        let channels = count.cmd("PUBSUB").arg("NUMSUB");
        channels.arg(WAKE_CHANNEL).arg(READER_CHANNEL);
        let mut earlier = 0;
        for server in self.all_servers().await? {
            let ((_, all, _, ours),): ((String, u64, String, u64),) =
                self.query_server(&server, &count).await?;
            earlier += all.saturating_sub(ours);
        }
        Ok(earlier)
    }
}
