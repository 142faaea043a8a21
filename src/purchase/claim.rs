//! The claim of a reference code.

use std::sync::Arc;

use tracing::warn;

use super::{
    admission::Admission,
    error::PurchaseError,
    order::{AdmittedOrder, NewOrder},
    purchases::Purchases,
    recheck::ReadLookup,
};
use crate::{
    sales::SaleLookup,
    store::{Claim, NoteTexts, SendPermit, StoreError, claim_and_read},
    transaction::{Arming, AttemptToken, Change, Intent, State, Transaction},
};

/// The number of tries to win the claim against concurrent calls.
const CLAIM_TRIES_MAX: u32 = 8;

/// The result of the claim of a reference code.
pub(super) enum Claimed {
    /// This call claimed it, and may send.
    Won(SendPermit),
    /// This call claimed it; the failover guard quarantined the purchase, so nothing is sent.
    Quarantined(Arc<Transaction>),
    /// Another call claimed it.
    Taken(Arc<Transaction>),
}

/// The reason why a claim may not be sent.
pub(super) enum ClaimFault {
    /// Determinate failure: this call stored no claim.
    Refused(PurchaseError),
    /// The claim may be stored, and must be abandoned.
    Unconfirmed {
        /// The token of the attempt.
        token: AttemptToken,
        /// The error for the caller.
        error: PurchaseError,
    },
}

impl Purchases {
    /// Claims the reference code, or returns the transaction that has it. A transaction whose
    /// attempt ended NOT_SENT is armed again; one of several concurrent calls wins.
    pub(super) async fn claim(&self, intent: Intent) -> Result<Claimed, ClaimFault> {
        let new_order = match self.admit_order(&intent).await {
            Ok(AdmittedOrder::Taken(stored)) => return Ok(Claimed::Taken(stored)),
            Ok(AdmittedOrder::New(new_order)) => *new_order,
            Err(error) => return self.resolve_refusal(&intent, error).await,
        };
        let upstream = self.upstreams.get(&new_order.account);
        let token = AttemptToken::new((self.ambient.random)());
        let unconfirmed = |error| ClaimFault::Unconfirmed { token, error };
        let not_claimed = |error| unconfirmed(PurchaseError::NotClaimed(error));
        let unread = |error| ClaimFault::Refused(PurchaseError::NotClaimed(error));
        let mut epoch = self.failover.epoch().await.map_err(unread)?;
        let mut stored: Option<Arc<Transaction>> = None;
        for _ in 0..CLAIM_TRIES_MAX {
            let arming = Arming {
                token,
                at: (self.ambient.now)(),
                expire_at: intent.guards.expire_at,
                omits_hyphens: upstream.is_some_and(|upstream| upstream.client.omits_hyphens()),
                is_quarantined: self.failover.must_quarantine(
                    &epoch,
                    &intent,
                    &new_order.order,
                    stored.as_deref(),
                ),
            };
            if !arming.is_quarantined
                && let Err(refusal) = self
                    .verify_armable(&intent, &new_order, stored.as_deref())
                    .await
            {
                return self.resolve_refusal(&intent, refusal).await;
            }
            let Some(change) = self.arm(&intent, &new_order, stored.as_deref(), arming) else {
                let known = stored.map(Claimed::Taken);
                return known.ok_or(ClaimFault::Refused(PurchaseError::Overtaken));
            };
            // The store may have become unfit while the payment was prepared.
            if self.failover.is_unfit_for(&intent.key()) {
                return self.refuse_unfit(&intent).await;
            }
            let lookup = self.sales.begin_lookup(change.transaction.contents());
            let outcome = self
                .claim_and_publish(change, epoch.name(), lookup.as_ref())
                .await;
            let (claimed, sold) = outcome.map_err(|error| match error {
                // The reference code is retired, so this claim is not stored, and never will be.
                StoreError::Retired(_) => unread(error),
                error => not_claimed(error),
            })?;
            match claimed {
                Claim::Won(permit) => {
                    let lookup = lookup.map(|lookup| (lookup, sold));
                    let confirmed = self.confirm(permit, &new_order, &intent, lookup).await;
                    return confirmed.map(Claimed::Won).map_err(unconfirmed);
                }
                Claim::Quarantined(transaction) => {
                    warn!(key = %intent.key(), "purchase quarantined by the failover guard; status checks settle it");
                    return Ok(Claimed::Quarantined(transaction));
                }
                Claim::Taken(found) => {
                    let verified = self.verify_taken(&found, &new_order, &intent).await;
                    verified.map_err(ClaimFault::Refused)?;
                    stored = Some(found);
                }
                Claim::OtherEpoch => {
                    epoch = self.failover.refresh().await.map_err(unread)?;
                    stored = None;
                }
            }
        }
        Err(ClaimFault::Refused(PurchaseError::Overtaken))
    }

    /// Returns the transaction that another call has claimed, or the refusal of a claim while the
    /// store is unfit.
    async fn refuse_unfit(&self, intent: &Intent) -> Result<Claimed, ClaimFault> {
        match self.replay_or(intent, PurchaseError::StoreUnfit).await {
            Ok(Admission::Theirs(found) | Admission::Ours(found)) => Ok(Claimed::Taken(found)),
            Err(error) => Err(ClaimFault::Refused(error)),
        }
    }

    /// Claims an attempt, and publishes it once it is stored. Returns the note of `lookup` as it is
    /// after the claim, if it was read.
    async fn claim_and_publish(
        &self,
        change: Change,
        epoch: &str,
        lookup: Option<&SaleLookup>,
    ) -> Result<(Claim, Option<NoteTexts>), StoreError> {
        let _committing = self.ledger.committing(&change.transaction);
        let notes: Vec<String> = lookup
            .map(|lookup| lookup.note_name().to_owned())
            .into_iter()
            .collect();
        let claiming = claim_and_read(&*self.store, change, epoch, &notes);
        let (claimed, texts) = claiming.await?;
        match &claimed {
            Claim::Won(permit) => self.ledger.publish(permit.transaction()),
            Claim::Quarantined(transaction) => self.ledger.publish(transaction),
            Claim::Taken(_) | Claim::OtherEpoch => {}
        }
        Ok((claimed, texts))
    }

    /// Returns the permit of a claimed transaction if the conditions of its admission still hold.
    async fn confirm(
        &self,
        permit: SendPermit,
        new_order: &NewOrder,
        intent: &Intent,
        lookup: Option<ReadLookup>,
    ) -> Result<SendPermit, PurchaseError> {
        self.verify_claimed(permit.transaction(), new_order, intent, lookup)
            .await
            .map_err(PurchaseError::NotClaimed)??;
        Ok(permit)
    }

    /// Verifies that the stored transaction matches the request, and may be armed again if its
    /// attempt ended NOT_SENT.
    async fn verify_taken(
        &self,
        stored: &Transaction,
        new_order: &NewOrder,
        intent: &Intent,
    ) -> Result<(), PurchaseError> {
        self.verify_same(stored, intent).await?;
        self.verify_rearmable(stored, new_order).await
    }

    /// Verifies the guards of an attempt that would be sent, by the account that would pay it.
    async fn verify_armable(
        &self,
        intent: &Intent,
        new_order: &NewOrder,
        stored: Option<&Transaction>,
    ) -> Result<(), PurchaseError> {
        let is_taken = |stored: &Transaction| !matches!(stored.status().state, State::NotSent(_));
        if stored.is_some_and(is_taken) {
            return Ok(());
        }
        let account = stored.map_or(&new_order.account, Transaction::account);
        let product = &new_order.order.product_code;
        // A further try reads the price again.
        let last_price = new_order.last_price.filter(|_| stored.is_none());
        self.verify_guards(intent, account, product, stored, last_price)
            .await
    }

    /// Builds the change that begins a transaction, or arms a NOT_SENT one again; `None` when the
    /// reference code is taken. A stored transaction keeps its account.
    fn arm(
        &self,
        intent: &Intent,
        new_order: &NewOrder,
        stored: Option<&Transaction>,
        arming: Arming,
    ) -> Option<Change> {
        let (order, schedule) = (new_order.order.clone(), &self.settings.schedule);
        match stored {
            None => {
                let intent = Intent {
                    account: new_order.account.clone(),
                    ..intent.clone()
                };
                let rules = self.settings.rules;
                Some(Transaction::begin(intent, order, arming, rules, schedule))
            }
            Some(stored) => stored.arm_again(order, arming, schedule).ok(),
        }
    }
}
