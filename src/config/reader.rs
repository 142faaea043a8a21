//! Takes keys out of the configuration one by one, and collects what is wrong.

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
