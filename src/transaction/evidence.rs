//! What is known about a transaction: a set of statements, each with who said it.
//!
//! The set is a join semilattice (promise 8): adding is commutative, associative
//! and idempotent, because a statement is its own key and carries only the first
//! and the last time it was seen. The count is shown and never decides.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    amount::Amount,
    codes::{SerialNumber, StatusCode, TraceCode},
};

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The gateway itself.
    Gateway,
    /// A callback.
    Callback,
    /// The answer to the purchase.
    Answer,
    /// The answer to a status check.
    Check,
}

/// Why OKEBAYAR, or the gateway, says that a purchase failed or may have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// 200
    ProductUnavailable,
    /// 201
    BillerTrouble,
    /// 202
    ServerTrouble,
    /// 203
    DepositExhausted,
    /// 204
    WrongAccountNumber,
    /// 205
    WrongProductCode,
    /// 206
    BadFormat,
    /// 207, 211, 212, 213
    GatewayCredentials,
    /// 210
    CrossRegion,
    /// 214
    RequestExpired,
    /// 215
    AccountCannotReceive,
    /// 232
    ProductAccountMismatch,
    /// 233
    TooManyBills,
    /// 234
    Cancelled,
    /// 400 to 405
    BillRefused,
    /// 500
    AccountBlacklisted,
    /// A code that the configuration lists as "never received".
    NotReceived,
    /// 240, and undocumented final codes
    Unidentified,
}

/// Why an outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// No answer came within the upstream time-out.
    TimedOut,
    /// The connection broke after the request may have been sent.
    Broken,
    /// An HTTP status outside 2xx, such as 500.
    HttpStatus(u16),
    /// An answer that cannot be read.
    Unreadable,
    /// An answer about another reference, product or account.
    AboutAnother,
    /// An answer that belongs to an inquiry.
    AboutInquiry,
    /// A status code that says nothing about the outcome, such as 208.
    Inconclusive,
    /// The process that was sending is gone, or gave no sign in time.
    SenderLost,
}

/// Why it is certain that nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotSent {
    /// No connection to OKEBAYAR could be made: DNS, connect or TLS.
    Unreachable,
    /// The gateway was too busy, or stopping, and gave the attempt up.
    Overloaded,
    /// The claim could not be confirmed in the store, so it was given up.
    ClaimLost,
}

/// What one observation proves, or fails to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Attempt number `attempt` provably sent nothing.
    NotSent {
        /// Which attempt, counted from 1.
        attempt: u32,
        /// Why.
        why: NotSent,
    },
    /// Something may have been sent; the outcome is unknown.
    Unknown(Unknown),
    /// An unconfirmed callback: shown, never believed (promise 7).
    Reported,
    /// Accepted and being processed.
    Pending,
    /// A final code that OKEBAYAR also gives when it is merely unwell: two checks
    /// that agree, far enough apart, make it a failure.
    Doubtful(FailureReason),
    /// OKEBAYAR says, by a configured code, that it never received the request:
    /// believed only long enough after the POST.
    NotReceived,
    /// Proven failure.
    Failed(FailureReason),
    /// Proven success: the money is spent.
    Succeeded,
    /// The check schedule ended without a proof.
    ChecksExhausted,
    /// The check schedule of a missing serial number ended.
    SerialNumberGivenUp,
}

/// What came along with a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// OKEBAYAR's id of the hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_code: Option<TraceCode>,
    /// Proof of delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<SerialNumber>,
    /// The price deducted, in rupiah.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    /// The deposit left, in rupiah.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Amount>,
    /// OKEBAYAR's time of the transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// OKEBAYAR's text to the partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// Names and texts of a price, balance or time that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<(String, String)>,
}

/// One thing that was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Statement {
    /// Who said it.
    pub source: Source,
    /// What it proves.
    pub finding: Finding,
    /// The status code, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<StatusCode>,
    /// What came along with it.
    #[serde(default)]
    pub details: Details,
}

impl Statement {
    /// A statement without a code or details.
    #[must_use]
    pub fn bare(source: Source, finding: Finding) -> Self {
        Self {
            source,
            finding,
            code: None,
            details: Details::default(),
        }
    }

    /// A statement with only those details that its finding may carry, so that
    /// repetitions fold: each check has another trace code (API page, 3.2), and a
    /// pending answer another balance. An unconfirmed serial number is not kept.
    #[must_use]
    pub fn new(
        source: Source,
        finding: Finding,
        code: Option<StatusCode>,
        details: Details,
    ) -> Self {
        let trace_code = if source == Source::Check {
            None
        } else {
            details.trace_code.clone()
        };
        let details = match finding {
            Finding::Succeeded => Details {
                trace_code,
                ..details
            },
            Finding::Failed(_) => Details {
                trace_code,
                info: details.info,
                ..Details::default()
            },
            _ => Details {
                trace_code,
                ..Details::default()
            },
        };
        Self {
            source,
            finding,
            code,
            details,
        }
    }

    /// False for what is shown and never believed.
    #[must_use]
    pub fn believed(&self) -> bool {
        self.finding != Finding::Reported
    }

    /// True when the fold may rest on this very statement, so that a full set
    /// must not leave it out.
    fn decides(&self) -> bool {
        !matches!(
            self.finding,
            Finding::Reported | Finding::Pending | Finding::Unknown(_)
        )
    }
}

/// When and how often a statement was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
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

/// The set of everything that was said about one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct EvidenceSet(BTreeMap<Statement, Seen>);

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    statement: Statement,
    #[serde(flatten)]
    seen: Seen,
}

impl EvidenceSet {
    /// Adds what was said at `at`.
    pub fn add(&mut self, statement: Statement, at: Timestamp) -> Added {
        self.join(
            statement,
            Seen {
                first: at,
                last: at,
                count: 1,
            },
        )
    }

    fn join(&mut self, statement: Statement, seen: Seen) -> Added {
        if let Some(known) = self.0.get_mut(&statement) {
            known.first = known.first.min(seen.first);
            known.last = known.last.max(seen.last);
            known.count = known.count.saturating_add(seen.count);
            return Added::Repeated;
        }
        if !statement.decides() && !self.has_room_for(&statement) {
            return Added::Dropped;
        }
        self.0.insert(statement, seen);
        Added::New
    }

    /// The first pending and the first unknown statement always find room: the
    /// fold asks whether there is one.
    fn has_room_for(&self, statement: &Statement) -> bool {
        let same_kind = |known: &&Statement| {
            std::mem::discriminant(&known.finding) == std::mem::discriminant(&statement.finding)
        };
        let alike = self.0.keys().filter(same_kind).count();
        match statement.finding {
            Finding::Reported => alike < REPORTED_MAX,
            _ => alike == 0 || self.0.len() < ENTRIES_MAX,
        }
    }

    /// Joins another set into this one.
    pub fn merge(&mut self, other: &Self) {
        for (statement, seen) in &other.0 {
            self.join(statement.clone(), *seen);
        }
    }

    /// The entries in an order of their own, not that of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (&Statement, &Seen)> {
        self.0.iter()
    }

    /// The entries as a reader wants them: oldest first.
    #[must_use]
    pub fn timeline(&self) -> Vec<(&Statement, &Seen)> {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by_key(|(_, seen)| seen.first);
        entries
    }
}

impl From<Vec<Entry>> for EvidenceSet {
    fn from(entries: Vec<Entry>) -> Self {
        Self(
            entries
                .into_iter()
                .map(|entry| (entry.statement, entry.seen))
                .collect(),
        )
    }
}

impl From<EvidenceSet> for Vec<Entry> {
    fn from(set: EvidenceSet) -> Self {
        set.0
            .into_iter()
            .map(|(statement, seen)| Entry { statement, seen })
            .collect()
    }
}
