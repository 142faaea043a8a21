//! The list of the transactions for one customer's bills.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    inquiry_records::InquiryRecords,
    notes::{MARK_KEPT, keep},
};
use crate::{
    failover::ListedTransaction,
    store::{KeyList, Store, StoreError},
    transaction::{
        FailureReason, Finding, Order, State, Statement, Transaction, TransactionKey, Verbatim,
    },
};

/// The time for which a retired success stays in the list: an inquiry from before it is outdated.
const PAID_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Reads the list of the transactions for a customer's bills.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn of_bill(store: &dyn Store, customer: &Verbatim) -> Result<KeyList, StoreError> {
    KeyList::read(store, &bill_note_name(customer)).await
}

/// Appends a transaction to the list of a customer's bills, and removes `evicted`. Compare-and-set:
/// returns false when the list has changed since it was read.
///
/// # Errors
/// [`StoreError`] on an indeterminate result; then do not pay.
pub async fn list_last(
    store: &dyn Store,
    customer: &Verbatim,
    read: &KeyList,
    key: &TransactionKey,
    evicted: &[TransactionKey],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (name, keep) = (bill_note_name(customer), keep(now, now, MARK_KEPT));
    read.put_last(store, &name, key, evicted, keep).await
}

/// Marks the list of a customer's bills before a removal; returns `None` when the list has changed
/// since it was read.
///
/// # Errors
/// [`StoreError`] on an indeterminate result.
pub async fn mark(
    store: &dyn Store,
    customer: &Verbatim,
    read: KeyList,
    id: Uuid,
    now: Timestamp,
) -> Result<Option<KeyList>, StoreError> {
    let (name, keep) = (bill_note_name(customer), keep(now, now, MARK_KEPT));
    read.mark(store, &name, id, keep).await
}

/// Removes transactions from the list of a customer's bills. Returns false when the list has changed
/// since it was read.
///
/// # Errors
/// [`StoreError`] on an indeterminate result.
pub async fn remove(
    store: &dyn Store,
    customer: &Verbatim,
    read: &KeyList,
    removed: &[TransactionKey],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (name, keep) = (bill_note_name(customer), keep(now, now, MARK_KEPT));
    read.remove(store, &name, removed, keep).await
}

/// Renews the list of a customer's bills, if the transaction is in it.
///
/// # Errors
/// [`StoreError`] when the store fails.
pub(super) async fn renew(
    store: &dyn Store,
    customer: &Verbatim,
    key: &TransactionKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (name, keep) = (bill_note_name(customer), keep(now, now, MARK_KEPT));
    let list = KeyList::read(store, &name).await?;
    list.renew(store, &name, key, keep).await
}

/// Returns the name of a bill's note. A customer has the same number at a biller, whichever product
/// code or account pays; the hash keeps the number out of the key.
fn bill_note_name(customer: &Verbatim) -> String {
    let digest = Sha256::digest(customer.as_str().to_ascii_lowercase());
    format!("bill:{}", hex::encode(&digest[..16]))
}

/// The reason why a full list of a bill has no room for another transaction.
pub enum FullBill {
    /// Every transaction in it is open; holds the oldest.
    Open(ListedTransaction),
    /// It has no entry that may be evicted. The call may be retried.
    Contended,
}

impl InquiryRecords {
    /// Lists a transaction under its bill. Idempotent.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; [`FullBill`] when there is no room.
    pub async fn list_under_bill(
        &self,
        order: &Order,
        key: &TransactionKey,
    ) -> Result<Result<(), FullBill>, StoreError> {
        self.list_until(order, key, |list| list.keys().contains(key))
            .await
    }

    /// Returns the reason why [`Self::list_under_bill`] would have no room for a transaction now.
    /// Writes nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn room_under_bill(
        &self,
        order: &Order,
        key: &TransactionKey,
    ) -> Result<Result<(), FullBill>, StoreError> {
        let Some(inquired) = &order.inquired else {
            return Ok(Ok(()));
        };
        let list = of_bill(&*self.store, &inquired.customer).await?;
        if !list.is_full() || list.keys().contains(key) {
            return Ok(Ok(()));
        }
        Ok(self.evictable(&list).await?.map(drop))
    }

    /// Moves a claimed transaction to the end of a full list.
    ///
    /// SUBTLE: payment A is listed, without a record or NOT_SENT:
    /// 1. payment B finds the list full, and reads that A may be evicted;
    /// 2. A is claimed;
    /// 3. B takes A's place in the list.
    ///
    /// So A moves to the end of a full list after its claim: either the move makes 3 fail, or it
    /// lists A again. It also lists A again where the store was replaced in between and lost the
    /// list, and where the retention removes A ([`Self::unlist_ended`]).
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; [`FullBill`] when there is no room.
    pub async fn secure_place(
        &self,
        order: &Order,
        key: &TransactionKey,
    ) -> Result<Result<(), FullBill>, StoreError> {
        let is_safe =
            |list: &KeyList| list.keys().contains(key) && !list.is_full() && !list.is_marked();
        self.list_until(order, key, is_safe).await
    }

    /// Lists a transaction until `is_done`, which it checks with each read of the list.
    async fn list_until(
        &self,
        order: &Order,
        key: &TransactionKey,
        is_done: impl Fn(&KeyList) -> bool,
    ) -> Result<Result<(), FullBill>, StoreError> {
        let Some(inquired) = &order.inquired else {
            return Ok(Ok(()));
        };
        let (store, customer) = (&*self.store, &inquired.customer);
        loop {
            let list = of_bill(store, customer).await?;
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
            if list_last(store, customer, &list, key, evicted.as_slice(), now).await? {
                return Ok(Ok(()));
            }
        }
    }

    /// Returns the transaction to evict from a full list: the oldest that paid nothing, otherwise
    /// the oldest success. Never evicts the last one, which may be about to be claimed.
    async fn evictable(
        &self,
        list: &KeyList,
    ) -> Result<Result<TransactionKey, FullBill>, StoreError> {
        let mut listed = self.failover.load_listed(list.keys()).await?;
        listed.pop();
        let paid = |listed: &&ListedTransaction| listed.succeeded_at().is_some();
        let settled: Vec<&ListedTransaction> = listed.iter().filter(|one| !one.is_open()).collect();
        let evicted = settled.iter().find(|one| !paid(one)).or(settled.first());
        if let Some(evicted) = evicted {
            return Ok(Ok(evicted.key.clone()));
        }
        let full = listed.into_iter().next().map(FullBill::Open);
        Ok(Err(full.unwrap_or(FullBill::Contended)))
    }

    /// Removes from the list of a bill what ends with a transaction: the transaction itself if nothing
    /// was sent, and retired ones that cannot matter any more. Without record and tombstone they would
    /// look lost while the failover guard is on, and block the bill.
    ///
    /// SUBTLE: the transaction may be armed again meanwhile:
    /// 1. it is read here as NOT_SENT;
    /// 2. it is claimed, and finds its place in the list;
    /// 3. it is removed, and another payment of the bill does not find it.
    ///
    /// So the list is marked before 1. A claim after 1 reads the mark and writes the list, which makes
    /// 3 fail, or does not find itself, and lists itself again ([`Self::secure_place`]).
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn unlist_ended(&self, ending: &Transaction) -> Result<(), StoreError> {
        let Some(inquired) = &ending.order().inquired else {
            return Ok(());
        };
        let (store, customer, key) = (&*self.store, &inquired.customer, ending.key());
        let is_unsent = matches!(ending.status().state, State::NotSent(_));
        loop {
            let mut list = of_bill(store, customer).await?;
            let now = self.now();
            let mut ended = self.settled_long_ago(&list, now).await?;
            let ends = is_unsent && list.keys().contains(&key);
            if ends {
                let Some(marked) = mark(store, customer, list, self.id(), now).await? else {
                    continue;
                };
                list = marked;
                if self.is_stored(ending).await? {
                    ended.push(key.clone());
                }
            }
            if !ends && ended.is_empty() || remove(store, customer, &list, &ended, now).await? {
                return Ok(());
            }
        }
    }

    /// Returns true while this version of a transaction is stored.
    async fn is_stored(&self, version: &Transaction) -> Result<bool, StoreError> {
        let stored = match self.store.load(&version.key()).await {
            Err(StoreError::Retired(_)) => None,
            loaded => loaded?,
        };
        Ok(stored.is_some_and(|stored| stored.base() == version.base()))
    }

    /// Returns the retired transactions of a list that no inquiry can be outdated by.
    async fn settled_long_ago(
        &self,
        list: &KeyList,
        now: Timestamp,
    ) -> Result<Vec<TransactionKey>, StoreError> {
        let listed = self.failover.load_listed(list.keys()).await?;
        let before = now.checked_sub(PAID_KEPT).unwrap_or(Timestamp::MIN);
        let is_old = |one: &ListedTransaction| one.succeeded_at().is_none_or(|at| at < before);
        let ended = listed
            .into_iter()
            .filter(|one| one.retired.is_some() && is_old(one));
        Ok(ended.map(|one| one.key).collect())
    }

    /// Loads the transactions of a customer's bill, except the caller's own.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn others_of_bill(
        &self,
        customer: &Verbatim,
        own: &TransactionKey,
    ) -> Result<Vec<ListedTransaction>, StoreError> {
        let list = of_bill(&*self.store, customer).await?;
        let others: Vec<TransactionKey> = list
            .keys()
            .iter()
            .filter(|key| *key != own)
            .cloned()
            .collect();
        self.failover.load_listed(&others).await
    }

    /// Reviews the finding "already paid". It stays a failure, unless another transaction for the
    /// same bill is open, or the store may have lost one. Then a payment of the gateway's own may
    /// have paid the bill, and the finding escalates to manual review.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn review_already_paid(
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
        // The store may have lost the payment that paid the bill.
        let epoch = self.failover.refresh().await?;
        let may_be_lost = self.failover.is_on(&epoch);
        if may_be_lost || others.iter().any(ListedTransaction::is_open) {
            return Ok(Statement {
                finding: Finding::PaidMeanwhile,
                ..said
            });
        }
        Ok(said)
    }
}
