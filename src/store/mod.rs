//! The durable record of every transaction, and the right to send.
//!
//! # The contract
//!
//! A store is a dumb compare-and-save round the pure fold. Both back ends keep
//! to this, and one suite (`tests/gateway/store_contract.rs`) holds them to it:
//!
//! 1. [`Store::commit`] stores a change if, and only if, the stored version is the
//!    one it was made from, of the same attempt; for the first version, if nothing is
//!    stored. Record, event and due index change together or not at all (promise 13),
//!    and are durable when it returns `Done`, as far as the back end promises.
//! 2. An `Err` from `commit` says nothing: the change may be stored. Read back.
//! 3. [`Store::history`] returns every event after a revision, in order, none
//!    missing, or says that it no longer can.
//! 4. [`Store::due`] returns what is due and not leased. Only the commit that names a
//!    lease, or its time, ends it: no other commit makes a leased check due. It keeps
//!    others from the same check for a while, and never concerns the right to send.
//! 5. Nothing that is not final ever disappears (promise 10).
//! 6. [`Store::events_after`] returns every event after a cursor, the events of one
//!    transaction in order and none missing, or says that it no longer can.
//! 7. A store names its history. It gives it another name when what was stored before
//!    may be lost; a commit that is told a name is refused under any other. Where the
//!    name ends in a seal ([`guard::split_epoch_name`]), it is refused as well where its part of
//!    the store does not bear that seal.
//! 8. [`Store::put_note`] stores a note if, and only if, it holds what the caller saw.
//!    As with `commit`, an `Err` says nothing: read back.
//!
//! # The right to send
//!
//! [`claim`] is the only place that makes a [`SendPermit`], and it makes one only
//! when this call's own attempt token is what the store holds (promises 1, 2, 9), in
//! the history that its caller knows, and never for an attempt that is held back
//! ([`guard`]).

mod cursor;
mod due;
mod identity;
mod key_list;
pub(crate) mod record;
pub mod redb;
pub mod redis;
pub mod unresolved;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

pub use cursor::{BadCursor, Cursor, Position};
pub use due::{Due, DueCheck, Lease, Unindexed};
pub use identity::{UserIdBefore, UserIdChange};
pub use key_list::KeyList;

pub mod guard {
    //! The failover guard.
    pub use crate::failover::{guard_view::*, known_epoch::*, observation::*, operator::*};
}

use guard::Seals;

use crate::transaction::{
    AccountName, AccountNames, Change, TraceCode, Transaction, TransactionKey,
};

/// Why a store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached, or did not answer in time. A write may have happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored under a key cannot be a transaction of this program.
    #[error("the record of {key} is unusable: {problem}")]
    Corrupt {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store must not be used as it is; the text names the remedy.
    #[error("the store cannot be used: {0}")]
    Unsuitable(String),
}

/// What a commit did.
#[derive(Debug, Clone)]
pub enum Commit {
    /// The change is stored.
    Done,
    /// Another version is stored; `None` when there is none at all.
    Conflict(Option<Arc<Transaction>>),
    /// The history is not the named one.
    OtherHistory,
}

/// The events after a revision.
#[derive(Debug, Clone)]
pub enum History {
    /// Every one, in order.
    Complete(Vec<Arc<Transaction>>),
    /// Some are no longer kept.
    Trimmed,
}

/// One change of one transaction, and where it stands among all of them.
#[derive(Debug, Clone)]
pub struct Event {
    /// The transaction as of that change.
    pub transaction: Arc<Transaction>,
    /// The part of the store's history that it belongs to.
    pub partition: usize,
    /// Its place there.
    pub position: Position,
}

/// The events after a cursor.
#[derive(Debug, Clone)]
pub enum Events {
    /// The next ones; none when there are none yet.
    Next(Vec<Event>),
    /// Some are no longer kept, or the cursor belongs to another history.
    OutOfRange,
}

/// What [`Store::list`] looks for: the newest transactions in one state.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The state, by [`crate::transaction::State::name`].
    pub state: &'static str,
    /// Accepted at this time or later.
    pub from: Timestamp,
    /// Only what comes after this one, in the order of the listing; newest first.
    pub after: Listed,
    /// The most to return.
    pub limit: usize,
}

/// One entry of a listing. Greater is newer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// When it was accepted, in Unix milliseconds.
    pub created_ms: i64,
    /// The transaction, by its name in the store; another text bounds a listing.
    pub name: String,
}

impl Listed {
    /// Later than any transaction: the greatest time that has 13 digits, in 2286.
    pub const MS_MAX: i64 = 9_999_999_999_999;

    /// The transaction of an entry that a store listed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when its name is none.
    pub fn key(&self) -> Result<TransactionKey, StoreError> {
        record::parse_key(&self.name)
    }
}

/// What became of writing a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Done,
    /// The note holds this; `None` when there is none.
    Conflict(Option<String>),
}

/// How long a note is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// The time now.
    pub now: Timestamp,
    /// At least until then; it may disappear afterwards.
    pub until: Timestamp,
}

/// The lists that a store keeps, each with the newest [`LIST_MAX`] items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Callbacks about unknown reference codes.
    Orphans,
    /// OKEBAYAR's texts to the partner.
    Notices,
    /// When and why operators ended the failover guard.
    GuardEndings,
}

impl List {
    fn name(self) -> &'static str {
        match self {
            Self::Orphans => "orphans",
            Self::Notices => "notices",
            Self::GuardEndings => "guard-endings",
        }
    }
}

/// The most items of a list; the oldest goes first.
pub const LIST_MAX: usize = 1000;

/// The name of the fact that holds the version of the stored form.
const SCHEMA_FACT: &str = "schema";

/// What a store belongs to; a store that belongs to something else is refused.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Account name to the SHA-256 of its user id, in hex.
    pub accounts: BTreeMap<AccountName, String>,
    /// The former names of those accounts.
    pub names: AccountNames,
    /// Names the history of a store that is made now.
    pub epoch: Uuid,
}

impl Identity {
    /// Returns the facts of the store itself, by name; `partitions` is for Redis only.
    /// Those of the accounts are in `identity.rs`.
    fn facts(partitions: Option<u64>) -> Vec<(String, String)> {
        let mut facts = vec![(SCHEMA_FACT.to_owned(), record::SCHEMA.to_string())];
        facts.extend(partitions.map(|count| ("partitions".to_owned(), count.to_string())));
        facts
    }
}

/// The accounts that a store has been used with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAccounts {
    /// Their names, former ones included.
    pub names: BTreeSet<AccountName>,
    /// False when names that this process saw are gone: others may be gone as well.
    pub is_whole: bool,
}

/// Builds the identity-mismatch error.
fn belongs_elsewhere(fact: &str, stored: &str, ours: &str) -> StoreError {
    if fact == SCHEMA_FACT {
        return StoreError::Unsuitable(format!(
            "it has schema {stored}, this release needs schema {ours}: reference codes are \
             unique in the whole store now. Let the release that made it settle what is open, \
             stop every gateway, run `okebayar-gateway guard start` on a new store (it makes \
             one), and only then start this release on that, so that reference codes of the \
             old store are not bought again"
        ));
    }
    StoreError::Unsuitable(format!(
        "it was made with {fact} = {stored}, the configuration says {ours}; \
         use another store, or configure what it was made with"
    ))
}

/// A notification of [`Store::listen`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The subscription is up: changes from now on are notified.
    Listening,
    /// A process committed this version of a transaction.
    Change(TransactionKey, u64),
}

/// The callback of [`Store::listen`].
pub type Wake<'a> = &'a (dyn Fn(Heard) + Send + Sync);

/// Keeps transactions. See the contract above.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores a change if it was made from what is stored, and, where a history is
    /// named, if that is still the store's.
    async fn commit(&self, change: &Change, history: Option<&str>) -> Result<Commit, StoreError>;

    /// The name of the store's history: `known`, if that is still the one.
    async fn history_name(&self, known: Option<&str>) -> Result<String, StoreError>;

    /// The transaction as stored, if there is one.
    async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError>;

    /// The events of a transaction with a revision greater than `after`.
    async fn history(&self, key: &TransactionKey, after: u64) -> Result<History, StoreError>;

    /// The checks of these accounts that are due at `now`, up to about `limit` of each
    /// account that were asked for and as many that were scheduled.
    async fn due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError>;

    /// A page, counted from 0, of what is due at `now` and not in the indexes of these
    /// accounts: transactions of others, and those that an earlier release stored.
    async fn unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError>;

    /// Acquires the lease on a check that is due at `now`: until it ends, the check is
    /// due for nobody. Returns the transaction as stored then; `None` when its check is
    /// not due, or leased.
    async fn lease_check(
        &self,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError>;

    /// Calls `wake` with [`Heard::Listening`] once it is subscribed, then with the key
    /// and version of every change that any process commits. Only a wake-up: it may
    /// miss some, the store is the truth. Returns when the connection breaks; a store of
    /// one process never does.
    async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError>;

    /// Notes which transaction a trace code of an account belongs to.
    async fn index_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError>;

    /// The transaction that a trace code was noted for.
    async fn find_by_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError>;

    /// The newest transactions of one state, as an index tells: read the record to be
    /// sure.
    async fn list(&self, listing: &Listing) -> Result<Vec<Listed>, StoreError>;

    /// How many transactions are in a state, by the same index, accepted at or after
    /// `from_ms` and before `to_ms`, in Unix milliseconds.
    async fn count(&self, state: &'static str, from_ms: i64, to_ms: i64)
    -> Result<u64, StoreError>;

    /// Where the history of all transactions ends now.
    async fn events_head(&self) -> Result<Cursor, StoreError>;

    /// Some of the events after a cursor, bounded in number.
    async fn events_after(&self, cursor: &Cursor) -> Result<Events, StoreError> {
        let all: Vec<usize> = (0..cursor.positions.len()).collect();
        self.events_in(cursor, &all).await
    }

    /// Some of the events after a cursor in these partitions, bounded in number; other
    /// partitions are not read.
    async fn events_in(&self, cursor: &Cursor, partitions: &[usize]) -> Result<Events, StoreError>;

    /// The partition of a transaction's events, as an index of [`Cursor::positions`].
    fn partition_of(&self, key: &TransactionKey) -> usize;

    /// What a note holds.
    async fn note(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Writes a note that holds `from`; `None` when there must be none.
    async fn put_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        keep: Keep,
    ) -> Result<Put, StoreError>;

    /// The seal of each part that is written at once; a store of one part has one.
    async fn seals(&self) -> Result<Seals, StoreError>;

    /// Gives a seal to each part that still bears what `from` says; what another process
    /// changed meanwhile stays.
    async fn seal(&self, from: &[Option<String>], id: &str, keep: Keep) -> Result<(), StoreError>;

    /// Adds to a list, and drops the oldest beyond [`LIST_MAX`]; returns what it dropped.
    async fn push(&self, list: List, item: &str) -> Result<Vec<String>, StoreError>;

    /// Returns what is in a list, newest first.
    async fn items(&self, list: List) -> Result<Vec<String>, StoreError> {
        self.items_from(list, 0, LIST_MAX).await
    }

    /// Returns up to `limit` items of a list, newest first, after the newest `start`. Nothing
    /// else is read.
    async fn items_from(
        &self,
        list: List,
        start: usize,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;

    /// Returns every account name that the store has been used with.
    async fn account_names(&self) -> Result<KnownAccounts, StoreError>;

    /// Counts the processes that listen for changes, this one included. Where the store
    /// looks new and somebody listens already, it was emptied while it was in use. `None` for a
    /// store that no other process can use.
    async fn listeners(&self) -> Result<Option<u64>, StoreError>;

    /// Verifies that the store answers and may be used (promise 10), and writes the facts of
    /// its identity again that are gone.
    async fn verify(&self) -> Result<(), StoreError>;
}

/// The right to send one attempt, once. Not `Clone`; made by [`claim`] only, and
/// used up by the purchase.
#[derive(Debug)]
pub struct SendPermit {
    transaction: Arc<Transaction>,
}

impl SendPermit {
    /// What may be sent.
    #[must_use]
    pub fn transaction(&self) -> &Arc<Transaction> {
        &self.transaction
    }

    /// Uses the permit up.
    #[must_use]
    pub fn into_transaction(self) -> Arc<Transaction> {
        self.transaction
    }
}

/// What became of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The attempt is ours to send.
    Won(SendPermit),
    /// The attempt is stored, and must not be sent.
    HeldBack(Arc<Transaction>),
    /// The reference code is taken by this transaction.
    Taken(Arc<Transaction>),
    /// The store has another history than the caller knows: nothing is stored.
    OtherHistory,
}

/// Stores an armed attempt in the history of that name, and with it gains the right to
/// send.
///
/// A store whose reply was lost is read back by attempt token (promise 9).
///
/// # Errors
/// [`StoreError`] when it is not known whether the claim is stored. Nothing was
/// sent and nothing may be: the caller must have the attempt given up.
pub async fn claim(store: &dyn Store, change: Change, history: &str) -> Result<Claim, StoreError> {
    let ours = change.transaction.token();
    let (stored, is_indeterminate) = match store.commit(&change, Some(history)).await {
        Ok(Commit::Done) => return Ok(won(change)),
        Ok(Commit::OtherHistory) => return Ok(Claim::OtherHistory),
        Ok(Commit::Conflict(stored)) => (stored, false),
        Err(StoreError::Unavailable(_)) => (store.load(&change.transaction.key()).await?, true),
        Err(error) => return Err(error),
    };
    match stored {
        // SUBTLE: 1. the commit is on its way; 2. the version that it was made from is read
        // back; 3. the commit arrives, and fits. Only another version rules that out.
        Some(stored) if is_indeterminate && change.from == Some(stored.base()) => Err(
            StoreError::Unavailable("it is not known whether the claim is stored".to_owned()),
        ),
        // Stored after all: the reply was lost, or a client library sent it twice.
        Some(stored) if stored.token() == ours => Ok(won(change)),
        Some(stored) => Ok(Claim::Taken(stored)),
        None => Err(StoreError::Unavailable(
            "the claim was not stored".to_owned(),
        )),
    }
}

fn won(change: Change) -> Claim {
    let transaction = change.transaction;
    if transaction.is_held_back() {
        return Claim::HeldBack(transaction);
    }
    Claim::Won(SendPermit { transaction })
}
