//! The findings of a verification.

use std::{collections::BTreeMap, fmt};

/// The number of findings of one kind that are shown.
const SHOWN_MAX: usize = 100;

/// One inconsistency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inconsistency {
    /// The key or the place.
    pub(super) key: String,
    /// The problem.
    pub(super) problem: String,
    /// The remedy.
    pub(super) remedy: &'static str,
}

/// The result of a verification.
#[derive(Debug, Default)]
pub(super) struct VerificationReport {
    /// The number of entries that were read, by their kind.
    pub(super) read: BTreeMap<&'static str, u64>,
    /// The inconsistencies, by their remedy.
    found: BTreeMap<&'static str, Vec<Inconsistency>>,
}

impl VerificationReport {
    /// Adds an inconsistency.
    pub(super) fn add(&mut self, found: Inconsistency) {
        let same = self.found.entry(found.remedy).or_default();
        // A walk may visit an entry twice.
        if !same.contains(&found) {
            same.push(found);
        }
    }

    /// Adds inconsistencies.
    pub(super) fn add_all(&mut self, found: impl IntoIterator<Item = Inconsistency>) {
        for found in found {
            self.add(found);
        }
    }

    /// Returns the number of inconsistencies.
    pub(super) fn count(&self) -> usize {
        self.found.values().map(Vec::len).sum()
    }
}

impl fmt::Display for VerificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = self
            .read
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"));
        writeln!(f, "read: {}", read.collect::<Vec<_>>().join(", "))?;
        for (remedy, found) in &self.found {
            for one in found.iter().take(SHOWN_MAX) {
                writeln!(f, "{}: {}", one.key, one.problem)?;
            }
            if found.len() > SHOWN_MAX {
                writeln!(f, "... and {} more", found.len() - SHOWN_MAX)?;
            }
            writeln!(f, "  -> {remedy}")?;
        }
        match self.count() {
            0 => write!(f, "the store is consistent"),
            count => write!(f, "{count} inconsistencies"),
        }
    }
}
