//! Statements, of which the evidence about a transaction consists, and the resolutions in them.

use std::{collections::BTreeSet, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    code_types::StatusCode,
    details::Details,
    finding::{Finding, Source, UnknownCause},
    serial_number::SerialNumber,
};

/// One statement about a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Statement {
    /// The source.
    pub source: Source,
    /// The finding.
    pub finding: Finding,
    /// The status code, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<StatusCode>,
    /// The details that came with it.
    #[serde(default)]
    pub details: Details,
    /// The operator's decision, if the statement is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Box<Resolution>>,
    /// For a doubtful check: the time of the latest earlier answer that contradicts it. Checks
    /// before and after such an answer are two statements, so that they never agree. A release
    /// without this field keeps one of the two, which only delays their agreement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
}

impl Statement {
    /// Builds a statement without a code or details.
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

    /// Builds a statement with only those details that its finding may carry, so that repetitions
    /// are one entry: each check has a new trace code (docs/OKEBAYAR.md, section 3.2), and each
    /// pending answer a new balance. An unconfirmed serial number is dropped.
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

    /// Returns the identity of the statement: source, finding, code and the details that identify a
    /// purchase. A later check that finds the same success with another time or balance repeats
    /// the statement.
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

    /// Returns true for an answer to the POST that belongs to an inquiry.
    #[must_use]
    pub fn is_about_inquiry(&self) -> bool {
        self.finding == Finding::Unknown(UnknownCause::AboutInquiry)
    }

    /// Returns false for a statement that is displayed and never believed: an unconfirmed callback,
    /// or an answer about another account number, product or transaction.
    #[must_use]
    pub fn believed(&self) -> bool {
        let unbelieved = [
            Finding::Reported,
            Finding::Unknown(UnknownCause::AboutAnother),
        ];
        !unbelieved.contains(&self.finding)
    }

    /// Returns true when the statement shows that OKEBAYAR received the reference code, without a
    /// proof of the outcome. These are a pending status; a doubtful or inconclusive check that came
    /// with OKEBAYAR's record; an answer to the POST with a trace code, 208 or 510; and any answer
    /// that names our reference code with another account number or product.
    ///
    /// Each contradicts "never received". A proven failure is excluded: it agrees with "never
    /// received" that no money was spent.
    #[must_use]
    pub fn shows_receipt(&self) -> bool {
        let saw_reference = |code: StatusCode| code.entry().saw_reference();
        let names_hit = self.details.trace_code.is_some() || self.code.is_some_and(saw_reference);
        match (self.source, self.finding) {
            // An answer that names another reference code is stored without its status code
            // (okebayar/verdict/purchase.rs).
            (_, Finding::Unknown(UnknownCause::AboutAnother)) => self.code.is_some(),
            (
                Source::Answer,
                Finding::Doubtful(_) | Finding::Unknown(_) | Finding::PaidMeanwhile,
            ) => names_hit,
            // In a check or callback, a doubtful failure came with OKEBAYAR's record
            // (okebayar/verdict/confirmation.rs).
            (_, Finding::Pending | Finding::Doubtful(_)) => true,
            (source, Finding::Unknown(UnknownCause::Inconclusive)) => source == Source::Check,
            _ => false,
        }
    }

    /// Returns true when this statement, seen between two doubtful checks such as `doubtful`,
    /// prevents their agreement.
    pub(super) fn contradicts_doubt(&self, doubtful: &Self) -> bool {
        match self.finding {
            Finding::Pending | Finding::NotReceived => true,
            Finding::Doubtful(_) => (self.finding, self.code) != (doubtful.finding, doubtful.code),
            Finding::Unknown(UnknownCause::Inconclusive) => self.source == Source::Check,
            _ => false,
        }
    }

    /// Returns true when the fold may depend on this very statement, so that a full set must not
    /// drop it. A pending check starts a new run of agreeing doubtful checks; there are at most 198
    /// of them, one for each code.
    pub(super) fn decides(&self) -> bool {
        match self.finding {
            Finding::Pending => self.source == Source::Check,
            Finding::Reported | Finding::Unknown(_) => false,
            _ => true,
        }
    }
}

/// An operator's decision and its reasons.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resolution {
    /// The name of the operator.
    pub operator: String,
    /// The operator's reasons.
    pub note: String,
    /// The revision that the operator saw.
    pub revision: u64,
    /// The serial number that the operator learnt, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<SerialNumber>,
    /// The identities of the proofs and earlier resolutions that the operator saw.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub saw: BTreeSet<Statement>,
}

impl Resolution {
    /// Returns the resolution without `saw`, which would nest in the `saw` of a later one.
    fn identity(&self) -> Self {
        Self {
            saw: BTreeSet::new(),
            ..self.clone()
        }
    }
}

impl fmt::Debug for Resolution {
    /// Omits the note, which may name a customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolution")
            .field("operator", &self.operator)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
