//! Admission: every reason to refuse a call before its claim.
//!
//! A replay needs no admission: whoever is refused may still learn of an earlier call under the same
//! reference code, so each refusal first reads the store.
//!
//! | # | refused when | error |
//! | --- | --- | --- |
//! | 1 | the gateway is stopping | `Stopping` |
//! | 2 | the account is not configured | `NoSuchAccount` |
//! | 3 | the store failed its last verification | `StoreUnfit` |
//! | 4 | the queue is full, or too many callers wait | `Overloaded` |
//! | 5 | too many purchases wait for the store | `Overloaded` |
//! | 6 | an inquiry may have bought the same already | `SoldByInquiry` |
//! | 7 | the reference code was used with other contents | `OtherContents` |
//! | 8 | no account, or several, have the inquiry | `NoSuchInquiry`, `AmbiguousInquiry` |
//! | 9 | the inquiry does not fit the request, has expired, or cannot be sent | `NotPayable` |
//! | 10 | another transaction holds the inquiry | `InquiryAlreadyUsed` |
//! | 11 | another payment of the bill is open, or is newer than the inquiry | `BillPaymentOpen`, `InquiryOutdated` |
//! | 12 | the list of the bill is full of open payments | `BillPaymentOpen` |
//!
//! 1 to 4 are verified by [`Purchases::admit`] in the caller's own task, 5 by
//! [`Purchases::claim_and_send`], 6 to 12 by [`Purchases::admit_order`] right before the claim. What can
//! change meanwhile is verified again after the claim (`recheck.rs`).

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::Instrument;

use super::{
    bill::full_bill,
    error::{PurchaseError, Sent},
    order::{AdmittedOrder, NewOrder, meant},
    purchases::Purchases,
};
use crate::{
    inquiries::binding::BindingNote,
    transaction::{Contents, InquiryCode, Intent, NotPayable, Order, State, Transaction},
};

/// The transaction that a call is about.
pub(super) enum Admission {
    /// The call has claimed it.
    Ours(Arc<Transaction>),
    /// Another call has claimed it.
    Theirs(Arc<Transaction>),
}

impl Purchases {
    /// Admits a call, and returns the transaction that it is about once that is claimed.
    pub(super) async fn admit(
        self: &Arc<Self>,
        intent: Intent,
        may_wait: bool,
    ) -> Result<Admission, PurchaseError> {
        if self.stopping.is_cancelled() {
            return self.replay_or(&intent, PurchaseError::Stopping).await;
        }
        let Some(account) = self.accounts.configured(&intent.account) else {
            let name = intent.account.clone();
            let refusal = |sent| PurchaseError::NoSuchAccount { name, sent };
            return self.replay_or(&intent, refusal).await;
        };
        let intent = Intent { account, ..intent };
        if self.failover.store_problem().is_some() {
            return self.replay_or(&intent, PurchaseError::StoreUnfit).await;
        }
        let slot = Arc::clone(&self.queue).try_acquire_owned();
        let Some(slot) = slot.ok().filter(|_| may_wait) else {
            return self.replay_or(&intent, PurchaseError::Overloaded).await;
        };
        let (reply, replied) = oneshot::channel();
        let purchases = Arc::clone(self);
        let claiming = self.claims.begin(intent.key());
        let task = async move {
            purchases
                .claim_and_send(intent, slot, claiming, reply)
                .await
        };
        self.tasks.spawn(task.in_current_span());
        replied.await.unwrap_or_else(|_| {
            Err(PurchaseError::OutcomeUnreadable(
                "the purchase was interrupted".to_owned(),
            ))
        })
    }

    /// Finds the order of a request, and verifies that it may be claimed. The stored transaction
    /// comes first: a replay never reads the inquiry.
    pub(super) async fn admit_order(
        &self,
        intent: &Intent,
    ) -> Result<AdmittedOrder, PurchaseError> {
        if let Some(taken) = self.verify_not_sold(intent).await? {
            return Ok(taken);
        }
        let inquiry_code = match &intent.contents {
            Contents::PurchasePrepaid {
                product_code,
                account_number,
                inquiry_code: None,
            } => {
                let order = Order {
                    product_code: product_code.clone(),
                    account_number: account_number.clone(),
                    inquired: None,
                };
                return Ok(AdmittedOrder::New(Box::new(NewOrder {
                    account: intent.account.clone(),
                    order,
                    binding: None,
                })));
            }
            Contents::PurchasePrepaid {
                inquiry_code: Some(code),
                ..
            }
            | Contents::PayPostpaid {
                inquiry_code: code, ..
            } => code,
        };
        let stored = self.ledger.load(&intent.key()).await;
        let stored = stored.map_err(PurchaseError::NotClaimed)?;
        if let Some(stored) = &stored {
            self.verify_same(stored, intent).await?;
            if !matches!(stored.standing().state, State::NotSent(_)) {
                return Ok(AdmittedOrder::Taken(Arc::clone(stored)));
            }
        }
        let new_order = self.inquired_order(intent, inquiry_code, stored.as_deref());
        Ok(AdmittedOrder::New(Box::new(new_order.await?)))
    }

    /// Finds the inquiry of a request, binds it, and lists the transaction under its bill, in this
    /// order: a call that is refused is not listed. `before` is what the store holds under the
    /// reference code, of which nothing was sent.
    async fn inquired_order(
        &self,
        intent: &Intent,
        inquiry_code: &InquiryCode,
        before: Option<&Transaction>,
    ) -> Result<NewOrder, PurchaseError> {
        let (key, not_claimed) = (intent.key(), PurchaseError::NotClaimed);
        let account = before
            .map(Transaction::account)
            .or_else(|| intent.named_account());
        let inquiries = self.find_inquiries(account, inquiry_code).await?;
        let picked = inquiries.pick(&meant(intent, before.map(Transaction::order)))?;
        let order = picked.inquiry.order((self.ambient.now)())?.clone();
        let upstream = self.upstreams.get(&picked.inquiry.account);
        if let Some(name) = upstream.and_then(|upstream| upstream.client.unsendable(&order)) {
            Err(NotPayable::Unsendable(name))?;
        }
        let note = BindingNote::of(picked);
        let is_ours = self
            .inquiries
            .bind(&note, &key)
            .await
            .map_err(not_claimed)?;
        if let Err(holder) = is_ours {
            let refused = self.already_used(Some(holder)).await;
            return Err(refused.map_err(not_claimed)?);
        }
        let verified = self.verify_bill(&order, intent).await;
        verified.map_err(not_claimed)??;
        let listed = self.inquiries.list_under_bill(&order, &key).await;
        listed
            .map_err(not_claimed)?
            .map_err(|full| full_bill(&full))?;
        Ok(NewOrder {
            account: picked.inquiry.account.clone(),
            order,
            binding: Some(note),
        })
    }

    /// Refuses a purchase of what an inquiry may have bought already, until an operator has
    /// settled that. A purchase that has begun is returned as it is.
    ///
    /// # Errors
    /// [`PurchaseError::SoldByInquiry`], or that the store cannot be read.
    pub(super) async fn verify_not_sold(
        &self,
        intent: &Intent,
    ) -> Result<Option<AdmittedOrder>, PurchaseError> {
        let not_claimed = PurchaseError::NotClaimed;
        let Some(reference_code) = self
            .sales
            .open_sale_of(&intent.contents, &intent.key())
            .await
            .map_err(not_claimed)?
        else {
            return Ok(None);
        };
        let stored = self.ledger.load(&intent.key()).await;
        if let Some(stored) = stored.map_err(not_claimed)? {
            self.verify_same(&stored, intent).await?;
            if !matches!(stored.standing().state, State::NotSent(_)) {
                return Ok(Some(AdmittedOrder::Taken(stored)));
            }
        }
        Err(PurchaseError::SoldByInquiry { reference_code })
    }

    /// Returns the transaction that has the reference code already, or the refusal of a
    /// call that may begin nothing. The store is read for it, so that the refusal says
    /// whether the reference code can have been sent before.
    pub(super) async fn replay_or(
        &self,
        intent: &Intent,
        refusal: impl FnOnce(Sent) -> PurchaseError,
    ) -> Result<Admission, PurchaseError> {
        let key = intent.key();
        // Before the store is read: a claim that ends in between is in one of the two.
        let is_being_claimed = self.claims.contains(&key);
        let is_unsent = match self.ledger.load(&key).await {
            Ok(Some(stored)) => {
                let same = self.verify_same(&stored, intent).await;
                same.map_err(|error| {
                    if is_being_claimed {
                        error.as_maybe_sent()
                    } else {
                        error
                    }
                })?;
                if !matches!(stored.standing().state, State::NotSent(_)) {
                    return Ok(Admission::Theirs(stored));
                }
                !is_being_claimed && self.failover.is_unsent(&stored).await
            }
            Ok(None) => !is_being_claimed && !self.failover.may_have_forgotten(&key).await,
            Err(_) => false,
        };
        let sent = if is_unsent { Sent::No } else { Sent::Maybe };
        Err(refusal(sent))
    }
}
