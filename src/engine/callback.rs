//! A callback: a hint from a stranger, stored before it is answered (promises 7
//! and 12).

use tracing::info;

use super::Engine;
use crate::{
    okebayar::{
        answer::{Answer, Fields, Unreadable},
        verdict,
    },
    store::{Orphan, StoreError},
    transaction::{AccountName, ReferenceCode, Transaction, TransactionKey},
};

/// What became of a callback. Either way it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is in the timeline of its transaction.
    Known,
    /// Its reference code is not known here; it is among the orphans.
    Orphan,
}

const REFERENCE_CHARS_MAX: usize = 64;
const STATUS_CHARS_MAX: usize = 16;

impl Engine {
    /// Gives meaning to the names and texts of a callback.
    ///
    /// # Errors
    /// [`Unreadable`] when they contradict each other.
    pub fn read_report(&self, account: &AccountName, fields: Fields) -> Result<Answer, Unreadable> {
        match self.upstreams.get(account) {
            Some(upstream) => upstream.client.read_report(fields),
            None => Err(Unreadable::Ambiguous("the account")),
        }
    }

    /// Stores a callback, and has it confirmed by a status check.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn receive(
        &self,
        account: &AccountName,
        report: &Answer,
    ) -> Result<Received, StoreError> {
        let reference = report.reference_code.as_deref().unwrap_or_default();
        let known = match ReferenceCode::parse(reference) {
            Ok(reference) => {
                self.store
                    .load(&TransactionKey::new(account.clone(), &reference))
                    .await?
            }
            Err(_) => None,
        };
        let (Some(transaction), Some(upstream)) = (known, self.upstreams.get(account)) else {
            self.store.add_orphan(&self.orphan(account, report)).await?;
            info!(%account, "a callback about an unknown reference code");
            return Ok(Received::Orphan);
        };
        let lists = upstream.client.code_lists();
        let trusted = upstream.callback_trusted;
        let observe = |current: &Transaction| {
            let (now, schedule) = (self.now(), self.schedule());
            if trusted && let Ok(said) = verdict::of_trusted_callback(report, current, lists) {
                return current.observe([said], now, schedule);
            }
            let state = current.standing().state;
            let agrees = report
                .status_code()
                .is_some_and(|code| verdict::agrees(code, &state, lists));
            current.observe_report(verdict::of_callback(report), agrees, now, schedule)
        };
        self.update(transaction, observe).await?;
        Ok(Received::Known)
    }

    fn orphan(&self, account: &AccountName, report: &Answer) -> Orphan {
        let cut = |text: &Option<String>, chars: usize| {
            text.as_deref()
                .unwrap_or_default()
                .chars()
                .take(chars)
                .collect()
        };
        Orphan {
            account: account.clone(),
            reference_code: cut(&report.reference_code, REFERENCE_CHARS_MAX),
            status: cut(&report.status, STATUS_CHARS_MAX),
            at: self.now(),
        }
    }
}
