//! The erasure of personal data from a final transaction.
//!
//! The outcome stays: state, product, price, times, trace code. Recipient, customer, serial number,
//! names, texts and labels are replaced or removed, in the record and in each of its events.
//!
//! A call with the reference code must still be recognized (promise 5), so a hash of the contents
//! stays as well (`erasure_mark.rs`).

use jiff::Timestamp;

use super::{
    account_number::AccountNumber,
    change::Change,
    details::{Details, ExtraFields},
    erasure_mark::Erasure,
    evidence::EvidenceSet,
    intent::Contents,
    labels::Labels,
    order::{Bill, InquiredData, Order, Verbatim},
    record::Transaction,
    schedule::Schedule,
    serial_number::SerialNumber,
    statement::{Resolution, Statement},
    unrecognized::Unrecognized,
};

/// The reason why a transaction is not erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotErasable {
    /// Its data is still needed.
    #[error("it is {0}, which is not final: its data is needed to settle it, or to send it again")]
    NotFinal(&'static str),
    /// A later release stored something in it, which may be personal.
    #[error(
        "a later release stored fields in it that this release does not know: use that release"
    )]
    LaterRelease,
    /// The outcome would change.
    #[error("its state rests on the data to erase: an operator must inspect it")]
    Decisive,
}

impl Transaction {
    /// Returns the mark of the erasure, once the personal data of the transaction is erased.
    #[must_use]
    pub fn erasure(&self) -> Option<&Erasure> {
        self.erased.as_deref()
    }

    /// Erases the personal data. `salt` must be random. Returns `None` when it is erased already.
    ///
    /// # Errors
    /// [`NotErasable`] when the transaction is not final, or must not be changed by this release.
    pub fn erase(
        &self,
        salt: [u8; 16],
        now: Timestamp,
        schedule: &Schedule,
    ) -> Result<Option<Change>, NotErasable> {
        if self.erased.is_some() {
            return Ok(None);
        }
        let state = self.status().state;
        if !state.is_terminal() {
            return Err(NotErasable::NotFinal(state.name()));
        }
        if !self.unrecognized.is_empty() {
            return Err(NotErasable::LaterRelease);
        }
        let erasure = Erasure::new(&self.stated_contents(), salt, now);
        let next = self.as_erased(&erasure);
        let (before, after) = (self.status(), next.status());
        if after.state.name() != before.state.name()
            || !after.state.is_terminal()
            || after.trace_code != before.trace_code
        {
            return Err(NotErasable::Decisive);
        }
        Ok(Some(next.changed(self, now, schedule, true)))
    }

    /// Returns the transaction, or an event of it, without its personal data.
    #[must_use]
    pub fn as_erased(&self, erasure: &Erasure) -> Self {
        let mut next = self.clone();
        next.contents = next.contents.erased();
        next.order = next.order.erased();
        next.labels = Labels::default();
        next.trace = None;
        next.evidence = next.evidence.map(Statement::erased);
        // An event may hold what the record lacks by now, such as parts of an earlier attempt.
        next.unrecognized = Unrecognized::default();
        next.erased = Some(Box::new(erasure.clone()));
        next
    }

    /// Returns a statement in the form in which the transaction may keep it: an answer that comes
    /// after the erasure must not bring the data back.
    pub(super) fn admit(&self, statement: Statement) -> Statement {
        if self.erased.is_some() {
            statement.erased()
        } else {
            statement
        }
    }
}

impl Contents {
    fn erased(self) -> Self {
        match self {
            Self::PurchasePrepaid {
                product_code,
                inquiry_code,
                ..
            } => Self::PurchasePrepaid {
                product_code,
                account_number: AccountNumber::erased(),
                inquiry_code,
            },
            paid @ Self::PayPostpaid { .. } => paid,
        }
    }
}

impl Order {
    fn erased(self) -> Self {
        Self {
            product_code: self.product_code,
            account_number: AccountNumber::erased(),
            inquired: self.inquired.map(|inquired| InquiredData {
                refs: [None, None, None],
                at: inquired.at,
                customer: Verbatim::default(),
                bill: inquired.bill.map(|bill| Bill {
                    nominal: bill.nominal,
                    admin_fee: bill.admin_fee,
                    account_numbers: Default::default(),
                    contact_number: Verbatim::default(),
                }),
            }),
        }
    }
}

impl Statement {
    fn erased(self) -> Self {
        let resolution = self.resolution.map(|resolution| {
            Box::new(Resolution {
                operator: resolution.operator,
                note: String::new(),
                revision: resolution.revision,
                serial_number: resolution.serial_number.map(|_| SerialNumber::erased()),
                saw: resolution.saw.into_iter().map(Self::erased).collect(),
            })
        });
        Self {
            details: self.details.erased(),
            resolution,
            ..self
        }
    }
}

impl Details {
    fn erased(self) -> Self {
        Self {
            serial_number: self.serial_number.map(|_| SerialNumber::erased()),
            info: None,
            unread: Vec::new(),
            extra: ExtraFields::default(),
            ..self
        }
    }
}

/// The changes that [`Transaction::as_erased`] makes are the same for every revision, so the erased
/// events of a transaction are a history as well.
impl EvidenceSet {
    fn map(self, change: impl Fn(Statement) -> Statement) -> Self {
        let mut changed = Self::default();
        for (statement, seen) in self.iter() {
            changed.join(change(statement.clone()), *seen);
        }
        changed
    }
}
