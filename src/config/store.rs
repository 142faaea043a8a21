//! The section `[store]`: the kind of store and its settings.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use reqwest::Url;
use zeroize::Zeroizing;

use super::{
    reader::Reader,
    secrets::{FaultRecorded, Secret},
};
use crate::store::{
    EncryptionKey, EncryptionKeys, StoreSettings,
    redb::RedbSettings,
    redis::{
        AcknowledgingReplicas, RedisAccess, RedisCertificates, RedisSettings, RedisTopology,
        RedisUser,
    },
};

/// Reads the settings of the store; `timeout` is `store.timeout`.
pub(super) fn read_store(reader: &mut Reader, timeout: Option<Duration>) -> Option<StoreSettings> {
    let event_retention = reader.duration("store.event_retention", "168h");
    let keys = read_encryption_keys(reader);
    match reader.text_or("store.kind", "embedded").as_str() {
        "embedded" => {
            let path = reader.read(
                "store.path",
                "okebayar-data/gateway.redb",
                |text| (!text.trim().is_empty()).then(|| text.to_owned()),
                "use a file on a persistent disk",
            );
            let must_exist = reader.flag("store.must_exist");
            Some(StoreSettings::Embedded {
                path: path?.into(),
                settings: RedbSettings {
                    timeout: timeout?,
                    must_exist: must_exist?,
                    event_retention: event_retention?,
                    keys: keys?,
                },
            })
        }
        "redis" => {
            let redis = read_redis(reader, timeout, event_retention, keys);
            redis.map(StoreSettings::Redis)
        }
        other => {
            reader.fault(
                "store.kind",
                format!("unknown store {other:?}"),
                "use embedded or redis",
            );
            None
        }
    }
}

fn read_redis(
    reader: &mut Reader,
    timeout: Option<Duration>,
    event_retention: Option<SignedDuration>,
    keys: Option<Arc<EncryptionKeys>>,
) -> Option<RedisSettings> {
    let url = reader.required("store.url", "use redis://host:6379 or rediss://host:6379");
    let topology = read_topology(reader);
    let is_standalone = matches!(topology, Some(RedisTopology::Standalone));
    if let Some(url) = &url {
        verify_urls(reader, url, topology.as_ref());
    }
    let user = read_user(reader, "store.username", "store.password");
    let certificates = read_certificates(reader, url.as_deref());
    let acknowledging = read_acknowledging(reader, is_standalone);
    let partitions = reader.count("store.partitions", "64");
    Some(RedisSettings {
        url: url?,
        topology: topology?,
        access: RedisAccess {
            user: user?,
            certificates: certificates?,
        },
        acknowledging: acknowledging?,
        partitions: u64::try_from(partitions?).ok()?,
        timeout: timeout?,
        event_retention: event_retention?,
        keys: keys?,
    })
}

fn read_topology(reader: &mut Reader) -> Option<RedisTopology> {
    match reader.text_or("store.topology", "standalone").as_str() {
        "standalone" => Some(RedisTopology::Standalone),
        "sentinel" => {
            let primary = reader.required(
                "store.sentinel_primary",
                "set the name under which the sentinels monitor the primary, such as mymaster",
            );
            let user = read_user(reader, "store.sentinel_username", "store.sentinel_password");
            Some(RedisTopology::Sentinel {
                primary: primary?,
                user: user?,
            })
        }
        "cluster" => Some(RedisTopology::Cluster),
        other => {
            reader.fault(
                "store.topology",
                format!("unknown topology {other:?}"),
                "use standalone, sentinel or cluster",
            );
            None
        }
    }
}

/// Verifies the form of the URLs, without quoting them: they may hold a password.
fn verify_urls(reader: &mut Reader, url: &str, topology: Option<&RedisTopology>) {
    let urls: Vec<&str> = url.split(',').map(str::trim).collect();
    let schemes = ["redis://", "rediss://"];
    let scheme = |url: &str| schemes.iter().position(|scheme| url.starts_with(scheme));
    let first = scheme(urls[0]);
    if first.is_none() || urls.iter().any(|url| scheme(url) != first) {
        reader.fault(
            "store.url",
            "not one scheme",
            "begin every URL with redis://, or every one with rediss:// for TLS",
        );
    }
    let parsed = urls.iter().filter_map(|url| url.parse::<Url>().ok());
    let mut parsed = parsed.collect::<Vec<_>>().into_iter();
    match topology {
        Some(RedisTopology::Standalone) if urls.len() > 1 => reader.fault(
            "store.url",
            "several URLs",
            "set one URL, or store.topology to sentinel or cluster",
        ),
        Some(RedisTopology::Sentinel { .. }) if parsed.any(|url| url.port().is_none()) => reader
            .fault(
                "store.url",
                "a sentinel without a port",
                "name the port of each sentinel, usually 26379",
            ),
        Some(RedisTopology::Cluster) if parsed.any(|url| url.path().len() > 1) => reader.fault(
            "store.url",
            "a database of a cluster",
            "remove the path: a cluster has one database",
        ),
        _ => {}
    }
}

/// Reads an ACL user and its password.
fn read_user(reader: &mut Reader, name_key: &str, password_key: &str) -> Option<RedisUser> {
    let name = reader.text(name_key);
    let password = match reader.secret(password_key, |_| None) {
        Secret::Absent => None,
        Secret::Given(password) => Some(password),
        Secret::Faulty => return None,
    };
    if name.is_some() && password.is_none() {
        reader.fault(
            name_key,
            "set without a password",
            format!("set {password_key} or {password_key}_file as well"),
        );
        return None;
    }
    Some(RedisUser { name, password })
}

fn read_certificates(reader: &mut Reader, url: Option<&str>) -> Option<RedisCertificates> {
    let authorities = read_pem(reader, "store.tls_ca_file");
    let certificate = read_pem(reader, "store.tls_cert_file");
    let key = read_pem(reader, "store.tls_key_file");
    let (authorities, certificate, key) = (authorities.ok()?, certificate.ok()?, key.ok()?);
    let is_given = authorities.is_some() || certificate.is_some() || key.is_some();
    if is_given && url.is_some_and(|url| !url.trim_start().starts_with("rediss://")) {
        reader.fault(
            "store.url",
            "certificates without TLS",
            "begin it with rediss://, or remove store.tls_ca_file, store.tls_cert_file and \
             store.tls_key_file",
        );
        return None;
    }
    let client = match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate.into_bytes(), key.into())),
        _ => {
            reader.fault(
                "store.tls_cert_file",
                "the certificate and its key are not both set",
                "set store.tls_cert_file and store.tls_key_file, or neither",
            );
            return None;
        }
    };
    Some(RedisCertificates {
        authorities: authorities.map(String::into_bytes),
        client,
    })
}

/// Reads a PEM file.
fn read_pem(reader: &mut Reader, key: &str) -> Result<Option<String>, FaultRecorded> {
    let Some(file) = reader.text(key) else {
        return Ok(None);
    };
    match std::fs::read_to_string(&file) {
        Ok(text) if text.contains("-----BEGIN ") => Ok(Some(text)),
        Ok(_) => {
            let problem = format!("{file:?} holds no PEM block");
            reader.fault(key, problem, "name a file in PEM form");
            Err(FaultRecorded)
        }
        Err(error) => {
            let problem = format!("{file:?} cannot be read: {error}");
            reader.fault(key, problem, "name a readable file in PEM form");
            Err(FaultRecorded)
        }
    }
}

fn read_acknowledging(reader: &mut Reader, is_standalone: bool) -> Option<AcknowledgingReplicas> {
    let key = "store.acknowledging_replicas";
    match reader.text_or(key, "0").as_str() {
        "all" if is_standalone => {
            reader.fault(
                key,
                "nobody knows the replicas of a standalone server",
                "set their number, or store.topology to sentinel or cluster",
            );
            None
        }
        "all" => Some(AcknowledgingReplicas::All),
        number => {
            if let Ok(number) = number.parse() {
                return Some(AcknowledgingReplicas::AtLeast(number));
            }
            let problem = format!("{number:?} is no number of replicas");
            reader.fault(key, problem, "use all, or a number such as 2");
            None
        }
    }
}

/// The key of the files of encryption keys.
const KEY_FILES: &str = "store.encryption_key_files";

/// The first entry by which the keys only decrypt.
const ENCRYPT_NOTHING: &str = "none";

/// Reads the keys of encryption at rest, each from a file of its own: `<id>:<file>`. The first one
/// encrypts, unless the list begins with `none`.
fn read_encryption_keys(reader: &mut Reader) -> Option<Arc<EncryptionKeys>> {
    let is_set = reader.has(KEY_FILES);
    let listed = reader.text_or(KEY_FILES, "");
    let entries = listed.split(',').map(str::trim);
    let mut entries: Vec<&str> = entries.filter(|entry| !entry.is_empty()).collect();
    let only_decrypt = entries.first() == Some(&ENCRYPT_NOTHING);
    if only_decrypt {
        entries.remove(0);
    }
    let (mut keys, mut is_faulty) = (Vec::<EncryptionKey>::new(), false);
    for (number, entry) in (1 + usize::from(only_decrypt)..).zip(entries) {
        let read = read_encryption_key(entry).and_then(|key| {
            let is_new = keys.iter().all(|known| known.id() != key.id());
            is_new
                .then_some(key)
                .ok_or_else(|| "the id is named twice".to_owned())
        });
        match read {
            Ok(key) => keys.push(key),
            Err(problem) => {
                is_faulty = true;
                let remedy = "use <id>:<file>, the key that encrypts first, or \"none\" first to encrypt \
                              nothing; `openssl rand -base64 32` writes the contents of a file";
                reader.fault(
                    KEY_FILES,
                    format!("{}: {problem}", position(number, entry)),
                    remedy,
                );
            }
        }
    }
    if is_set && keys.is_empty() && !only_decrypt && !is_faulty {
        // Never taken for "none": records would be written in plain text.
        reader.fault(
            KEY_FILES,
            "names no key",
            "name a key, or remove it to encrypt nothing",
        );
        return None;
    }
    let keys = if only_decrypt {
        EncryptionKeys::only_decrypting(keys)
    } else {
        EncryptionKeys::new(keys)
    };
    (!is_faulty).then(|| Arc::new(keys))
}

/// Names an entry of the list by its position and its id. Nothing else is quoted: an operator may
/// have put the key itself into the place of its file, or of its id.
fn position(number: usize, entry: &str) -> String {
    match entry.split_once(':') {
        Some((id, _)) if EncryptionKey::is_id(id) => format!("entry {number} (id {id})"),
        _ => format!("entry {number}"),
    }
}

/// Reads one key. Describes the problem without quoting any of the entry.
fn read_encryption_key(entry: &str) -> Result<EncryptionKey, String> {
    let (id, file) = entry.split_once(':').ok_or("it names no id")?;
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|error| format!("its file cannot be read: {error}"))?;
    EncryptionKey::parse(id, &text).map_err(|problem| problem.to_string())
}
