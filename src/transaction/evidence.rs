//! What is known about a transaction: a set of statements, each with who said it.
//!
//! The set is a join semilattice (promise 8): adding is commutative, associative
//! and idempotent. A statement's identity is its key; mentions of one identity join
//! their details, and carry only the first and the last time they were seen. The
//! count is shown and never decides.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    codes::StatusCode,
    finding::{Finding, Source},
    statement::Statement,
};

/// When and how often a statement was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrences {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// How often; shown, never decisive.
    pub count: u32,
}

/// What adding a statement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is a new entry.
    New,
    /// It repeated an entry.
    Repeated,
    /// The set is full, and the statement decides nothing.
    Dropped,
}

/// The most entries, save those that decide something; unconfirmed callbacks, which
/// a stranger can send, fill at most a third.
const ENTRIES_MAX: usize = 48;
const REPORTED_MAX: usize = 16;
/// How often doubtful checks of one code begin to agree anew: an OKEBAYAR that goes back
/// and forth more often escalates to manual review.
const RUNS_MAX: usize = 8;
/// What the doubtful checks beyond that name; the fold never believes them.
pub(super) const NEVER_AGREES: Timestamp = Timestamp::MAX;

/// The set of everything that was said about one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<EvidenceEntry>", into = "Vec<EvidenceEntry>")]
pub struct EvidenceSet(BTreeMap<Statement, EvidenceEntry>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EvidenceEntry {
    #[serde(flatten)]
    statement: Statement,
    #[serde(flatten)]
    seen: Occurrences,
}

impl EvidenceSet {
    /// Adds what was said at `at`.
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

    fn join(&mut self, statement: Statement, seen: Occurrences) -> Added {
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

    /// The first pending and the first unknown statement always find room, and the first
    /// that shows receipt: the fold asks whether there is one.
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

    /// Returns true when OKEBAYAR showed that it received the reference code.
    #[must_use]
    pub fn shows_receipt(&self) -> bool {
        self.0.keys().any(Statement::shows_receipt)
    }

    /// Returns the time at which anything was last seen.
    pub(super) fn last_seen(&self) -> Option<Timestamp> {
        self.0.values().map(|entry| entry.seen.last).max()
    }

    /// Returns the statement as it is added now: a doubtful check names the last answer that
    /// contradicts it, so that it joins only doubtful checks that came after the same one. That
    /// happens where evidence is made, not where sets are joined: the order in which sets are
    /// joined must not matter.
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

    /// Joins another set into this one.
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

    /// The entries in an order of their own, not that of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (&Statement, &Occurrences)> {
        self.0
            .values()
            .map(|EvidenceEntry { statement, seen }| (statement, seen))
    }

    /// The entries as a reader wants them: oldest first.
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

pub(super) type SeenStatement<'a> = (&'a Statement, &'a Occurrences);

/// What `read` makes of the latest statement of which it makes anything, and that
/// statement's status code.
pub(super) fn latest<T>(
    evidence: &EvidenceSet,
    read: impl Fn(&Statement, &Occurrences) -> Option<T>,
) -> Option<(T, Option<StatusCode>)> {
    let found = evidence
        .iter()
        .filter_map(|entry| Some((entry, read(entry.0, entry.1)?)));
    let (entry, value) = found.max_by_key(|(entry, _)| rank(entry))?;
    Some((value, entry.0.code))
}

/// Which of several statements of one kind is shown: the one seen last, and the
/// greater one of two seen at the same time.
pub(super) fn rank<'a>(entry: &SeenStatement<'a>) -> (Timestamp, &'a Statement) {
    (entry.1.last, entry.0)
}

pub(super) fn code_of<T>(found: Option<(T, Option<StatusCode>)>) -> Option<StatusCode> {
    found?.1
}
