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

use super::ENVIRONMENT_PREFIX;
use crate::transaction::{AccountName, StatusCode};

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
pub(super) type Leaves = BTreeMap<String, Vec<String>>;

/// Every key and its values, sections flattened with dots.
pub(super) fn leaves(value: &Value) -> Leaves {
    fn walk(key: &str, value: &Value, found: &mut Leaves) {
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
    let mut found = Leaves::new();
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

/// Takes keys out one by one. A key that was never asked for does not exist.
pub(super) struct Reader {
    leaves: Leaves,
    faults: Vec<Fault>,
}

impl Reader {
    pub(super) fn new(leaves: Leaves, faults: Vec<Fault>) -> Self {
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
        let text = self.text(key).filter(|text| !text.is_empty());
        if text.is_none() {
            let remedy = format!("{remedy} (in the environment: {})", variable(key));
            self.fault(key, "it is missing", remedy);
        }
        text
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
        let remedy = "give a duration above zero, such as 500ms, 45s, 5m or 24h";
        self.read(key, default, parse_duration, remedy)
    }

    pub(super) fn duration_or_zero(&mut self, key: &str, default: &str) -> Option<SignedDuration> {
        let parse = |text: &str| {
            let parsed = text.parse::<SignedDuration>().ok();
            parsed.filter(|duration| !duration.is_negative())
        };
        let remedy = "give a duration such as 45s, 5m or 24h, or 0s for none";
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
            part.parse()
                .ok()
                .or_else(|| Some(part.parse::<IpAddr>().ok()?.into()))
        };
        let all = |text: &str| {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(one).collect()
        };
        self.read(
            key,
            "",
            all,
            "give a list of addresses or networks, such as 203.0.113.0/24",
        )
    }

    /// A secret from the environment, or from the file that `<key>_file` names.
    pub(super) fn secret(&mut self, key: &str) -> Option<SecretString> {
        let file_key = format!("{key}_file");
        let text = match (self.text(key), self.text(&file_key)) {
            (Some(_), Some(_)) => {
                self.fault(
                    key,
                    "it is given twice",
                    format!("give {key} or {file_key}, not both"),
                );
                None
            }
            (direct, None) => direct,
            (None, Some(file)) => match std::fs::read_to_string(&file) {
                Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    self.fault(
                        &file_key,
                        format!("{file}: {error}"),
                        "name a readable file",
                    );
                    None
                }
            },
        };
        text.filter(|text| !text.is_empty()).map(SecretString::from)
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

fn parse_duration(text: &str) -> Option<SignedDuration> {
    text.parse::<SignedDuration>()
        .ok()
        .filter(SignedDuration::is_positive)
}
