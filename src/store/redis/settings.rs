//! The settings of a shared store.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;

use super::topology::{AcknowledgingReplicas, RedisAccess, RedisTopology};
use crate::store::EncryptionKeys;

/// The servers and the layout of a shared store.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host:port[/db]`, or `rediss://` for TLS; several URLs are separated
    /// by commas.
    pub url: String,
    /// The topology of the servers.
    pub topology: RedisTopology,
    /// The user and the certificates.
    pub access: RedisAccess,
    /// The number of replicas that must acknowledge a claim.
    pub acknowledging: AcknowledgingReplicas,
    /// The number of partitions of the keys; fixed when the store is created.
    pub partitions: u64,
    /// The time-out of one call, including a reconnection.
    pub timeout: Duration,
    /// The time for which events are kept for watchers that resume.
    pub event_retention: SignedDuration,
    /// The keys of encryption at rest.
    pub keys: Arc<EncryptionKeys>,
}

impl RedisSettings {
    /// Returns the addresses in the URLs, without credentials.
    #[must_use]
    pub fn addresses(&self) -> String {
        let address = |url: &str| {
            let rest = url.trim().split_once("://").map_or(url, |(_, rest)| rest);
            let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
            let address = rest.split('?').next().unwrap_or_default();
            address.trim_end_matches('/').to_owned()
        };
        let addresses: Vec<String> = self.url.split(',').map(address).collect();
        addresses.join(",")
    }
}

impl std::fmt::Debug for RedisSettings {
    /// Formats without the URL, which may hold a password, and without the access.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("topology", &self.topology.name())
            .field("acknowledging", &self.acknowledging)
            .field("partitions", &self.partitions)
            .field("timeout", &self.timeout)
            .field("event_retention", &self.event_retention)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
