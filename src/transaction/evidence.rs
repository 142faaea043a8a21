//! The evidence about a transaction: a set of statements.
//!
//! The set is a join semilattice (promise 8): adding is commutative, associative and idempotent.
//! The key of a statement is its identity. Statements with one identity are one entry, which joins
//! their details and keeps the first and the last time they were seen. The count is for display
//! and never decides.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    code_types::StatusCode,
    finding::{Finding, Source},
    statement::Statement,
};

/// The times at which a statement was seen, and their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrences {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// The number of times; for display only, never decisive.
    pub count: u32,
}

/// The result of adding a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The statement is a new entry.
    New,
    /// The statement repeated an entry.
    Repeated,
    /// The set is full, and the statement decides nothing, so it was dropped.
    Dropped,
}

/// The limit on entries; those that decide something are exempt. Unconfirmed callbacks, which an
/// unauthenticated client can send, fill at most a third.
const ENTRIES_MAX: usize = 48;
const REPORTED_MAX: usize = 16;
/// The limit on runs of agreeing doubtful checks of one code: a transaction whose checks alternate
/// more often escalates to manual review.
const RUNS_MAX: usize = 8;
/// The value of `after` in doubtful checks beyond [`RUNS_MAX`]; the fold never believes them.
pub(super) const NEVER_AGREES: Timestamp = Timestamp::MAX;

/// The set of all statements about one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<EvidenceEntry>", into = "Vec<EvidenceEntry>")]
pub struct EvidenceSet(BTreeMap<Statement, EvidenceEntry>);

/// A statement and its times, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EvidenceEntry {
    #[serde(flatten)]
    statement: Statement,
    #[serde(flatten)]
    seen: Occurrences,
}

impl EvidenceSet {
    /// Adds a statement that was seen at `at`.
    pub fn add(&mut self, statement: Statement, at: Timestamp) -> Added {
        self.join(
            statement,
            Occurrences {
                first: at,
                last: at,
                count: 1,
            },
        )
    }

    pub(super) fn join(&mut self, statement: Statement, seen: Occurrences) -> Added {
        let identity = statement.identity();
        if let Some(EvidenceEntry {
            statement: known,
            seen: known_seen,
        }) = self.0.get_mut(&identity)
        {
            known.details.join(statement.details);
            known_seen.first = known_seen.first.min(seen.first);
            known_seen.last = known_seen.last.max(seen.last);
            known_seen.count = known_seen.count.saturating_add(seen.count);
            return Added::Repeated;
        }
        if !statement.decides() && !self.has_room_for(&statement) {
            return Added::Dropped;
        }
        self.0.insert(identity, EvidenceEntry { statement, seen });
        Added::New
    }

    /// Returns true when the set has room for a statement that does not decide. The first pending,
    /// the first unknown and the first statement that shows receipt always have room, because the
    /// fold depends on their presence.
    fn has_room_for(&self, statement: &Statement) -> bool {
        let same_kind = |known: &&Statement| {
            std::mem::discriminant(&known.finding) == std::mem::discriminant(&statement.finding)
        };
        let alike = self.0.keys().filter(same_kind).count();
        match statement.finding {
            Finding::Reported => alike < REPORTED_MAX,
            _ if statement.shows_receipt() && !self.shows_receipt() => true,
            _ => alike == 0 || self.0.len() < ENTRIES_MAX,
        }
    }

    /// Returns true when a statement shows that OKEBAYAR received the reference code.
    #[must_use]
    pub fn shows_receipt(&self) -> bool {
        self.0.keys().any(Statement::shows_receipt)
    }

    /// Returns the latest time at which any statement was seen.
    pub(super) fn last_seen(&self) -> Option<Timestamp> {
        self.0.values().map(|entry| entry.seen.last).max()
    }

    /// Returns the statement in the form in which it is to be added now: a doubtful check names the
    /// latest answer that contradicts it, so that it joins only doubtful checks that came after
    /// the same answer. Call this where evidence is made, never where sets are merged: the order
    /// of merging must not matter.
    pub(super) fn place(&self, statement: Statement) -> Statement {
        if statement.source != Source::Check || !matches!(statement.finding, Finding::Doubtful(_)) {
            return statement;
        }
        let contradictions = self
            .iter()
            .filter(|(known, _)| known.contradicts_doubt(&statement));
        let placed = Statement {
            after: contradictions.map(|(_, seen)| seen.last).max(),
            ..statement
        };
        let is_run = |known: &&Statement| {
            (known.source, known.finding, known.code)
                == (placed.source, placed.finding, placed.code)
        };
        if self.0.contains_key(&placed.identity())
            || self.0.keys().filter(is_run).count() < RUNS_MAX
        {
            return placed;
        }
        Statement {
            after: Some(NEVER_AGREES),
            ..placed
        }
    }

    /// Merges another set into this one.
    pub fn merge(&mut self, other: &Self) {
        for EvidenceEntry { statement, seen } in other.0.values() {
            self.join(statement.clone(), *seen);
        }
    }

    /// Returns true when this set holds every statement of `other`.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        other.0.keys().all(|identity| self.0.contains_key(identity))
    }

    /// Iterates over the entries in the order of their identities, not that of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (&Statement, &Occurrences)> {
        self.0
            .values()
            .map(|EvidenceEntry { statement, seen }| (statement, seen))
    }

    /// Returns the entries for display, oldest first.
    #[must_use]
    pub fn timeline(&self) -> Vec<(&Statement, &Occurrences)> {
        let mut entries: Vec<_> = self.iter().collect();
        entries.sort_by_key(|(_, seen)| seen.first);
        entries
    }
}

impl From<Vec<EvidenceEntry>> for EvidenceSet {
    fn from(entries: Vec<EvidenceEntry>) -> Self {
        let keyed = entries
            .into_iter()
            .map(|entry| (entry.statement.identity(), entry));
        Self(keyed.collect())
    }
}

impl From<EvidenceSet> for Vec<EvidenceEntry> {
    fn from(set: EvidenceSet) -> Self {
        set.0.into_values().collect()
    }
}

/// A statement with the times at which it was seen.
pub(super) type SeenStatement<'a> = (&'a Statement, &'a Occurrences);

/// A value with the status code of the statement it was read from.
pub(super) type Coded<T> = (T, Option<StatusCode>);

/// Returns the value that `read` gives for the latest statement for which it gives any.
pub(super) fn latest<T>(
    evidence: &EvidenceSet,
    read: impl Fn(&Statement, &Occurrences) -> Option<T>,
) -> Option<Coded<T>> {
    let found = evidence
        .iter()
        .filter_map(|entry| Some((entry, read(entry.0, entry.1)?)));
    let (entry, value) = found.max_by_key(|(entry, _)| rank(entry))?;
    Some((value, entry.0.code))
}

/// Returns the rank by which one of several statements of a kind is chosen: the one seen last, and
/// the greater of two seen at the same time.
pub(super) fn rank<'a>(entry: &SeenStatement<'a>) -> (Timestamp, &'a Statement) {
    (entry.1.last, entry.0)
}

/// Returns the status code of a value, if there is one.
pub(super) fn code_of<T>(found: Option<Coded<T>>) -> Option<StatusCode> {
    found?.1
}
