//! The settings of the callback listener.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;

/// The settings of the callback listener.
#[derive(Clone, Debug)]
pub struct CallbackSettings {
    /// The address of the listener.
    pub listen: SocketAddr,
    /// The networks that may send callbacks; empty means all.
    pub allow: Vec<IpNet>,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The maximum number of callbacks per second, which is also the maximum burst.
    pub rate_per_second: NonZeroU32,
    /// The maximum number of concurrent connections.
    pub connections: usize,
    /// The read time-out of the head, and then of the body, of a callback.
    pub read_timeout: Duration,
}

impl CallbackSettings {
    /// Returns true when the allow list is empty or includes a network that allows almost any
    /// address.
    #[must_use]
    pub fn allows_any_sender(&self) -> bool {
        self.allow.is_empty() || self.allow.iter().any(is_too_wide)
    }
}

/// Returns true for a network that holds a large part of all addresses, and so restricts little.
#[must_use]
pub fn is_too_wide(network: &IpNet) -> bool {
    let restricts_from = match network {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 16,
    };
    network.prefix_len() < restricts_from
}
