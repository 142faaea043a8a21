//! The reader of the configuration: it takes keys out one by one and collects faults.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use jiff::SignedDuration;

use super::{
    fault::{Fault, Faults},
    flat_keys::{FlatKeys, in_environment},
};
use crate::transaction::{AccountName, StatusCode};

/// A reader that removes each key it reads. Keys that remain at the end are unknown.
pub(super) struct Reader {
    keys: FlatKeys,
    faults: Vec<Fault>,
}

impl Reader {
    /// Creates a reader of these keys, with the faults found so far.
    pub(super) fn new(keys: FlatKeys, faults: Vec<Fault>) -> Self {
        Self { keys, faults }
    }

    /// Records a fault.
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

    /// Takes a key; the values of a list are joined by commas.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.keys.remove(key).map(|values| values.join(","))
    }

    /// Takes a key, or returns its default.
    pub(super) fn text_or(&mut self, key: &str, default: &str) -> String {
        self.text(key).unwrap_or_else(|| default.to_owned())
    }

    /// Takes a key that must be set and not blank.
    pub(super) fn required(&mut self, key: &str, remedy: &str) -> Option<String> {
        let text = self.text(key).filter(|text| !text.trim().is_empty());
        if text.is_none() {
            let how = in_environment(key).map(|how| format!(" ({how})"));
            let remedy = format!("{remedy}{}", how.unwrap_or_default());
            self.fault(key, "required", remedy);
        }
        text
    }

    /// Reads a key, or its default, as a word: printable ASCII, neither empty nor with white space.
    pub(super) fn word_or(&mut self, key: &str, default: &str) -> Option<String> {
        let remedy = "use printable ASCII characters without spaces, or remove the key";
        self.read(key, default, word, remedy)
    }

    /// Parses a key, or its default, and records a fault when `parse` returns `None`.
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
            self.fault(key, format!("invalid value {text:?}"), remedy);
        }
        value
    }

    /// Reads a duration above zero.
    pub(super) fn duration(&mut self, key: &str, default: &str) -> Option<SignedDuration> {
        let remedy = "use a duration above zero, such as 500ms, 45s, 5m or 24h, and at most \
                      87600h";
        self.read(key, default, parse_duration, remedy)
    }

    /// Reads a duration that may be zero.
    pub(super) fn duration_or_zero(&mut self, key: &str, default: &str) -> Option<SignedDuration> {
        let parse = |text: &str| {
            let parsed = text.parse::<SignedDuration>().ok();
            parsed.filter(|duration| !duration.is_negative() && *duration <= DURATION_MAX)
        };
        let remedy = "use a duration such as 45s, 5m or 24h, at most 87600h, or 0s for none";
        self.read(key, default, parse, remedy)
    }

    /// Reads a duration above zero as an unsigned one.
    pub(super) fn span(&mut self, key: &str, default: &str) -> Option<Duration> {
        self.duration(key, default)
            .map(SignedDuration::unsigned_abs)
    }

    /// Reads a list of durations.
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
            "use a list of durations, such as 1m, 5m, 1h",
        )
    }

    /// Reads a number from 1 to 1000000.
    pub(super) fn count(&mut self, key: &str, default: &str) -> Option<usize> {
        let parse = |text: &str| {
            text.parse()
                .ok()
                .filter(|count| (1..=1_000_000).contains(count))
        };
        self.read(key, default, parse, "use a whole number from 1 to 1000000")
    }

    /// Reads an address to listen on.
    pub(super) fn address(&mut self, key: &str, default: &str) -> Option<SocketAddr> {
        let remedy = "use an address and a port, such as 0.0.0.0:50051";
        self.read(key, default, |text| text.parse().ok(), remedy)
    }

    /// Reads a flag, which is false by default.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, "false", |text| text.parse().ok(), "use true or false")
    }

    /// Reads a list of status codes.
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
            "use a list of three-digit status codes, as strings",
        )
    }

    /// Reads a list of account names.
    pub(super) fn account_names(&mut self, key: &str) -> Option<Vec<AccountName>> {
        let all = |text: &str| {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(|part| AccountName::parse(part).ok()).collect()
        };
        let remedy = "use a list of account names: lower-case letters, digits or hyphens";
        self.read(key, "", all, remedy)
    }

    /// Reads a list of networks.
    pub(super) fn networks(&mut self, key: &str) -> Option<Vec<IpNet>> {
        let one = |part: &str| {
            let network = part.parse::<IpNet>().ok();
            let network = network.or_else(|| Some(part.parse::<IpAddr>().ok()?.into()))?;
            // IPv4 senders are compared in IPv4 form, so a mapped network would match none.
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
        let remedy =
            "use a list of addresses or networks, such as 203.0.113.0/24; no IPv4-mapped IPv6";
        self.read(key, "", all, remedy)
    }

    /// Returns true when the key is set, even to an empty value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Returns the names of the subsections of a section.
    pub(super) fn names_in(&self, section: &str) -> BTreeSet<String> {
        let name = |key: &String| {
            let rest = key.strip_prefix(section)?.strip_prefix('.')?;
            Some(rest.split_once('.')?.0.to_owned())
        };
        self.keys.keys().filter_map(name).collect()
    }

    /// Returns the settings, unless there are faults or unknown keys.
    pub(super) fn finish<T>(mut self, settings: Option<T>) -> Result<T, Faults> {
        for key in std::mem::take(&mut self.keys).into_keys() {
            self.fault(
                &key,
                "unknown key",
                "remove it or correct its name; docs/CONFIGURATION.md lists the keys",
            );
        }
        match settings {
            Some(settings) if self.faults.is_empty() => Ok(settings),
            _ => Err(Faults(self.faults)),
        }
    }
}

/// The maximum duration, ten years: sums of several remain far below the range of a clock.
const DURATION_MAX: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// Parses a duration above zero.
fn parse_duration(text: &str) -> Option<SignedDuration> {
    text.parse::<SignedDuration>()
        .ok()
        .filter(|duration| duration.is_positive() && *duration <= DURATION_MAX)
}

/// Parses a word of printable ASCII characters.
fn word(text: &str) -> Option<String> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.to_owned())
}
