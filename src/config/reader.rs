//! Takes keys out of the configuration one by one, and collects what is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use config::{Value, ValueKind};
use ipnet::IpNet;
use jiff::SignedDuration;
use secrecy::SecretString;

use crate::transaction::{AccountName, StatusCode};

/// The environment prefix; a double underscore separates the parts of a key.
pub const ENVIRONMENT_PREFIX: &str = "OKEBAYAR_GATEWAY";

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as in the TOML file.
    pub key: String,
    /// What is wrong with its value; never holds a secret.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.problem, self.remedy)
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Faults {
    /// A single fault.
    pub(super) fn one(key: &str, problem: &str, remedy: &str) -> Self {
        Self(vec![Fault {
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }])
    }
}

/// Key to its values; a list has several.
pub(super) type FlatKeys = BTreeMap<String, Vec<String>>;

/// Every key and its values, sections flattened with dots.
pub(super) fn leaves(value: &Value) -> FlatKeys {
    fn walk(key: &str, value: &Value, found: &mut FlatKeys) {
        match &value.kind {
            ValueKind::Table(table) => {
                for (name, value) in table {
                    let key = if key.is_empty() {
                        name.clone()
                    } else {
                        format!("{key}.{name}")
                    };
                    walk(&key, value, found);
                }
            }
            ValueKind::Array(values) => {
                found.insert(
                    key.to_owned(),
                    values.iter().map(ToString::to_string).collect(),
                );
            }
            _ => drop(found.insert(key.to_owned(), vec![value.to_string()])),
        }
    }
    let mut found = FlatKeys::new();
    walk("", value, &mut found);
    found
}

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}__{}",
        key.to_ascii_uppercase().replace('.', "__")
    )
}

/// Returns how a key is given in the environment. `None` where its name has a hyphen: no
/// shell sets such a variable.
pub(super) fn in_environment(key: &str) -> Option<String> {
    (!key.contains('-')).then(|| format!("in the environment as {}", variable(key)))
}

/// Builds the remedy where a secret is not given as it must be.
pub(super) fn give_secret(key: &str) -> String {
    match in_environment(key) {
        Some(how) => format!("give it {how}, or name a file that holds it in {key}_file"),
        None => format!(
            "name a file that holds it in {key}_file: no shell sets a variable with a hyphen"
        ),
    }
}

/// A secret as configured.
pub(super) enum Secret {
    /// Neither the key nor its file is configured.
    Absent,
    /// It is configured, and cannot be used; the fault is noted.
    Faulty,
    /// It can be used.
    Given(SecretString),
}

/// A key that cannot be read, whose fault is noted.
pub(super) struct FaultRecorded;

/// A rule that secrets of a kind obey beside the common ones: the problem and the remedy, or
/// `None`.
pub(super) type SecretRule = fn(&str) -> Option<(String, String)>;

/// The longest secret, in bytes: a longer one is another file.
const SECRET_BYTES_MAX: usize = 256;

/// Returns what is wrong with any secret, never quoting it.
fn secret_problem(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("it is configured, and empty")
    } else if text.contains(char::is_whitespace) {
        Some("it holds white space")
    } else if text.len() > SECRET_BYTES_MAX {
        Some("it is longer than 256 bytes")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("it holds characters that are not printable ASCII")
    } else {
        None
    }
}

/// Takes keys out one by one. A key that was never asked for does not exist.
pub(super) struct Reader {
    leaves: FlatKeys,
    faults: Vec<Fault>,
}

impl Reader {
    pub(super) fn new(leaves: FlatKeys, faults: Vec<Fault>) -> Self {
        Self { leaves, faults }
    }

    pub(super) fn fault(
        &mut self,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (problem, remedy) = (problem.into(), remedy.into());
        self.faults.push(Fault {
            key: key.to_owned(),
            problem,
            remedy,
        });
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.leaves.remove(key).map(|values| values.join(","))
    }

    pub(super) fn text_or(&mut self, key: &str, default: &str) -> String {
        self.text(key).unwrap_or_else(|| default.to_owned())
    }

    pub(super) fn required(&mut self, key: &str, remedy: &str) -> Option<String> {
        let text = self.text(key).filter(|text| !text.trim().is_empty());
        if text.is_none() {
            let how = in_environment(key).map(|how| format!(" ({how})"));
            let remedy = format!("{remedy}{}", how.unwrap_or_default());
            self.fault(key, "it is missing", remedy);
        }
        text
    }

    /// Reads a key, or its default, as a word: not empty, without white space.
    pub(super) fn word_or(&mut self, key: &str, default: &str) -> Option<String> {
        let remedy = "give printable ASCII characters without spaces, or leave the key out";
        self.read(key, default, word, remedy)
    }

    /// The value of a key, or of its default.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Option<T>,
        remedy: &str,
    ) -> Option<T> {
        let text = self.text_or(key, default);
        let value = parse(&text);
        if value.is_none() {
            self.fault(key, format!("{text:?} cannot be used"), remedy);
        }
        value
    }

    pub(super) fn duration(&mut self, key: &str, default: &str) -> Option<SignedDuration> {
        let remedy = "give a duration above zero, such as 500ms, 45s, 5m or 24h, and at most \
                      87600h";
        self.read(key, default, parse_duration, remedy)
    }

    pub(super) fn duration_or_zero(&mut self, key: &str, default: &str) -> Option<SignedDuration> {
        let parse = |text: &str| {
            let parsed = text.parse::<SignedDuration>().ok();
            parsed.filter(|duration| !duration.is_negative() && *duration <= DURATION_MAX)
        };
        let remedy = "give a duration such as 45s, 5m or 24h, at most 87600h, or 0s for none";
        self.read(key, default, parse, remedy)
    }

    pub(super) fn span(&mut self, key: &str, default: &str) -> Option<Duration> {
        self.duration(key, default)
            .map(SignedDuration::unsigned_abs)
    }

    pub(super) fn durations(&mut self, key: &str, default: &str) -> Option<Vec<SignedDuration>> {
        let all = |text: &str| {
            text.split(',')
                .map(|part| parse_duration(part.trim()))
                .collect()
        };
        self.read(
            key,
            default,
            all,
            "give a list of durations, such as 1m, 5m, 1h",
        )
    }

    pub(super) fn count(&mut self, key: &str, default: &str) -> Option<usize> {
        let parse = |text: &str| {
            text.parse()
                .ok()
                .filter(|count| (1..=1_000_000).contains(count))
        };
        self.read(key, default, parse, "give a whole number from 1 to 1000000")
    }

    pub(super) fn address(&mut self, key: &str, default: &str) -> Option<SocketAddr> {
        let remedy = "give an address and a port, such as 0.0.0.0:50051";
        self.read(key, default, |text| text.parse().ok(), remedy)
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "false", |text| text.parse().ok(), "give true or false")
    }

    pub(super) fn codes(&mut self, key: &str) -> Option<BTreeSet<StatusCode>> {
        let all = |text: &str| {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(StatusCode::read).collect()
        };
        self.read(
            key,
            "",
            all,
            "give a list of three-digit status codes, as strings",
        )
    }

    pub(super) fn account_names(&mut self, key: &str) -> Option<Vec<AccountName>> {
        let all = |text: &str| {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(|part| AccountName::parse(part).ok()).collect()
        };
        let remedy = "give a list of account names: lower-case letters, digits or hyphens";
        self.read(key, "", all, remedy)
    }

    pub(super) fn networks(&mut self, key: &str) -> Option<Vec<IpNet>> {
        let one = |part: &str| {
            let network = part.parse::<IpNet>().ok();
            let network = network.or_else(|| Some(part.parse::<IpAddr>().ok()?.into()))?;
            // Senders are compared as IPv4 where they are: such a network has none.
            let is_mapped = matches!(network.addr(), IpAddr::V6(address)
                if address.to_ipv4_mapped().is_some());
            (!is_mapped).then_some(network)
        };
        let all = |text: &str| {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(one).collect()
        };
        let remedy = "give a list of addresses or networks, such as 203.0.113.0/24; IPv4 as IPv4";
        self.read(key, "", all, remedy)
    }

    /// Returns true for a key that is configured, whatever it holds.
    pub(super) fn has(&self, key: &str) -> bool {
        self.leaves.contains_key(key)
    }

    /// Reads a text from a key, or from the file that `<key>_file` names, without the ends of
    /// lines after it, which editors and Kubernetes Secrets add. Returns it with the key that
    /// gave it.
    ///
    /// # Errors
    /// [`FaultRecorded`] when it is given twice or cannot be read; the fault is noted.
    pub(super) fn text_or_file(
        &mut self,
        key: &str,
    ) -> Result<Option<(String, String)>, FaultRecorded> {
        let file_key = format!("{key}_file");
        let (at, text) = match (self.text(key), self.text(&file_key)) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let remedy = format!("give {key} or {file_key}, not both");
                self.fault(key, "it is given twice", remedy);
                return Err(FaultRecorded);
            }
            (Some(text), None) => (key.to_owned(), text),
            (None, Some(file)) => match std::fs::read_to_string(&file) {
                Ok(text) => (file_key, text),
                Err(error) => {
                    let problem = format!("{file:?} cannot be read: {error}");
                    self.fault(&file_key, problem, "name a readable file of one line");
                    return Err(FaultRecorded);
                }
            },
        };
        Ok(Some((at, text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// Reads a secret from the environment, or from the file that `<key>_file` names. What
    /// is configured must be usable: an empty secret never means "none".
    pub(super) fn secret(&mut self, key: &str, rule: SecretRule) -> Secret {
        let (at, text) = match self.text_or_file(key) {
            Ok(Some(given)) => given,
            Ok(None) => return Secret::Absent,
            Err(FaultRecorded) => return Secret::Faulty,
        };
        let text = text.as_str();
        let common = secret_problem(text).map(|problem| {
            let remedy = format!("{}; leave both out for none", give_secret(key));
            (problem.to_owned(), remedy)
        });
        match common.or_else(|| rule(text)) {
            None => Secret::Given(SecretString::from(text.to_owned())),
            Some((problem, remedy)) => {
                self.fault(&at, problem, remedy);
                Secret::Faulty
            }
        }
    }

    /// The second parts of the keys in a section.
    pub(super) fn names_in(&self, section: &str) -> BTreeSet<String> {
        let name = |key: &String| {
            let rest = key.strip_prefix(section)?.strip_prefix('.')?;
            Some(rest.split_once('.')?.0.to_owned())
        };
        self.leaves.keys().filter_map(name).collect()
    }

    /// The settings, if nothing is wrong and no key is left over.
    pub(super) fn finish<T>(mut self, settings: Option<T>) -> Result<T, Faults> {
        for key in std::mem::take(&mut self.leaves).into_keys() {
            self.fault(
                &key,
                "there is no such key",
                "see docs/CONFIGURATION.md for the keys",
            );
        }
        match settings {
            Some(settings) if self.faults.is_empty() => Ok(settings),
            _ => Err(Faults(self.faults)),
        }
    }
}

/// The longest duration, ten years: sums of several stay far below what a clock can hold.
const DURATION_MAX: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

fn parse_duration(text: &str) -> Option<SignedDuration> {
    text.parse::<SignedDuration>()
        .ok()
        .filter(|duration| duration.is_positive() && *duration <= DURATION_MAX)
}

fn word(text: &str) -> Option<String> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.to_owned())
}
