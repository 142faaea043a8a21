//! The section `[callbacks]`: allowed senders, trusted proxies, and limits.

use std::num::NonZeroU32;

use ipnet::IpNet;

use super::{
    accounts::{AccountSettings, ReadAccounts},
    reader::Reader,
};
use crate::callbacks::{CallbackSettings, is_too_wide};

/// Reads the section. Returns `None` after a fault, which the reader holds.
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

/// Reads the allowed networks. An empty list is a fault: its meaning, no sender or every sender, is
/// ambiguous.
fn read_allowed(reader: &mut Reader) -> Option<Vec<IpNet>> {
    let key = "callbacks.allow";
    let is_given = reader.has(key);
    let allow = reader.networks(key)?;
    if is_given && allow.is_empty() {
        let remedy = "list OKEBAYAR's addresses, or remove the key to allow all senders";
        reader.fault(key, "must not be empty", remedy);
    }
    Some(allow)
}

/// Reads the trusted proxies. A trusted proxy determines the sender, so networks as large as the
/// internet are refused.
fn read_trusted_proxies(reader: &mut Reader) -> Option<Vec<IpNet>> {
    let key = "callbacks.trusted_proxies";
    let proxies = reader.networks(key)?;
    for wide in proxies.iter().filter(|network| is_too_wide(network)) {
        let problem = format!("{wide} lets any client forge the sender in X-Forwarded-For");
        reader.fault(key, problem, "list only your own proxies");
    }
    Some(proxies)
}

/// Refuses trusted callbacks that an unauthenticated client could send: a trusted callback settles
/// a transaction.
pub(super) fn verify_trusted(
    reader: &mut Reader,
    accounts: &ReadAccounts,
    callbacks: Option<&CallbackSettings>,
) {
    let is_open = callbacks.is_some_and(CallbackSettings::allows_any_sender);
    for (name, settings) in accounts {
        let is_at_risk = |settings: &AccountSettings| {
            settings.callback_trusted && settings.callback_secret.is_none()
        };
        if is_open && settings.as_ref().is_some_and(is_at_risk) {
            let remedy = format!(
                "set accounts.{name}.callback_secret_file (`openssl rand -hex 16` generates a \
                 secret), or list OKEBAYAR's addresses in callbacks.allow"
            );
            let problem = "unauthenticated clients could settle transactions by callbacks";
            reader.fault(
                &format!("accounts.{name}.callback_trusted"),
                problem,
                remedy,
            );
        }
    }
}
