//! Admission: every reason to refuse a call before its claim.
//!
//! A replay needs no admission: a refused caller may still receive the transaction of an earlier
//! call under the same reference code. So each refusal first reads the store.
//!
//! | # | refused when | error |
//! | --- | --- | --- |
//! | 1 | the gateway is stopping | `Stopping` |
//! | 2 | the account is not configured | `NoSuchAccount` |
//! | 3 | the store failed its last verification | `StoreUnfit` |
//! | 4 | the queue is full, or too many callers are waiting | `Overloaded` |
//! | 5 | too many purchases are waiting for the store | `Overloaded` |
//! | 6 | OKEBAYAR may have sold the product in response to an inquiry | `SoldByInquiry` |
//! | 7 | the reference code was used with other contents | `OtherContents` |
//! | 8 | no account has the inquiry, or several have it | `NoSuchInquiry`, `AmbiguousInquiry` |
//! | 9 | the inquiry does not fit the request, has expired, or cannot be sent | `NotPayable` |
//! | 10 | another transaction holds the inquiry | `InquiryAlreadyUsed` |
//! | 11 | another payment of the bill is open, or is newer than the inquiry | `BillPaymentOpen`, `InquiryOutdated` |
//! | 12 | the list of the bill is full of open payments | `BillPaymentOpen` |
//! | 13 | the caller's `expire_time` has passed | `Expired` |
//! | 14 | the product costs more than the caller accepts, or an unknown price | `PriceTooHigh`, `PriceUnknown` |
//!
//! [`Purchases::admit`] verifies 1 to 4 in the caller's own task, [`Purchases::claim_and_send`] 5,
//! and [`Purchases::admit_order`] 6 to 12 right before the claim. Conditions that can change
//! meanwhile are verified again after the claim (`recheck.rs`).
//!
//! [`Purchases::claim`] verifies 3 again before each try, 7 for each record that has the reference
//! code, 2 and the bill for a NOT_SENT record that it arms again, and 13 and 14 (`guards.rs`) for an
//! attempt that would be sent. Each step that cannot read the store refuses with `NotClaimed`.
//! `OutOfTime`, `Overtaken` and `MayBeForgotten` are not reasons of admission: they report a deadline, a race and a
//! possible loss.

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
    store::StoreError,
    transaction::{Contents, InquiryCode, Intent, NotPayable, Order, State, Transaction},
};

/// The transaction under the reference code of a call, once the code is claimed.
pub(super) enum Admission {
    /// This call claimed it.
    Ours(Arc<Transaction>),
    /// Another call claimed it.
    Theirs(Arc<Transaction>),
}

impl Purchases {
    /// Admits a call, starts the task that claims and sends, and returns the transaction once the
    /// reference code is claimed.
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
        if self.failover.is_unfit_for(&intent.key()) {
            return self.replay_or(&intent, PurchaseError::StoreUnfit).await;
        }
        let slot = Arc::clone(&self.queue).try_acquire_owned();
        let slot = match slot {
            Ok(slot) if may_wait => slot,
            refused => {
                let limit = if refused.is_ok() {
                    "limits.waiters"
                } else {
                    "limits.queue"
                };
                drop(refused);
                let refusal = |sent| PurchaseError::Overloaded { limit, sent };
                return self.replay_or(&intent, refusal).await;
            }
        };
        let (reply, replied) = oneshot::channel();
        let purchases = Arc::clone(self);
        let claiming = self.claims.begin(intent.key());
        let task = async move {
            purchases
                .claim_and_send(intent, slot, claiming, reply)
                .await;
        };
        self.tasks.spawn(task.in_current_span());
        replied.await.unwrap_or_else(|_| {
            Err(PurchaseError::OutcomeUnreadable(
                "the purchase was interrupted".to_owned(),
            ))
        })
    }

    /// Finds the order of a request, and verifies that it may be claimed. Reads the stored
    /// transaction first: a replay never reads the inquiry.
    pub(super) async fn admit_order(
        &self,
        intent: &Intent,
    ) -> Result<AdmittedOrder, PurchaseError> {
        let inquiry_code = match &intent.contents {
            Contents::PurchasePrepaid {
                product_code,
                account_number,
                inquiry_code: None,
            } => {
                let selling = self.verify_not_sold(intent);
                let pricing = self.read_price(intent, product_code);
                let (taken, last_price) = tokio::join!(selling, pricing);
                if let Some(taken) = taken? {
                    return Ok(taken);
                }
                let order = Order {
                    product_code: product_code.clone(),
                    account_number: account_number.clone(),
                    inquired: None,
                };
                return Ok(AdmittedOrder::New(Box::new(NewOrder {
                    account: intent.account.clone(),
                    order,
                    binding: None,
                    last_price,
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
        let key = intent.key();
        let loading = self.ledger.load(&key);
        let (taken, stored) = tokio::join!(self.verify_not_sold(intent), loading);
        if let Some(taken) = taken? {
            return Ok(taken);
        }
        let stored = stored.map_err(PurchaseError::NotClaimed)?;
        if let Some(stored) = &stored {
            self.verify_same(stored, intent).await?;
            if !matches!(stored.status().state, State::NotSent(_)) {
                return Ok(AdmittedOrder::Taken(Arc::clone(stored)));
            }
        }
        let new_order = self.inquired_order(intent, inquiry_code, stored.as_deref());
        Ok(AdmittedOrder::New(Box::new(new_order.await?)))
    }

    /// Finds the inquiry of a request, binds it, and lists the transaction under its bill, in this
    /// order, so that a refused call is not listed. `before` is the stored NOT_SENT transaction of
    /// the reference code.
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
        // Before the inquiry is bound, so that a refused call does not keep it.
        let (account, product) = (&picked.inquiry.account, &order.product_code);
        let guarded = self.verify_guards(intent, account, product, before, None);
        if let Err(refusal) = guarded.await
            && !self.failover.may_have_forgotten(&key).await
        {
            return Err(refusal);
        }
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
            last_price: None,
        })
    }

    /// Refuses a purchase when OKEBAYAR may have sold the product in response to an inquiry, until
    /// an operator settles that sale. Returns the transaction of a purchase that has already begun.
    ///
    /// # Errors
    /// [`PurchaseError::SoldByInquiry`]; [`PurchaseError::NotClaimed`] when the store cannot be
    /// read.
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
            if !matches!(stored.status().state, State::NotSent(_)) {
                return Ok(Some(AdmittedOrder::Taken(stored)));
            }
        }
        Err(PurchaseError::SoldByInquiry { reference_code })
    }

    /// Refuses to arm a transaction again when its account is not configured, or for another bill:
    /// OKEBAYAR may have reused the inquiry code between the look-ups of two calls.
    pub(super) async fn verify_rearmable(
        &self,
        stored: &Transaction,
        new_order: &NewOrder,
    ) -> Result<(), PurchaseError> {
        let is_free = matches!(stored.status().state, State::NotSent(_));
        if is_free && !stored.order().is_same_bill(&new_order.order) {
            return Err(PurchaseError::OtherContents {
                field: "account_number",
                sent: self.sent_before(&stored.key()).await,
            });
        }
        if is_free && self.upstreams.get(stored.account()).is_none() {
            return Err(PurchaseError::NoSuchAccount {
                name: stored.account().clone(),
                sent: self.sent_before(&stored.key()).await,
            });
        }
        Ok(())
    }

    /// Returns the transaction that already has the reference code, or the refusal of a call that
    /// must not begin one. Reads the store, so that the refusal carries the send status of the
    /// reference code.
    pub(super) async fn replay_or(
        &self,
        intent: &Intent,
        refusal: impl FnOnce(Sent) -> PurchaseError,
    ) -> Result<Admission, PurchaseError> {
        let key = intent.key();
        // Read before the store, so that a claim that ends in between is seen in one of the two.
        let is_being_claimed = self.claims.contains(&key);
        let is_unsent = match self.ledger.load(&key).await {
            Ok(Some(stored)) => {
                let same = self.verify_same(&stored, intent).await;
                same.map_err(|error| {
                    if is_being_claimed {
                        error.into_maybe_sent()
                    } else {
                        error
                    }
                })?;
                if !matches!(stored.status().state, State::NotSent(_)) {
                    return Ok(Admission::Theirs(stored));
                }
                !is_being_claimed && self.failover.is_unsent(&stored).await
            }
            Ok(None) => !is_being_claimed && !self.failover.may_have_forgotten(&key).await,
            Err(error @ StoreError::Retired(_)) => return Err(PurchaseError::NotClaimed(error)),
            Err(_) => false,
        };
        let sent = if is_unsent { Sent::No } else { Sent::Maybe };
        Err(refusal(sent))
    }
}
