//! One bill, one payment at a time: what a bill's other transactions forbid.
//!
//! Two reference codes may pay one bill, each with an inquiry of its own, so the reference code
//! alone does not keep them apart (docs/decisions/0012-one-bill-one-payment.md).
//! Each payment is listed under its bill before its claim, and reads the others after it.
//!
//! SUBTLE: 1. A is listed; 2. B is listed; 3. A is claimed; 4. B is claimed; 5. each reads the
//! other's record. Whoever claims second reads after the first claim, so at least one of the two
//! sees the other open and gives up; nobody sends before its own reading.

use std::{sync::Arc, time::Duration};

use super::{Engine, bill::Wanted, purchase::PurchaseError};
use crate::{
    store::{KeyList, StoreError, guard::Guard, inquiries},
    transaction::{
        FailureReason, Finding, Intent, Operation, Order, State, Statement, Transaction,
        TransactionKey, Verbatim,
    },
};

/// The number and spacing of the reads in which a payment waits for another one to give way.
const LOOKS: u32 = 40;
const LOOK_PAUSE: Duration = Duration::from_millis(25);

/// An obstacle to a payment.
enum Obstacle {
    /// Another transaction for the bill is open.
    Open(TransactionKey, PurchaseError),
    /// Anything that does not go away.
    Lasting(PurchaseError),
}

/// A transaction that is listed under a bill, or noted as a sale.
pub(super) struct Listed {
    pub(super) key: TransactionKey,
    /// `None` when it was never claimed, is about to be, or was lost.
    record: Option<Arc<Transaction>>,
    /// The store may have lost its record.
    may_be_lost: bool,
}

impl Listed {
    /// Returns true when it may yet pay the bill, or have paid it; for a sale, until it is settled.
    pub(super) fn is_open(&self) -> bool {
        match &self.record {
            Some(record) => is_open(record),
            None => self.may_be_lost,
        }
    }

    /// Returns the reference code, as it was first given where that is known.
    pub(super) fn reference_code(&self) -> String {
        match &self.record {
            Some(record) => record.reference_code().to_string(),
            None => self.key.to_string(),
        }
    }

    /// Returns true for what may have paid the bill: payments, and what is not known to be
    /// anything else.
    fn may_pay(&self) -> bool {
        self.record
            .as_ref()
            .is_none_or(|record| record.contents().operation() == Operation::PayPostpaid)
    }
}

/// Returns true while the outcome of a transaction is open.
pub(super) fn is_open(transaction: &Transaction) -> bool {
    let state = transaction.status().state;
    !state.is_settled() || matches!(state, State::NeedsReview { .. })
}

impl Engine {
    /// Refuses a payment whose bill another transaction may be paying, or has paid since the
    /// inquiry. Prepaid purchases after an inquiry may be made several at once.
    pub(super) async fn verify_bill(
        &self,
        order: &Order,
        intent: &Intent,
    ) -> Result<Result<(), PurchaseError>, StoreError> {
        Ok(match self.bill_obstacle(order, intent).await? {
            None => Ok(()),
            Some(Obstacle::Open(_, error) | Obstacle::Lasting(error)) => Err(error),
        })
    }

    /// Lists a transaction under its bill, unless it is. Returns the refusal when the list is
    /// full of open ones.
    pub(super) async fn list_under_bill(
        &self,
        order: &Order,
        key: &TransactionKey,
    ) -> Result<Result<(), PurchaseError>, StoreError> {
        self.ensure_listed(order, key, |list| list.keys().contains(key))
            .await
    }

    /// Verifies what a claim rests on, after the claim and before the POST: the transaction still
    /// has its inquiry, it is listed under its bill, nothing else pays that bill, and no inquiry has
    /// bought the same.
    pub(super) async fn verify_claimed(
        &self,
        claimed: &Transaction,
        wanted: &Wanted,
        intent: &Intent,
    ) -> Result<Result<(), PurchaseError>, StoreError> {
        let key = claimed.key();
        if let Some(reference_code) = self.sale_of(claimed.contents(), &key).await? {
            return Ok(Err(PurchaseError::SoldByInquiry { reference_code }));
        }
        if let Some(note) = &wanted.binding {
            let holder = inquiries::bound_to(&*self.store, note).await?;
            if holder.as_ref() != Some(&key) {
                return Ok(Err(self.already_used(holder).await?));
            }
        }
        let order = claimed.order();
        // SUBTLE: 1. we are listed, with no record or NOT_SENT; 2. another payment finds the list
        // full and reads that; 3. we are claimed; 4. it takes our place in the list. So we move to
        // the end of a full list after the claim: either that makes 4 fail, or it lists us again.
        // A store that was replaced in between may have lost the list as well.
        let is_safe = |list: &KeyList| list.keys().contains(&key) && !list.is_full();
        if let Err(refused) = self.ensure_listed(order, &key, is_safe).await? {
            return Ok(Err(refused));
        }
        for look in 1.. {
            match self.bill_obstacle(order, intent).await? {
                None => break,
                // Of two that see each other one gives way, so that not both give up.
                Some(Obstacle::Open(other, _)) if key < other && look < LOOKS => {
                    tokio::time::sleep(LOOK_PAUSE).await;
                }
                Some(Obstacle::Open(_, error) | Obstacle::Lasting(error)) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    async fn ensure_listed(
        &self,
        order: &Order,
        key: &TransactionKey,
        is_done: impl Fn(&KeyList) -> bool,
    ) -> Result<Result<(), PurchaseError>, StoreError> {
        let Some(inquired) = &order.inquired else {
            return Ok(Ok(()));
        };
        let (store, customer) = (&*self.store, &inquired.customer);
        loop {
            let list = inquiries::of_bill(store, customer).await?;
            if is_done(&list) {
                return Ok(Ok(()));
            }
            let is_listed = list.keys().contains(key);
            let evicted = if list.is_full() && !is_listed {
                match self.evictable(&list).await? {
                    Ok(evicted) => Some(evicted),
                    Err(refused) => return Ok(Err(refused)),
                }
            } else {
                None
            };
            let now = self.now();
            if inquiries::list_last(store, customer, &list, key, evicted.as_slice(), now).await? {
                return Ok(Ok(()));
            }
        }
    }

    /// Returns the transaction whose place in a full list is taken: the oldest that paid nothing,
    /// else the oldest success. Never the last, which may be about to be claimed.
    async fn evictable(
        &self,
        list: &KeyList,
    ) -> Result<Result<TransactionKey, PurchaseError>, StoreError> {
        let mut listed = self.listed(list.keys()).await?;
        listed.pop();
        let paid = |listed: &&Listed| {
            let record = listed.record.as_ref();
            record.is_some_and(|record| record.succeeded_at().is_some())
        };
        let settled: Vec<&Listed> = listed.iter().filter(|one| !one.is_open()).collect();
        let evicted = settled.iter().find(|one| !paid(one)).or(settled.first());
        Ok(match (evicted, listed.first()) {
            (Some(evicted), _) => Ok(evicted.key.clone()),
            (None, Some(open)) => Err(open_payment(open)),
            (None, None) => Err(PurchaseError::Overtaken),
        })
    }

    /// Loads what is listed.
    pub(super) async fn listed(&self, keys: &[TransactionKey]) -> Result<Vec<Listed>, StoreError> {
        let records = keys.iter().map(|key| self.store.load(key));
        let records = futures::future::try_join_all(records).await?;
        let guard: Option<Guard> = if records.iter().any(Option::is_none) {
            Some(self.refresh_guard().await?)
        } else {
            None
        };
        let listed = keys.iter().zip(records).map(|(key, record)| Listed {
            key: key.clone(),
            may_be_lost: guard
                .as_ref()
                .is_some_and(|guard| self.may_be_lost(guard, key)),
            record,
        });
        Ok(listed.collect())
    }

    async fn bill_obstacle(
        &self,
        order: &Order,
        intent: &Intent,
    ) -> Result<Option<Obstacle>, StoreError> {
        let (Some(inquired), Some(_)) = (&order.inquired, order.bill()) else {
            return Ok(None);
        };
        let own = intent.key();
        let mut listed = self.others_of_bill(&inquired.customer, &own).await?;
        listed.retain(Listed::may_pay);
        for other in &listed {
            if other.is_open() && !intent.bill.acknowledged.contains(&other.key) {
                return Ok(Some(Obstacle::Open(other.key.clone(), open_payment(other))));
            }
        }
        let skew = self.settings.guard.clock_skew;
        for other in &listed {
            let succeeded_at = other
                .record
                .as_ref()
                .and_then(|record| record.succeeded_at());
            let is_newer = |at| {
                inquired
                    .at
                    .is_some_and(|asked| asked.duration_since(at) > skew)
            };
            if succeeded_at.is_some_and(|at| !is_newer(at)) {
                let error = PurchaseError::InquiryOutdated {
                    reference_code: other.reference_code(),
                    skew,
                };
                return Ok(Some(Obstacle::Lasting(error)));
            }
        }
        Ok(None)
    }

    async fn others_of_bill(
        &self,
        customer: &Verbatim,
        own: &TransactionKey,
    ) -> Result<Vec<Listed>, StoreError> {
        let list = inquiries::of_bill(&*self.store, customer).await?;
        let others: Vec<TransactionKey> = list
            .keys()
            .iter()
            .filter(|key| *key != own)
            .cloned()
            .collect();
        self.listed(&others).await
    }

    /// Weighs "already paid": a failure, unless another transaction for the same bill is open, or
    /// the store may have lost one. Then it may be ours that paid, and a human decides.
    pub(super) async fn weigh(
        &self,
        about: &Transaction,
        said: Statement,
    ) -> Result<Statement, StoreError> {
        let inquired = about.order().inquired.as_ref();
        let (Finding::Failed(FailureReason::AlreadyPaid), Some(inquired)) =
            (said.finding, inquired)
        else {
            return Ok(said);
        };
        let others = self
            .others_of_bill(&inquired.customer, &about.key())
            .await?;
        // The store may have lost the payment of ours that paid it.
        let guard = self.refresh_guard().await?;
        let may_be_lost = guard.on(&self.settings.guard, self.now()).is_some();
        if may_be_lost || others.iter().any(Listed::is_open) {
            return Ok(Statement {
                finding: Finding::PaidMeanwhile,
                ..said
            });
        }
        Ok(said)
    }
}

fn open_payment(open: &Listed) -> PurchaseError {
    PurchaseError::BillPaymentOpen {
        reference_code: open.reference_code(),
    }
}
