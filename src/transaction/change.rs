//! The change of a transaction, as a store saves it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    record::Transaction,
    schedule::Schedule,
    tokens::{AttemptToken, BaseVersion, LeaseToken},
};

/// The next version of a transaction.
#[derive(Clone, Debug)]
pub struct Change {
    /// The transaction after the change.
    pub transaction: Arc<Transaction>,
    /// The version from which the change was made; `None` for the first version.
    pub from: Option<BaseVersion>,
    /// A reader can see the change, so it is an event.
    pub is_event: bool,
    /// The lease on a status check that ends with this change.
    pub releases: Option<LeaseToken>,
}

impl Change {
    /// Returns the change as the first version of a record that the store has lost. The store's
    /// other data of the reference code is lost as well.
    #[must_use]
    pub fn rewritten(&self) -> Self {
        let transaction = Transaction {
            is_rewritten: true,
            ..(*self.transaction).clone()
        };
        Self {
            transaction: Arc::new(transaction),
            from: None,
            is_event: true,
            releases: self.releases,
        }
    }

    /// Returns the change that also releases a lease, if the caller still holds it.
    #[must_use]
    pub fn releasing(self, lease: LeaseToken) -> Self {
        Self {
            releases: Some(lease),
            ..self
        }
    }
}

impl Transaction {
    /// Returns the transaction as an event of a compact form: without the attempt token and the
    /// trace of the call, which no reader of an event sees.
    #[must_use]
    pub fn as_event(&self) -> Self {
        let mut event = self.clone();
        event.trace = None;
        event.attempt.token = AttemptToken::NONE;
        event
    }

    /// Returns true when both are one revision of one transaction, read from its record or its
    /// event.
    #[must_use]
    pub fn is_same_revision(&self, other: &Self) -> bool {
        let (one, two) = (self.token(), other.token());
        let is_same_attempt = one == two || one == AttemptToken::NONE || two == AttemptToken::NONE;
        is_same_attempt
            && self.armed_at() == other.armed_at()
            && self.revision == other.revision
            && self.updated_at == other.updated_at
    }

    /// Builds the change from one version to this one, and schedules the next check.
    pub(super) fn changed(
        mut self,
        from: &Self,
        now: Timestamp,
        schedule: &Schedule,
        is_event: bool,
    ) -> Change {
        self.version = from.version + 1;
        if is_event {
            self.revision = from.revision + 1;
            self.updated_at = now.max(from.updated_at);
        }
        Change {
            transaction: Arc::new(self.rescheduled(now, schedule)),
            from: Some(from.base()),
            is_event,
            releases: None,
        }
    }
}
