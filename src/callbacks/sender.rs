//! The address of a callback's sender, through trusted proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Returns the address of the sender: the peer, or the last address in `X-Forwarded-For` that is
/// not a trusted proxy. `None` when a trusted proxy names an unreadable address.
pub(super) fn sender_address(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted_proxies: &[IpNet],
) -> Option<IpAddr> {
    let mut sender = peer;
    for header in headers.get_all("x-forwarded-for").iter().rev() {
        for entry in header.to_str().ok()?.rsplit(',') {
            if !contains(trusted_proxies, sender) {
                return Some(sender);
            }
            sender = parse_entry(entry)?;
        }
    }
    Some(sender)
}

/// Parses an entry of `X-Forwarded-For`. Some proxies add the port, and then write IPv6 in
/// brackets; some quote that.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let unquoted = entry
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let entry = unquoted.unwrap_or(entry);
    let bare = entry.parse().ok();
    bare.or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()))
        .or_else(|| {
            let inner = entry.strip_prefix('[')?.strip_suffix(']')?;
            Some(inner.parse::<Ipv6Addr>().ok()?.into())
        })
}

/// Returns true when one of the networks contains the address.
pub(super) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    // An IPv4 peer on an IPv6 socket is the IPv4 peer.
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
