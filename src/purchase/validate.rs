//! The validation of a request without sending or storing anything (`validate_only`).

use std::sync::Arc;

use super::{
    bill::full_bill,
    error::{PurchaseError, Sent},
    order::meant,
    purchases::Purchases,
};
use crate::{
    inquiries::binding::BindingNote,
    transaction::{Contents, InquiryCode, Intent, NotPayable, State, Transaction},
};

impl Purchases {
    /// Verifies every condition of [`Purchases::purchase`] that can be verified without storing
    /// anything. Returns the transaction that a purchase would return; `None` when it would begin
    /// one, or arm one again. A purchase that would be quarantined is valid: it begins a transaction.
    ///
    /// # Errors
    /// The error with which a purchase would be refused now.
    pub async fn validate(
        &self,
        intent: Intent,
    ) -> Result<Option<Arc<Transaction>>, PurchaseError> {
        let key = intent.key();
        // Read before the store, so that a claim that ends in between is found there.
        let is_being_claimed = self.claims.contains(&key);
        let stored = self.ledger.load(&key).await;
        let stored = stored.map_err(PurchaseError::NotClaimed)?;
        if let Some(stored) = &stored {
            let same = self.verify_same(stored, &intent).await;
            same.map_err(|error| {
                if is_being_claimed {
                    error.into_maybe_sent()
                } else {
                    error
                }
            })?;
            if !matches!(stored.status().state, State::NotSent(_)) {
                return Ok(Some(Arc::clone(stored)));
            }
        }
        let is_unsent = !is_being_claimed
            && match &stored {
                Some(stored) => self.failover.is_unsent(stored).await,
                None => !self.failover.may_have_forgotten(&key).await,
            };
        let sent = if is_unsent { Sent::No } else { Sent::Maybe };
        match self.verify_unsent(intent, stored.as_deref(), sent).await {
            Err(refusal) if is_being_claimed && refusal.may_follow_loss() => {
                Err(PurchaseError::Overtaken)
            }
            Err(refusal) if !is_unsent && refusal.may_follow_loss() => {
                Err(PurchaseError::MayBeForgotten(refusal.to_string()))
            }
            verified => verified.map(|()| None),
        }
    }

    /// Verifies the conditions of a purchase that would be sent. `before` is the NOT_SENT
    /// transaction of its reference code. Guards do not concern a purchase that would be quarantined.
    async fn verify_unsent(
        &self,
        intent: Intent,
        before: Option<&Transaction>,
        sent: Sent,
    ) -> Result<(), PurchaseError> {
        if self.stopping.is_cancelled() {
            return Err(PurchaseError::Stopping(sent));
        }
        let named = before.map_or(&intent.account, Transaction::account);
        let Some(account) = self.accounts.configured(named) else {
            let name = named.clone();
            return Err(PurchaseError::NoSuchAccount { name, sent });
        };
        let intent = Intent { account, ..intent };
        if self.failover.is_unfit_for(&intent.key()) {
            return Err(PurchaseError::StoreUnfit(sent));
        }
        if let Some(limit) = self.exhausted_limit() {
            return Err(PurchaseError::Overloaded { limit, sent });
        }
        let sold = self
            .sales
            .open_sale_of(&intent.contents, &intent.key())
            .await;
        if let Some(reference_code) = sold.map_err(PurchaseError::NotClaimed)? {
            return Err(PurchaseError::SoldByInquiry { reference_code });
        }
        match &intent.contents {
            Contents::PurchasePrepaid {
                product_code,
                inquiry_code: None,
                ..
            } => {
                let guards =
                    self.verify_guards(&intent, &intent.account, product_code, before, None);
                if sent == Sent::No {
                    guards.await
                } else {
                    Ok(())
                }
            }
            Contents::PurchasePrepaid {
                inquiry_code: Some(code),
                ..
            }
            | Contents::PayPostpaid {
                inquiry_code: code, ..
            } => self.verify_inquired(&intent, code, before, sent).await,
        }
    }

    /// Verifies the inquiry of a purchase, its holder, and the other payments of its bill.
    async fn verify_inquired(
        &self,
        intent: &Intent,
        code: &InquiryCode,
        before: Option<&Transaction>,
        sent: Sent,
    ) -> Result<(), PurchaseError> {
        let not_claimed = PurchaseError::NotClaimed;
        let account = before
            .map(Transaction::account)
            .or_else(|| intent.named_account());
        let inquiries = self.find_inquiries(account, code).await?;
        let picked = inquiries.pick(&meant(intent, before.map(Transaction::order)))?;
        let order = picked.inquiry.order((self.ambient.now)())?;
        if sent == Sent::No {
            let (account, product) = (&picked.inquiry.account, &order.product_code);
            self.verify_guards(intent, account, product, before, None)
                .await?;
        }
        let upstream = self.upstreams.get(&picked.inquiry.account);
        if let Some(name) = upstream.and_then(|upstream| upstream.client.unsendable(order)) {
            Err(NotPayable::Unsendable(name))?;
        }
        let note = BindingNote::of(picked);
        let holder = self.inquiries.other_holder(&note, &intent.key()).await;
        if let Some(holder) = holder.map_err(not_claimed)? {
            return Err(self.already_used(Some(holder)).await.map_err(not_claimed)?);
        }
        let room = self.inquiries.room_under_bill(order, &intent.key()).await;
        room.map_err(not_claimed)?
            .map_err(|full| full_bill(&full))?;
        let verified = self.verify_bill(order, intent).await;
        verified.map_err(not_claimed)?
    }

    /// Returns the name of a limit that a purchase would exceed now; `None` if there is room.
    fn exhausted_limit(&self) -> Option<&'static str> {
        if self.queue.available_permits() == 0 || self.unfinished.reserve().is_none() {
            Some("limits.queue")
        } else if self.ledger.admit_waiter().is_none() {
            Some("limits.waiters")
        } else {
            None
        }
    }
}
