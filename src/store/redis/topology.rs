//! The topologies in which Redis is run.

use crate::store::StoreError;

use super::access::{RedisCertificates, RedisUser};

/// The topology of the servers behind `RedisSettings::url`.
#[derive(Clone, Default)]
pub enum RedisTopology {
    /// One server; the URL is its own.
    #[default]
    Standalone,
    /// A primary and its replicas, which sentinels monitor; the URLs are those of the sentinels.
    Sentinel {
        /// The name under which the sentinels monitor the primary.
        primary: String,
        /// The user at the sentinels, which have users of their own.
        user: RedisUser,
    },
    /// A cluster, each of whose primaries holds some partitions; the URLs are those of any of its
    /// servers.
    Cluster,
}

impl RedisTopology {
    /// Returns the name of the topology, as configured.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Sentinel { .. } => "sentinel",
            Self::Cluster => "cluster",
        }
    }
}

/// The user and the certificates with which the servers are reached.
#[derive(Clone, Default)]
pub struct RedisAccess {
    /// The user; overrides that of the URL.
    pub user: RedisUser,
    /// The certificates of `rediss://` URLs.
    pub certificates: RedisCertificates,
}

/// The number of replicas that must acknowledge a claim before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcknowledgingReplicas {
    /// This many. With fewer than all that may be promoted, a failover can lose a claim.
    AtLeast(u32),
    /// All that the sentinels or the cluster know, those that are down included: a primary that was
    /// cut off from its replicas acknowledges nothing.
    All,
}

impl Default for AcknowledgingReplicas {
    fn default() -> Self {
        Self::AtLeast(0)
    }
}

/// Builds the error of URLs that cannot be read. It does not quote them, because they may hold a
/// password.
pub(super) fn unreadable_url() -> StoreError {
    StoreError::Unsuitable("the Redis URL cannot be read".to_owned())
}
