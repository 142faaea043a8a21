//! What was said about a transaction, by whom, and what it proves.

use std::{collections::BTreeSet, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    codes::StatusCode,
    details::Details,
    finding::{Finding, Source, UnknownCause},
    serial_number::SerialNumber,
};

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
        self.finding == Finding::Unknown(UnknownCause::AboutInquiry)
    }

    /// Returns false for what is shown and never believed: an unconfirmed callback, and an answer
    /// about another account number, product or transaction.
    #[must_use]
    pub fn believed(&self) -> bool {
        let unbelieved = [
            Finding::Reported,
            Finding::Unknown(UnknownCause::AboutAnother),
        ];
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
            (_, Finding::Unknown(UnknownCause::AboutAnother)) => self.code.is_some(),
            (
                Source::Answer,
                Finding::Doubtful(_) | Finding::Unknown(_) | Finding::PaidMeanwhile,
            ) => names_hit,
            // Elsewhere a doubtful failure came with OKEBAYAR's record (verdict.rs).
            (_, Finding::Pending | Finding::Doubtful(_)) => true,
            (source, Finding::Unknown(UnknownCause::Inconclusive)) => source == Source::Check,
            _ => false,
        }
    }

    /// Returns true when this statement, seen between two doubtful checks like `doubtful`,
    /// keeps them from agreeing.
    pub(super) fn contradicts_doubt(&self, doubtful: &Self) -> bool {
        match self.finding {
            Finding::Pending | Finding::NotReceived => true,
            Finding::Doubtful(_) => (self.finding, self.code) != (doubtful.finding, doubtful.code),
            Finding::Unknown(UnknownCause::Inconclusive) => self.source == Source::Check,
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

/// A human's decision and reasons.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resolution {
    /// Who decided.
    pub operator: String,
    /// On what evidence.
    pub note: String,
    /// The revision that they saw.
    pub revision: u64,
    /// The serial number that they were told, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<SerialNumber>,
    /// The identities of the proofs, and of the earlier resolutions, that they saw.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub saw: BTreeSet<Statement>,
}

impl Resolution {
    /// Without what it saw, which would nest in what a later one saw.
    fn identity(&self) -> Self {
        Self {
            saw: BTreeSet::new(),
            ..self.clone()
        }
    }
}

impl fmt::Debug for Resolution {
    /// Without the note, which may name a customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolution")
            .field("operator", &self.operator)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
