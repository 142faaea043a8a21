//! The section `[callbacks]`: who may call, and how much is taken.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;

use super::{
    accounts::{AccountSettings, ReadAccounts},
    reader::Reader,
};

/// Where and how callbacks are received.
#[derive(Clone, Debug)]
pub struct CallbackSettings {
    /// Where they are received.
    pub listen: SocketAddr,
    /// Who may call; empty means everybody.
    pub allow: Vec<IpNet>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many are taken in a second, also at once.
    pub rate_per_second: NonZeroU32,
    /// Connections at once.
    pub connections: usize,
    /// The longest that the head, and then the body, of a callback may take.
    pub read_timeout: Duration,
}

impl CallbackSettings {
    /// Returns true where no list restricts who may call.
    #[must_use]
    pub fn lets_everybody_call(&self) -> bool {
        self.allow.is_empty() || self.allow.iter().any(is_everybody)
    }
}

/// Returns true for a network that holds a large part of all addresses.
fn is_everybody(network: &IpNet) -> bool {
    let restricts_from = match network {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 16,
    };
    network.prefix_len() < restricts_from
}

pub(super) fn read_callbacks(reader: &mut Reader) -> Option<CallbackSettings> {
    let listen = reader.address("callbacks.listen", "0.0.0.0:8080");
    let allow = read_allowed(reader);
    let trusted_proxies = read_trusted_proxies(reader);
    let rate_per_second = reader.count("callbacks.rate_per_second", "500");
    let connections = reader.count("callbacks.connections", "512");
    let read_timeout = reader.span("callbacks.read_timeout", "10s");
    Some(CallbackSettings {
        listen: listen?,
        allow: allow?,
        trusted_proxies: trusted_proxies?,
        rate_per_second: NonZeroU32::new(u32::try_from(rate_per_second?).ok()?)?,
        connections: connections?,
        read_timeout: read_timeout?,
    })
}

/// Reads who may call. A list that is configured and empty may be meant to let nobody call,
/// and would let everybody.
fn read_allowed(reader: &mut Reader) -> Option<Vec<IpNet>> {
    let key = "callbacks.allow";
    let is_given = reader.has(key);
    let allow = reader.networks(key)?;
    if is_given && allow.is_empty() {
        let remedy = "list OKEBAYAR's addresses, or leave the key out to let everybody call";
        reader.fault(key, "it is configured, and empty", remedy);
    }
    Some(allow)
}

/// Reads whose `X-Forwarded-For` is believed. A trusted proxy names the sender: the whole
/// internet cannot be one.
fn read_trusted_proxies(reader: &mut Reader) -> Option<Vec<IpNet>> {
    let key = "callbacks.trusted_proxies";
    let proxies = reader.networks(key)?;
    for wide in proxies.iter().filter(|network| is_everybody(network)) {
        let problem = format!("{wide} lets everybody name another sender in X-Forwarded-For");
        reader.fault(key, problem, "list your own proxies only");
    }
    Some(proxies)
}

/// Refuses to believe callbacks that everybody may send: one that is believed settles a
/// transaction.
pub(super) fn verify_trusted(
    reader: &mut Reader,
    accounts: &ReadAccounts,
    callbacks: Option<&CallbackSettings>,
) {
    let is_open = callbacks.is_some_and(CallbackSettings::lets_everybody_call);
    for (name, settings) in accounts {
        let is_at_risk = |settings: &AccountSettings| {
            settings.callback_trusted && settings.callback_secret.is_none()
        };
        if is_open && settings.as_ref().is_some_and(is_at_risk) {
            let remedy = format!(
                "give accounts.{name}.callback_secret_file (`openssl rand -hex 16` makes a \
                 secret), or list OKEBAYAR's addresses in callbacks.allow"
            );
            let problem = "anybody could send a callback, and settle a transaction with it";
            reader.fault(
                &format!("accounts.{name}.callback_trusted"),
                problem,
                remedy,
            );
        }
    }
}
