//! What was said about a transaction, by whom, and what it proves.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    amount::Amount,
    codes::{SerialNumber, StatusCode, TraceCode},
    resolution::{Resolution, Verdict},
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
    /// A human who settled it.
    Operator,
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
    /// 400, 402 to 405
    BillRefused,
    /// 401
    AlreadyPaid,
    /// 500
    AccountBlacklisted,
    /// A code that the configuration lists as "never received".
    NotReceived,
    /// A human found out.
    Resolved,
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
    /// It was held back, and OKEBAYAR says that it never received the reference code.
    HeldBack,
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
    /// OKEBAYAR says that the bill is paid (401) while another transaction for it is
    /// open: it may be ours that paid.
    PaidMeanwhile,
    /// Proven success: the money is spent.
    Succeeded,
    /// What a human decided; [`Statement::resolution`] says why.
    Resolved(Verdict),
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
    /// Whatever else came.
    #[serde(skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

impl Details {
    /// Joins what another mention of the same fact says: each detail that either
    /// has, and the lesser of two, so that no order of arrival matters.
    pub(super) fn join(&mut self, other: Self) {
        fn least<T: Ord>(one: &mut Option<T>, other: Option<T>) {
            *one = match (one.take(), other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        least(&mut self.trace_code, other.trace_code);
        least(&mut self.serial_number, other.serial_number);
        least(&mut self.price, other.price);
        least(&mut self.balance, other.balance);
        least(&mut self.time, other.time);
        least(&mut self.info, other.info);
        let some = |list: Vec<_>| Some(list).filter(|list| !list.is_empty());
        let mut unread = some(std::mem::take(&mut self.unread));
        least(&mut unread, some(other.unread));
        self.unread = unread.unwrap_or_default();
        let mut extra = some(std::mem::take(&mut self.extra.0));
        least(&mut extra, some(other.extra.0));
        self.extra = Extra(extra.unwrap_or_default());
    }
}

/// Names and texts in the order in which they came. They may hold names of
/// customers, so `Debug` never shows them (promise 15).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extra(Vec<(String, String)>);

/// The most bytes that a record keeps of one answer's extra texts.
const EXTRA_BYTES_MAX: usize = 16 * 1024;

/// Keeps as many of the first names and texts as a record may keep.
#[derive(Debug)]
pub struct ExtraKeeper {
    kept: Extra,
    bytes_left: usize,
    left_out: usize,
}

impl Default for ExtraKeeper {
    fn default() -> Self {
        Self {
            kept: Extra::default(),
            bytes_left: EXTRA_BYTES_MAX,
            left_out: 0,
        }
    }
}

impl ExtraKeeper {
    /// Keeps a name and its text, or counts that they were left out: from the first for
    /// which there is no room.
    pub fn keep(&mut self, name: &str, text: &str) {
        let size = name.len() + text.len();
        match self.bytes_left.checked_sub(size) {
            Some(left) if self.left_out == 0 => {
                self.bytes_left = left;
                self.kept.0.push((name.to_owned(), text.to_owned()));
            }
            _ => self.left_out += 1,
        }
    }

    /// Returns what was kept, and how many names were left out.
    #[must_use]
    pub fn finish(self) -> (Extra, usize) {
        (self.kept, self.left_out)
    }
}

impl FromIterator<(String, String)> for Extra {
    /// Keeps as many of the first names and texts as a record may keep.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        let mut keeper = ExtraKeeper::default();
        for (name, text) in fields {
            keeper.keep(&name, &text);
        }
        keeper.finish().0
    }
}

impl Extra {
    /// The names and texts, for the caller whose purchase it is.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extra({} hidden)", self.0.len())
    }
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
    /// What a human gave as reasons, where one decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Box<Resolution>>,
    /// For a doubtful check: when the last answer was seen that contradicts it and came
    /// before it. Checks on two sides of such an answer are two statements, so that they
    /// never agree. A release that does not know the field keeps one of the two, which
    /// only makes them agree later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
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
            resolution: None,
            after: None,
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
            resolution: None,
            after: None,
        }
    }

    /// What makes two mentions one: who, what, and which purchase. A later check that
    /// finds the same success at another time, or with another deposit left, says
    /// nothing new.
    #[must_use]
    pub fn identity(&self) -> Self {
        let Details {
            trace_code,
            serial_number,
            price,
            ..
        } = self.details.clone();
        let details = Details {
            trace_code,
            serial_number,
            price,
            ..Details::default()
        };
        let resolution = self.resolution.as_deref().map(Resolution::identity);
        Self {
            details,
            resolution: resolution.map(Box::new),
            ..*self
        }
    }

    /// Returns true for the answer to the POST that belongs to an inquiry.
    #[must_use]
    pub fn is_about_inquiry(&self) -> bool {
        self.finding == Finding::Unknown(Unknown::AboutInquiry)
    }

    /// Returns false for what is shown and never believed: an unconfirmed callback, and an answer
    /// about another account number, product or transaction.
    #[must_use]
    pub fn believed(&self) -> bool {
        let unbelieved = [Finding::Reported, Finding::Unknown(Unknown::AboutAnother)];
        !unbelieved.contains(&self.finding)
    }

    /// Returns true when OKEBAYAR shows by this statement that it received the reference code,
    /// though not what became of it: a pending status, a doubtful or inconclusive check that
    /// came with OKEBAYAR's record, or an answer to the POST that carries a trace code, 208 or
    /// 510, or any answer that names our reference code and another account number or product.
    /// "Never received" contradicts it. A proven failure is left out: it agrees with
    /// "never received" that no money was spent.
    #[must_use]
    pub fn shows_receipt(&self) -> bool {
        let saw_reference = |code: StatusCode| matches!(code.number(), 208 | 510);
        let names_hit = self.details.trace_code.is_some() || self.code.is_some_and(saw_reference);
        match (self.source, self.finding) {
            // Where it names another reference code, its code is not kept (verdict.rs).
            (_, Finding::Unknown(Unknown::AboutAnother)) => self.code.is_some(),
            (
                Source::Answer,
                Finding::Doubtful(_) | Finding::Unknown(_) | Finding::PaidMeanwhile,
            ) => names_hit,
            // Elsewhere a doubtful failure came with OKEBAYAR's record (verdict.rs).
            (_, Finding::Pending | Finding::Doubtful(_)) => true,
            (source, Finding::Unknown(Unknown::Inconclusive)) => source == Source::Check,
            _ => false,
        }
    }

    /// Returns true when this statement, seen between two doubtful checks like `doubtful`,
    /// keeps them from agreeing.
    pub(super) fn contradicts_doubt(&self, doubtful: &Self) -> bool {
        match self.finding {
            Finding::Pending | Finding::NotReceived => true,
            Finding::Doubtful(_) => (self.finding, self.code) != (doubtful.finding, doubtful.code),
            Finding::Unknown(Unknown::Inconclusive) => self.source == Source::Check,
            _ => false,
        }
    }

    /// True when the fold may rest on this very statement, so that a full set
    /// must not leave it out. A pending check decides where doubtful checks begin to
    /// agree anew; there are at most 198 of them, one for each code.
    pub(super) fn decides(&self) -> bool {
        match self.finding {
            Finding::Pending => self.source == Source::Check,
            Finding::Reported | Finding::Unknown(_) => false,
            _ => true,
        }
    }
}
