//! Due checks and their leases. `commit.lua` keeps the indexes, `lease.lua` the leases.
//!
//! The due index of a partition is complete. Each account also has an index of its own, so that
//! the backlog of one account never hides the checks of another, and a gateway never reads the
//! checks of an account that it does not have. An earlier release writes the complete index only.
//!
//! Mostly nothing is due. So the complete indexes are counted first, and those of the accounts are
//! read only in partitions where something is due.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;
use redis::{FromRedisValue, RedisResult, Value};

use super::{
    cas_reply::CasReply,
    error::unreadable_reply,
    keys::{account_asked_key, account_due_key, due_key},
    store::RedisStore,
};
use crate::{
    store::{Due, DueCheck, Lease, StoreError, Unindexed, key},
    transaction::{AccountName, Transaction},
};

/// The entries of each partition in one page of [`RedisStore::read_unindexed`].
const PAGE: usize = 16;
/// The number of even shares of the limit that are read from each partition with due checks: they
/// are not spread evenly.
const SHARES_OF_PARTITION: usize = 4;

/// Members of a due index, with their times.
type ScoredMembers = Vec<(String, f64)>;

impl RedisStore {
    /// Reads the due checks of some accounts.
    pub(super) async fn read_due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError> {
        let now = now.as_millisecond();
        let partitions = self.partitions_with_due(now).await?;
        if accounts.is_empty() || partitions.is_empty() {
            return Ok(Due {
                is_any_due: !partitions.is_empty(),
                ..Due::default()
            });
        }
        let limit_each = (limit.div_ceil(partitions.len()) * SHARES_OF_PARTITION).min(limit);
        let mut pipeline = redis::pipe();
        for account in accounts {
            for partition in &partitions {
                let due = account_due_key(*partition, account);
                for index in [&account_asked_key(*partition, account), &due] {
                    let read = pipeline.cmd("ZRANGEBYSCORE").arg(index);
                    read.arg("-inf").arg(now).arg("WITHSCORES");
                    read.arg("LIMIT").arg(0).arg(limit_each);
                }
                pipeline.cmd("ZCOUNT").arg(due).arg("-inf").arg(now);
            }
        }
        let replies = of_answering(self.query_each(&pipeline).await)?;
        let of_account = replies.len() / accounts.len();
        let mut entries = DueEntries::default();
        for (account, replies) in accounts.iter().zip(replies.chunks(of_account)) {
            entries
                .add(account, replies, limit)
                .map_err(|error| unreadable_reply(&error))?;
        }
        entries.into_due()
    }

    /// Returns the partitions in which a transaction of any account is due; none of a server that
    /// does not answer.
    async fn partitions_with_due(&self, now_ms: i64) -> Result<Vec<u64>, StoreError> {
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            let count = pipeline.cmd("ZCOUNT").arg(due_key(partition));
            count.arg("-inf").arg(now_ms);
        }
        let counts = of_answering(self.query_each(&pipeline).await)?.into_iter();
        let counts: Result<Vec<Option<u64>>, _> =
            counts.map(FromRedisValue::from_redis_value).collect();
        let counts = counts.map_err(|error| unreadable_reply(&error.into()))?;
        let with_due = (0..)
            .zip(counts)
            .filter(|(_, count)| count.is_some_and(|count| count > 0));
        Ok(with_due.map(|(partition, _)| partition).collect())
    }

    /// Reads a page of due transactions that are missing from the indexes of some accounts.
    pub(super) async fn read_unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError> {
        #[expect(clippy::cast_precision_loss, reason = "a score is a float")]
        let now_ms = now.as_millisecond() as f64;
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            let read = pipeline.cmd("ZRANGEBYSCORE").arg(due_key(partition));
            read.arg("-inf").arg(now_ms);
            read.arg("LIMIT").arg(page * PAGE).arg(PAGE);
        }
        let found = of_answering(self.query_each(&pipeline).await)?.into_iter();
        let members = |reply| {
            let members = Option::<Vec<String>>::from_redis_value(reply);
            members.map(Option::unwrap_or_default)
        };
        let found: Result<Vec<Vec<String>>, _> = found.map(members).collect();
        let found = found.map_err(|error| unreadable_reply(&error.into()))?;
        let is_last = found.iter().all(|members| members.len() < PAGE);
        let mut pipeline = redis::pipe();
        let mut asked = Vec::new();
        for (partition, members) in (0..).zip(&found).filter(|(_, members)| !members.is_empty()) {
            for account in accounts {
                let index = account_due_key(partition, account);
                pipeline.cmd("ZMSCORE").arg(index).arg(members);
                asked.push(members);
            }
        }
        let scores: Vec<Vec<Option<f64>>> = if asked.is_empty() {
            Vec::new()
        } else {
            self.query_all(&pipeline).await?
        };
        let indexed: HashSet<&String> = asked
            .into_iter()
            .zip(&scores)
            .flat_map(|(members, scores)| members.iter().zip(scores))
            // An earlier release may have made a check due that has a later time in this index.
            .filter(|(_, score)| score.is_some_and(|score| score <= now_ms))
            .map(|(member, _)| member)
            .collect();
        let keys = found
            .iter()
            .flatten()
            .filter(|member| !indexed.contains(member))
            .map(|member| key::parse_key(member));
        Ok(Unindexed {
            keys: keys.collect::<Result<_, _>>()?,
            is_last,
        })
    }

    /// Acquires the lease on a due check; returns `None` when it is not due, or leased.
    pub(super) async fn acquire_lease(
        &self,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let keys = self.keys(&check.key);
        let mut call = self.scripts.lease.key(keys.record);
        call.key(keys.due)
            .key(account_due_key(keys.partition, &check.account))
            .key(account_asked_key(keys.partition, &check.account))
            .arg(check.key.to_string())
            .arg(now.as_millisecond())
            .arg(lease.token.to_string())
            .arg(u64::try_from(lease.lasts.as_millis()).unwrap_or(u64::MAX));
        let reply: Vec<Value> = self.invoke(&call).await?;
        match CasReply::<Vec<u8>>::read(reply).map_err(|error| unreadable_reply(&error))? {
            CasReply::Stored(Some(bytes)) => self.codec.decode_record(&check.key, &bytes).map(Some),
            _ => Ok(None),
        }
    }
}

/// Returns the replies, empty for those of a server that does not answer: the checks of the others
/// are not delayed.
///
/// # Errors
/// [`StoreError`] when no server answers.
fn of_answering(results: Vec<Result<Value, StoreError>>) -> Result<Vec<Value>, StoreError> {
    if results.iter().all(Result::is_err) {
        return results.into_iter().collect();
    }
    let reply = |result: Result<Value, StoreError>| result.unwrap_or(Value::Nil);
    Ok(results.into_iter().map(reply).collect())
}

/// The entries of the due indexes, in the order of their times.
#[derive(Default)]
struct DueEntries {
    asked: Vec<(f64, String, AccountName)>,
    scheduled: Vec<(f64, String, AccountName)>,
    count: u64,
}

impl DueEntries {
    /// Adds the replies about one account: for each partition, the members of both indexes and the
    /// count.
    fn add(&mut self, account: &AccountName, replies: &[Value], limit: usize) -> RedisResult<()> {
        let mut kinds: [ScoredMembers; 2] = [Vec::new(), Vec::new()];
        for of_partition in replies.chunks_exact(3) {
            for (kind, reply) in kinds.iter_mut().zip(of_partition) {
                kind.extend(
                    Option::<ScoredMembers>::from_redis_value(reply.clone())?.unwrap_or_default(),
                );
            }
            self.count += Option::<u64>::from_redis_value(of_partition[2].clone())?.unwrap_or(0);
        }
        let [asked, scheduled] = kinds.map(|mut members| {
            members.sort_by(|one, other| one.1.total_cmp(&other.1));
            members.truncate(limit);
            let named = members.into_iter();
            named.map(|(member, at)| (at, member, account.clone()))
        });
        self.asked.extend(asked);
        self.scheduled.extend(scheduled);
        Ok(())
    }

    fn into_due(mut self) -> Result<Due, StoreError> {
        self.asked.sort_by(|one, other| one.0.total_cmp(&other.0));
        self.scheduled
            .sort_by(|one, other| one.0.total_cmp(&other.0));
        // A requested check is in both indexes.
        let mut seen = HashSet::new();
        let mut checks = Vec::new();
        for (found, is_asked) in [(self.asked, true), (self.scheduled, false)] {
            for (_, member, account) in found {
                let key = key::parse_key(&member)?;
                if seen.insert(member) {
                    checks.push(DueCheck {
                        key,
                        account,
                        is_asked,
                    });
                }
            }
        }
        Ok(Due {
            checks,
            count: self.count,
            is_any_due: true,
        })
    }
}
