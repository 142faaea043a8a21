//! The addresses of servers.

use redis::{ConnectionAddr, IntoConnectionInfo, RedisResult};

/// The host and the port of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads the address in a URL; `None` for an address that is not of TCP.
    ///
    /// # Errors
    /// When the URL cannot be read; the error may quote it.
    pub(super) fn of_url(url: &str) -> RedisResult<Option<Self>> {
        let info = url.into_connection_info()?;
        Ok(match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some(Self {
                    host: host.clone(),
                    port: *port,
                })
            }
            _ => None,
        })
    }

    /// Parses `host:port`; an empty host stands for `asked`, the host of the server that named it.
    pub(super) fn parse(text: &str, asked: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.trim_matches(['[', ']']) {
            "" | "?" => asked,
            host => host,
        };
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
