//! The shared store: one Redis for any number of gateways.
//!
//! # Keys
//!
//! `p` is the partition: the first 8 bytes of SHA-256(reference) modulo the number of
//! partitions, where `<reference>` is the reference code in lower case and without
//! hyphens. Everything that one commit touches carries `{p}` as its hash tag, so that it
//! lies in one slot of a Redis Cluster.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `okb:{p}:tx:<reference>` | hash | `version`, `body` (the record), `listed` (its entry in the listing), `event:<revision>` (stream id), `lease` and `lease_ends` (of its check) |
//! | `okb:{p}:due` | sorted set | `<reference>` by due time in ms, or by the end of its lease |
//! | `okb:{p}:due:<account>` | sorted set | the same of one account; what an earlier release stored last may be missing |
//! | `okb:{p}:asked:<account>` | sorted set | those whose check a callback or a caller asked for |
//! | `okb:{p}:listing` | sorted set | `<state> <accepted, in ms> <reference>`, by that text |
//! | `okb:{p}:events` | stream | `key`, `number`, `body` of every event |
//! | `okb:{p}:number` | string | the number of the last event |
//! | `okb:{p}:trace:<account>:<trace code>` | string | `<reference>`; `p` is the trace code's own |
//! | `okb:{p}:note:<name>` | string | a note (`inquiries.rs`, `sold.rs`, `inbox.rs`, `notices.rs`, `guard.rs`); `p` is the name's own |
//! | `okb:{p}:seal` | string | the id of the note `guard`, which a claim must know (`guard.rs`) |
//! | `okb:orphans`, `okb:notices`, `okb:guard-endings` | list | see [`List`], newest first |
//! | `okb:identity` | hash | schema, partitions, accounts: see `identity.rs` |
//! | `okb:verify` | string | nothing; each verification writes it, and it expires |

mod connection;
mod due;
mod feed;
mod keys;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use redis::{AsyncTypedCommands, FromRedisValue, RedisError, RedisResult, Script, Value};

use connection::Connection;
use keys::{
    account_asked_key, account_due_key, listing_key, listing_member, read_listing_member, seal_key,
};

use super::{
    Commit, Cursor, Due, DueCheck, Events, Heard, History, Identity, Keep, KnownAccounts, LIST_MAX,
    Lease, List, Listed, Listing, Put, Store, StoreError, Unindexed, UserIdBefore, UserIdChange,
    Wake,
    guard::{Seals, split_epoch_name},
    identity::{self, Facts, Kept},
    record,
};
use crate::transaction::{AccountName, Change, TraceCode, Transaction, TransactionKey};

const IDENTITY_KEY: &str = "okb:identity";
/// What a verification writes, and how long that stays.
const VERIFY_KEY: &str = "okb:verify";
const VERIFY_KEPT: Duration = Duration::from_mins(1);
/// Where each commit publishes `<version> <reference>`; `commit.lua` names it too.
const WAKE_CHANNEL: &str = "okb:wake";

/// How the store is reached and laid out.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host:port[/db]`, or `rediss://` for TLS.
    pub url: String,
    /// How many partitions the keys are spread over; fixed when the store is made.
    pub partitions: u64,
    /// The longest one call may take, reconnecting included.
    pub timeout: Duration,
    /// How long events are kept for watchers that resume.
    pub event_retention: SignedDuration,
}

impl std::fmt::Debug for RedisSettings {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("partitions", &self.partitions)
            .field("timeout", &self.timeout)
            .field("event_retention", &self.event_retention)
            .finish_non_exhaustive()
    }
}

/// The shared store.
pub struct RedisStore {
    client: redis::Client,
    connection: Connection,
    settings: RedisSettings,
    /// `None` for a look, which takes no identity.
    kept: Mutex<Option<Kept>>,
    commit: Script,
    lease: Script,
    put_note: Script,
    identity: Script,
}

impl RedisStore {
    /// Connects, verifies that this Redis may be used, and takes the identity.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached, and
    /// [`StoreError::Unsuitable`] when it evicts keys or belongs to something else.
    pub async fn open(settings: RedisSettings, identity: &Identity) -> Result<Self, StoreError> {
        let store = Self::connect(settings)?;
        store.verify_policy().await?;
        store.take_identity(identity).await?;
        Ok(store)
    }

    /// Builds a store that connects with its first call, and writes nothing by itself: for
    /// a look at it.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the URL cannot be read.
    pub fn connect(settings: RedisSettings) -> Result<Self, StoreError> {
        // Errors of the client can quote its URL, which may hold a password.
        let client = connection::client(&settings.url, settings.timeout)
            .map_err(|_| StoreError::Unsuitable("the Redis URL cannot be read".to_owned()))?;
        let connection = Connection::new(client.clone(), settings.timeout);
        Ok(Self {
            client,
            connection,
            settings,
            kept: Mutex::new(None),
            commit: Script::new(include_str!("commit.lua")),
            lease: Script::new(include_str!("lease.lua")),
            put_note: Script::new(include_str!("put_note.lua")),
            identity: Script::new(include_str!("identity.lua")),
        })
    }

    async fn take_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let partitions = Some(self.settings.partitions);
        let take = |stored: &Facts| {
            let taken = identity::take(identity, partitions, stored)?;
            Ok((with(stored, &taken), taken))
        };
        let seen = self.amend_identity(take).await?;
        *self.kept() = Some(Kept {
            identity: identity.clone(),
            seen,
        });
        Ok(())
    }

    /// Writes the facts again that this process saw and that are gone, and notes new ones.
    async fn keep_identity(&self) -> Result<(), StoreError> {
        let partitions = Some(self.settings.partitions);
        let restore = |stored: &Facts| {
            let gone = match &*self.kept() {
                Some(kept) => kept.restore(partitions, stored)?,
                None => Facts::new(),
            };
            Ok((with(stored, &gone), gone))
        };
        let seen = self.amend_identity(restore).await?;
        if let Some(kept) = &mut *self.kept() {
            kept.seen.extend(seen);
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the user id of an account, and returns what the store held before. Without
    /// `is_confirmed` nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the change is refused.
    pub async fn change_user_id(
        &self,
        change: &UserIdChange,
        is_confirmed: bool,
    ) -> Result<UserIdBefore, StoreError> {
        let plan = |stored: &Facts| {
            let (before, facts) = change.plan(stored)?;
            Ok((before, if is_confirmed { facts } else { Facts::new() }))
        };
        self.amend_identity(plan).await
    }

    /// Writes the facts that `amend` makes of those that are stored, again as long as
    /// another gateway was faster.
    async fn amend_identity<T>(
        &self,
        amend: impl Fn(&Facts) -> Result<(T, Facts), StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            let stored = self.read_identity().await?;
            let (amended, facts) = amend(&stored)?;
            if facts.is_empty() {
                return Ok(amended);
            }
            let mut call = self.identity.key(IDENTITY_KEY);
            call.arg(stored.len());
            for (fact, value) in stored.iter().chain(&facts) {
                call.arg(fact).arg(value);
            }
            let mut connection = self.connection.clone();
            if self.within(call.invoke_async(&mut connection)).await? {
                return Ok(amended);
            }
        }
    }

    async fn read_identity(&self) -> Result<Facts, StoreError> {
        let mut connection = self.connection.clone();
        let stored = self.within(connection.hgetall(IDENTITY_KEY)).await?;
        Ok(stored.into_iter().collect())
    }

    /// Verifies that Redis forgets nothing by itself.
    async fn verify_policy(&self) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        let memory: String = self.within(ask.query_async(&mut connection)).await?;
        match info(&memory, "maxmemory_policy") {
            "noeviction" => Ok(()),
            policy => Err(StoreError::Unsuitable(format!(
                "Redis has maxmemory-policy {policy:?}, so it may forget what was bought; \
                 set maxmemory-policy noeviction"
            ))),
        }
    }

    async fn within<T>(&self, call: impl Future<Output = RedisResult<T>>) -> Result<T, StoreError> {
        within(self.settings.timeout, call).await
    }
}

fn with(stored: &Facts, written: &Facts) -> Facts {
    let mut facts = stored.clone();
    facts.extend(written.clone());
    facts
}

/// A value of what Redis tells of itself; empty where it does not tell it.
fn info<'a>(text: &'a str, name: &str) -> &'a str {
    let named = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    text.lines().find_map(named).unwrap_or_default().trim()
}

/// The second replication id of a server that was never another's replica.
const NO_REPLICATION_ID: &str = "0000000000000000000000000000000000000000";

async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = RedisResult<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(timeout, call).await {
        Ok(done) => done.map_err(|error| unavailable(&error)),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no reply within {timeout:?}"
        ))),
    }
}

fn unavailable(error: &RedisError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[async_trait]
impl Store for RedisStore {
    async fn commit(&self, change: &Change, history: Option<&str>) -> Result<Commit, StoreError> {
        let Change {
            transaction,
            from,
            is_event,
            releases,
        } = change;
        let key = transaction.key();
        let keys = self.keys(&key);
        let oldest = transaction
            .updated_at()
            .checked_sub(self.settings.event_retention);
        let (state, listed) = record::listed(transaction);
        let (history, seal) = split_epoch_name(history.unwrap_or_default());
        let mut call = self.commit.key(keys.record);
        call.key(keys.due)
            .key(keys.events)
            .key(keys.listing)
            .key(keys.number)
            .key(account_due_key(keys.partition, transaction.account()))
            .key(account_asked_key(keys.partition, transaction.account()))
            .key(keys.seal)
            .arg(text(from.map(|from| from.version)))
            .arg(transaction.version())
            .arg(record::encode(transaction)?)
            .arg(key.to_string())
            .arg(text(transaction.due_at().map(Timestamp::as_millisecond)))
            .arg(text(is_event.then(|| transaction.revision())))
            .arg(oldest.map_or(0, |oldest| oldest.as_millisecond().max(0)))
            .arg(listing_member(state, &listed))
            .arg(history)
            .arg(text(from.map(|from| from.token)))
            .arg(text(transaction.asked_at().map(Timestamp::as_millisecond)))
            .arg(text(*releases))
            .arg(seal);
        let mut connection = self.connection.clone();
        let reply: Vec<Value> = self.within(call.invoke_async(&mut connection)).await?;
        match read_reply::<Vec<u8>>(reply).map_err(|error| unavailable(&error))? {
            Reply::Done => Ok(Commit::Done),
            Reply::OtherHistory => Ok(Commit::OtherHistory),
            Reply::Stored(stored) => {
                let stored = stored.map(|bytes| record::decode(&key, &bytes));
                Ok(Commit::Conflict(stored.transpose()?))
            }
        }
    }

    async fn history_name(&self, known: Option<&str>) -> Result<String, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("server");
        pipeline.cmd("INFO").arg("replication");
        let mut connection = self.connection.clone();
        let (server, replication): (String, String) =
            self.within(pipeline.query_async(&mut connection)).await?;
        let run_id = info(&server, "run_id");
        let replication_id = info(&replication, "master_replid");
        if run_id.is_empty() || replication_id.is_empty() {
            return Err(StoreError::Unsuitable(
                "it does not tell run_id and master_replid (INFO), so a loss could not be \
                 noticed; use Redis or Valkey itself"
                    .to_owned(),
            ));
        }
        if let Some(known) = known
            && known.split(':').next() == Some(run_id)
            && info(&replication, "master_replid2") == NO_REPLICATION_ID
        {
            // Only its first replica came, if anything happened: see commit.lua.
            return Ok(known.to_owned());
        }
        Ok(format!("{run_id}:{replication_id}"))
    }

    async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError> {
        let mut connection = self.connection.clone();
        let mut get = redis::cmd("HGET");
        get.arg(self.keys(key).record).arg("body");
        let bytes: Option<Vec<u8>> = self.within(get.query_async(&mut connection)).await?;
        bytes.map(|bytes| record::decode(key, &bytes)).transpose()
    }

    async fn history(&self, key: &TransactionKey, after: u64) -> Result<History, StoreError> {
        self.read_history(key, after).await
    }

    async fn due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError> {
        self.read_due(now, accounts, limit).await
    }

    async fn unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError> {
        self.read_unindexed(now, accounts, page).await
    }

    async fn lease_check(
        &self,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.acquire_lease(check, now, lease).await
    }

    async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError> {
        // Counted from before it connects: it may reach the server that is being left.
        let left = self.connection.left();
        let mut pubsub = self.within(self.client.get_async_pubsub()).await?;
        self.within(pubsub.subscribe(WAKE_CHANNEL)).await?;
        wake(Heard::Listening);
        let hear = |message: &redis::Msg| {
            let Ok(text) = message.get_payload::<String>() else {
                return;
            };
            let Some((version, key)) = text.split_once(' ') else {
                return;
            };
            if let (Ok(version), Ok(key)) = (version.parse(), record::parse_key(key)) {
                wake(Heard::Change(key, version));
            }
        };
        let heard = connection::hear_all(pubsub, self.settings.timeout, left, hear).await;
        heard.map_err(|error| unavailable(&error))
    }

    async fn index_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let trace = self.trace_key(account, trace_code);
        self.within(connection.set(trace, key.to_string())).await
    }

    async fn find_by_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError> {
        let mut connection = self.connection.clone();
        let key = self
            .within(connection.get(self.trace_key(account, trace_code)))
            .await?;
        key.map(|key| record::parse_key(&key)).transpose()
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Listed>, StoreError> {
        let from = Listed {
            created_ms: listing.from.as_millisecond().max(0),
            name: String::new(),
        };
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            pipeline
                .cmd("ZREVRANGEBYLEX")
                .arg(listing_key(partition))
                .arg(format!(
                    "({}",
                    listing_member(listing.state, &listing.after)
                ))
                .arg(format!("[{}", listing_member(listing.state, &from)))
                .arg("LIMIT")
                .arg(0)
                .arg(listing.limit);
        }
        let mut connection = self.connection.clone();
        let found: Vec<Vec<String>> = self.within(pipeline.query_async(&mut connection)).await?;
        let mut found: Vec<Listed> = found
            .iter()
            .flatten()
            .filter_map(|member| read_listing_member(member))
            .collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found.truncate(listing.limit);
        Ok(found)
    }

    async fn count(
        &self,
        state: &'static str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<u64, StoreError> {
        let bound = |created_ms: i64| {
            let listed = Listed {
                created_ms: created_ms.clamp(0, Listed::MS_MAX),
                name: String::new(),
            };
            listing_member(state, &listed)
        };
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            pipeline
                .cmd("ZLEXCOUNT")
                .arg(listing_key(partition))
                .arg(format!("[{}", bound(from_ms)))
                .arg(format!("({}", bound(to_ms)));
        }
        let mut connection = self.connection.clone();
        let counts: Vec<u64> = self.within(pipeline.query_async(&mut connection)).await?;
        Ok(counts.into_iter().sum())
    }

    async fn events_head(&self) -> Result<Cursor, StoreError> {
        self.read_head().await
    }

    async fn events_in(&self, cursor: &Cursor, partitions: &[usize]) -> Result<Events, StoreError> {
        self.read_events(cursor, partitions).await
    }

    fn partition_of(&self, key: &TransactionKey) -> usize {
        usize::try_from(self.keys(key).partition).unwrap_or(usize::MAX)
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut connection = self.connection.clone();
        self.within(connection.get(self.note_key(name))).await
    }

    async fn put_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        keep: Keep,
    ) -> Result<Put, StoreError> {
        let mut connection = self.connection.clone();
        let mut call = self.put_note.key(self.note_key(name));
        call.arg(u8::from(from.is_some()))
            .arg(from.unwrap_or_default())
            .arg(to)
            .arg(keep.until.as_millisecond());
        let reply: Vec<Value> = self.within(call.invoke_async(&mut connection)).await?;
        match read_reply(reply).map_err(|error| unavailable(&error))? {
            Reply::Done => Ok(Put::Done),
            Reply::Stored(stored) => Ok(Put::Conflict(stored)),
            Reply::OtherHistory => Err(StoreError::Unavailable("an odd reply".to_owned())),
        }
    }

    async fn seals(&self) -> Result<Seals, StoreError> {
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            pipeline.get(seal_key(partition));
        }
        let mut connection = self.connection.clone();
        self.within(pipeline.query_async(&mut connection)).await
    }

    async fn seal(&self, from: &[Option<String>], id: &str, keep: Keep) -> Result<(), StoreError> {
        let sealing = (0..).zip(from).map(async |(partition, from)| {
            let mut connection = self.connection.clone();
            let mut call = self.put_note.key(seal_key(partition));
            call.arg(u8::from(from.is_some()))
                .arg(from.as_deref().unwrap_or_default())
                .arg(id)
                .arg(keep.until.as_millisecond());
            let sealed: Vec<Value> = self.within(call.invoke_async(&mut connection)).await?;
            drop(sealed);
            Ok(())
        });
        try_join_all(sealing).await.map(drop)
    }

    async fn push(&self, list: List, item: &str) -> Result<Vec<String>, StoreError> {
        let key = format!("okb:{}", list.name());
        let mut pipeline = redis::pipe();
        pipeline
            .atomic()
            .lpush(&key, item)
            .ignore()
            .lrange(&key, list_index(LIST_MAX), -1)
            .ltrim(&key, 0, list_index(LIST_MAX) - 1)
            .ignore();
        let mut connection = self.connection.clone();
        let (dropped,) = self.within(pipeline.query_async(&mut connection)).await?;
        Ok(dropped)
    }

    async fn items_from(
        &self,
        list: List,
        start: usize,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        // Redis counts the last one in, and has no range of none.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let end = list_index(start.saturating_add(limit)) - 1;
        let mut connection = self.connection.clone();
        let key = format!("okb:{}", list.name());
        self.within(connection.lrange(key, list_index(start), end))
            .await
    }

    async fn account_names(&self) -> Result<KnownAccounts, StoreError> {
        let stored = self.read_identity().await?;
        let is_torn = self
            .kept()
            .as_ref()
            .is_some_and(|kept| kept.is_torn(&stored));
        Ok(KnownAccounts {
            names: identity::account_names(&stored),
            is_whole: !is_torn,
        })
    }

    async fn listeners(&self) -> Result<Option<u64>, StoreError> {
        let mut count = redis::cmd("PUBSUB");
        count.arg("NUMSUB").arg(WAKE_CHANNEL);
        let mut connection = self.connection.clone();
        let (_, count): (String, u64) = self.within(count.query_async(&mut connection)).await?;
        Ok(Some(count))
    }

    async fn verify(&self) -> Result<(), StoreError> {
        self.verify_policy().await?;
        self.keep_identity().await?;
        // A write notices what no read does: a read-only replica, a full disk or memory,
        // too few replicas.
        let mut set = redis::cmd("SET");
        set.arg(VERIFY_KEY)
            .arg(1)
            .arg("PX")
            .arg(VERIFY_KEPT.as_millis().to_string());
        let mut connection = self.connection.clone();
        self.within(set.query_async::<()>(&mut connection)).await
    }
}

/// Returns an index of a list; one that Redis cannot count to is beyond its end.
fn list_index(index: usize) -> isize {
    isize::try_from(index).unwrap_or(isize::MAX)
}

/// The reply of a script that compares.
enum Reply<T> {
    Done,
    Stored(Option<T>),
    OtherHistory,
}

fn read_reply<T: FromRedisValue>(reply: Vec<Value>) -> RedisResult<Reply<T>> {
    let mut reply = reply.into_iter();
    Ok(match reply.next().map_or(Ok(0), i64::from_redis_value)? {
        1 => Reply::Done,
        -1 => Reply::OtherHistory,
        _ => {
            let stored = reply.next().map(Option::<T>::from_redis_value);
            Reply::Stored(stored.transpose()?.flatten())
        }
    })
}
