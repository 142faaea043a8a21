//! The send status of a reference code, and the verification of replays.

use super::{
    claim::{ClaimFault, Claimed},
    error::{PurchaseError, Sent},
    purchases::Purchases,
};
use crate::{
    store::StoreError,
    transaction::{Intent, State, Transaction, TransactionKey},
};

impl Purchases {
    /// Returns true when a reference code may have been sent although there is no transaction for
    /// the caller: the store holds one of another account, a claim is in flight, or the store may
    /// have lost the record and the code is not provably newer than the loss.
    pub async fn may_have_sent(&self, key: &TransactionKey) -> bool {
        let is_being_claimed = self.claims.contains(key);
        if is_being_claimed || !matches!(self.ledger.load(key).await, Ok(None)) {
            return true;
        }
        self.failover.may_have_forgotten(key).await
    }

    /// Returns the send status of a stored reference code, for a call that has at most one claim of
    /// it in flight.
    pub(super) async fn sent_before(&self, key: &TransactionKey) -> Sent {
        // Read before the store, so that a claim that ends in between is found there.
        let is_contended = self.claims.is_contended(key);
        match self.ledger.load(key).await {
            Ok(Some(stored)) if !is_contended && self.failover.is_unsent(&stored).await => Sent::No,
            _ => Sent::Maybe,
        }
    }

    /// Verifies that a stored transaction matches the request: the same contents, the same spelling
    /// of the reference code, and the account that the request names, if it names one (promise 5).
    pub(super) async fn verify_same(
        &self,
        stored: &Transaction,
        intent: &Intent,
    ) -> Result<(), PurchaseError> {
        let difference = if *stored.reference_code() != intent.reference_code {
            Some("reference_code")
        } else if !self
            .accounts
            .is_meant(stored.account(), intent.named_account())
        {
            Some("account")
        } else if let Some(erasure) = stored.erasure() {
            // The customer that the caller names is unknown.
            (!erasure.is_of(&intent.contents)).then_some("contents")
        } else if !is_for(stored, intent) {
            Some("account_number")
        } else {
            stored.stated_contents().difference(&intent.contents)
        };
        let Some(field) = difference else {
            return Ok(());
        };
        let sent = self.sent_before(&stored.key()).await;
        Err(PurchaseError::OtherContents { field, sent })
    }

    /// Resolves the refusal of a call. Returns the transaction that another call has claimed since,
    /// the refusal itself, or [`PurchaseError::MayBeForgotten`] when the store may have lost the
    /// record of an earlier call: a lost inquiry does not prove that nothing was paid.
    pub(super) async fn resolve_refusal(
        &self,
        intent: &Intent,
        refusal: PurchaseError,
    ) -> Result<Claimed, ClaimFault> {
        if !refusal.may_follow_loss() {
            return Err(ClaimFault::Refused(refusal));
        }
        let key = intent.key();
        // Read before the store, so that a claim that ends in between is found there.
        let is_contended = self.claims.is_contended(&key);
        let refused = match self.ledger.load(&key).await {
            Ok(Some(stored)) if !matches!(stored.status().state, State::NotSent(_)) => {
                self.verify_same(&stored, intent)
                    .await
                    .map_err(ClaimFault::Refused)?;
                return Ok(Claimed::Taken(stored));
            }
            Err(error @ StoreError::Retired(_)) => PurchaseError::NotClaimed(error),
            _ if is_contended => PurchaseError::Overtaken,
            Ok(Some(stored)) if self.failover.is_unsent(&stored).await => refusal,
            Ok(None) if !self.failover.may_have_forgotten(&key).await => refusal,
            Ok(_) | Err(_) => PurchaseError::MayBeForgotten(refusal.to_string()),
        };
        Err(ClaimFault::Refused(refused))
    }
}

/// Returns true when the caller names the customer of a stored transaction, or no customer.
fn is_for(stored: &Transaction, intent: &Intent) -> bool {
    let named = intent.bill.account_number.as_ref();
    named.is_none_or(|number| stored.order().is_for(number))
}
