//! Access to the servers: credentials, TLS, and sockets that detect a dead peer.

use std::time::Duration;

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
    TlsCertificates,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use secrecy::{ExposeSecret, SecretString};

use super::address::Address;

/// The idle time of a connection before the kernel sends keepalive probes, and the pause
/// between two of them.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// The name and password of an ACL user.
#[derive(Clone, Default)]
pub struct RedisUser {
    /// The name; `None` for the user `default`.
    pub name: Option<String>,
    /// The password; `None` without authentication.
    pub password: Option<SecretString>,
}

/// The certificates of TLS connections, in PEM.
#[derive(Clone, Default)]
pub struct RedisCertificates {
    /// The authorities that sign the servers' certificates; `None` for those of the system.
    pub authorities: Option<Vec<u8>>,
    /// The client's certificate chain and its key.
    pub client: Option<(Vec<u8>, SecretString)>,
}

/// Builds the clients of servers that have the same credentials.
pub(super) struct Access {
    tls: Option<TlsCertificates>,
    settings: RedisConnectionInfo,
    timeout: Duration,
}

impl Access {
    /// Builds the access that a URL describes. `user` and its password take precedence over those
    /// of the URL.
    ///
    /// # Errors
    /// When the URL cannot be read; the error may quote it.
    pub(super) fn new(
        url: &str,
        user: &RedisUser,
        certificates: &RedisCertificates,
        timeout: Duration,
    ) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let mut settings = info.redis_settings().clone();
        if let Some(name) = &user.name {
            settings = settings.set_username(name);
        }
        if let Some(password) = &user.password {
            settings = settings.set_password(password.expose_secret());
        }
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        Ok(Self {
            tls: is_tls.then(|| tls_certificates(certificates)),
            settings,
            timeout,
        })
    }

    /// Returns the access without a database: sentinels have none.
    pub(super) fn without_database(self) -> Self {
        Self {
            settings: self.settings.set_db(0),
            ..self
        }
    }

    /// Returns true when connections use TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Builds the client of the server at an address.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub(super) fn client(&self, address: &Address) -> RedisResult<Client> {
        let (host, port) = (address.host.clone(), address.port);
        let address = match &self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
        };
        let info = address
            .into_connection_info()?
            .set_redis_settings(self.settings.clone())
            .set_tcp_settings(self.tcp_settings());
        match &self.tls {
            None => Client::open(info),
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        }
    }

    fn tcp_settings(&self) -> TcpSettings {
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_INTERVAL);
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(keepalive);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(self.timeout.max(KEEPALIVE_INTERVAL));
        tcp
    }
}

fn tls_certificates(certificates: &RedisCertificates) -> TlsCertificates {
    let client = certificates.client.as_ref();
    TlsCertificates {
        client_tls: client.map(|(certificate, key)| ClientTlsConfig {
            client_cert: certificate.clone(),
            client_key: key.expose_secret().as_bytes().to_vec(),
        }),
        root_cert: certificates.authorities.clone(),
    }
}
