//! A private certificate authority, and servers that require its certificates.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use super::ports;

/// A certificate authority with its files in a folder.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    name: String,
    folder: PathBuf,
}

/// The files of a certificate and its key.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// Creates an authority, and writes its certificate to `<name>.pem`.
    pub fn create(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let authority = Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            name: name.to_owned(),
            folder: folder.to_owned(),
        };
        std::fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// Returns the file of its certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", self.name))
    }

    /// Issues a certificate for a host name or address, of a server and of a client.
    pub fn issue(&self, host: &str, name: &str) -> Certificate {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let issued = params.signed_by(&key, &self.issuer).unwrap();
        let file = |ending: &str| {
            self.folder
                .join(format!("{}-{name}-{ending}.pem", self.name))
        };
        let certificate = Certificate {
            certificate: file("certificate"),
            key: file("key"),
        };
        std::fs::write(&certificate.certificate, issued.pem()).unwrap();
        std::fs::write(&certificate.key, key.serialize_pem()).unwrap();
        certificate
    }
}

/// The arguments by which a server listens with TLS and requires a certificate of each client. The
/// harness itself uses the other port.
pub struct TlsPort {
    pub port: u16,
    pub arguments: Vec<String>,
}

impl TlsPort {
    /// Prepares a port whose server has a certificate of `authority` for 127.0.0.1.
    pub fn new(authority: &Authority) -> Self {
        Self::for_host(authority, "127.0.0.1")
    }

    /// Prepares a port whose server has a certificate of `authority` for a host alone.
    pub fn for_host(authority: &Authority, host: &str) -> Self {
        let port = ports::free();
        let own = authority.issue(host, &format!("server-{port}"));
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let arguments = [
            ("--tls-port", port.to_string()),
            ("--tls-ca-cert-file", text(authority.file())),
            ("--tls-cert-file", text(own.certificate)),
            ("--tls-key-file", text(own.key)),
            ("--tls-auth-clients", "yes".to_owned()),
        ];
        Self {
            port,
            arguments: arguments
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect(),
        }
    }

    pub fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }
}
