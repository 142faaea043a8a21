//! Walks over the keys of every server, and over the indexes of every partition.

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use redis::{Cmd, Value};

use super::{
    keys::{account_asked_key, account_due_key, due_key, listing_key},
    listing::read_listing_member,
    store::RedisStore,
    tombstones::place_of_hash,
};
use crate::store::{StoreError, WalkPage, WalkPart, Walked};

/// The number of keys or members that one page asks for.
const PAGE: usize = 512;
/// Before the places among the buckets of trace codes.
const IN_BUCKETS: &str = "buckets ";

impl RedisStore {
    /// Reads a page of a walk. `now` is the time from which the expiry of notes counts.
    pub(in crate::store) async fn read_walk(
        &self,
        part: WalkPart,
        from: Option<&str>,
        now: Timestamp,
    ) -> Result<WalkPage, StoreError> {
        match part {
            WalkPart::Records => {
                let (keys, next) = self.scan_keys("tx", from).await?;
                let entries = keys.into_iter();
                let entries = entries.map(|(place, name)| Walked::Record { place, name });
                Ok(WalkPage {
                    entries: entries.collect(),
                    next,
                })
            }
            WalkPart::Listing => self.walk_listing(from).await,
            WalkPart::Due => self.walk_due(from).await,
            WalkPart::Traces => self.walk_traces(from).await,
            WalkPart::Notes => self.walk_notes(from, now).await,
            WalkPart::Tombstones => self.walk_tombstones(from).await,
        }
    }

    /// Scans the keys of one kind at one server: returns each key with its name, and the place to
    /// continue at, `<server> <cursor>`.
    pub(super) async fn scan_keys(
        &self,
        kind: &str,
        from: Option<&str>,
    ) -> Result<(Vec<(String, String)>, Option<String>), StoreError> {
        let (number, cursor) = from.map_or(Ok((0, 0)), numbers_of)?;
        let servers = self.all_servers().await?;
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(server) = servers.get(index) else {
            return Ok((Vec::new(), None));
        };
        let mut scan = redis::pipe();
        scan.cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("okb:{{*}}:{kind}:*"))
            .arg("COUNT")
            .arg(PAGE);
        let ((cursor, keys),): ((u64, Vec<String>),) = self.query_server(server, &scan).await?;
        let named = keys.into_iter().filter_map(|key| {
            let (_, name) = key.split_once(&format!("}}:{kind}:"))?;
            let name = name.to_owned();
            Some((key, name))
        });
        let next = match (cursor, index + 1 < servers.len()) {
            (0, false) => None,
            (0, true) => Some(format!("{} 0", number + 1)),
            (cursor, _) => Some(format!("{number} {cursor}")),
        };
        Ok((named.collect(), next))
    }

    /// Reads the trace codes that have a key of their own, and then those in buckets.
    async fn walk_traces(&self, from: Option<&str>) -> Result<WalkPage, StoreError> {
        if let Some(from) = from.and_then(|from| from.strip_prefix(IN_BUCKETS)) {
            let from = (!from.is_empty()).then_some(from);
            return self.walk_trace_buckets(from).await;
        }
        let (keys, next) = self.scan_keys("trace", from).await?;
        let next = next.unwrap_or_else(|| IN_BUCKETS.to_owned());
        let mut read = redis::pipe();
        for (key, _) in &keys {
            read.get(key);
        }
        let names: Vec<Option<String>> = self.read_each(&read).await?;
        let entries = keys.into_iter().zip(names);
        let entries = entries.filter_map(|((place, trace), name)| {
            let name = name?;
            Some(Walked::Trace { place, trace, name })
        });
        Ok(WalkPage {
            entries: entries.collect(),
            next: Some(next),
        })
    }

    async fn walk_trace_buckets(&self, from: Option<&str>) -> Result<WalkPage, StoreError> {
        let (keys, next) = self.scan_keys("traces", from).await?;
        let mut read = redis::pipe();
        for (key, _) in &keys {
            read.hgetall(key);
        }
        let buckets: Vec<Vec<(String, String)>> = self.read_each(&read).await?;
        let mut entries = Vec::new();
        for ((place, _), bucket) in keys.into_iter().zip(buckets) {
            entries.extend(bucket.into_iter().map(|(trace, name)| Walked::Trace {
                place: place.clone(),
                trace,
                name,
            }));
        }
        let next = next.map(|next| format!("{IN_BUCKETS}{next}"));
        Ok(WalkPage { entries, next })
    }

    async fn walk_notes(&self, from: Option<&str>, now: Timestamp) -> Result<WalkPage, StoreError> {
        let (keys, next) = self.scan_keys("note", from).await?;
        let mut read = redis::pipe();
        for (key, _) in &keys {
            read.pttl(key);
        }
        let ends: Vec<i64> = self.read_each(&read).await?;
        let entries = keys.into_iter().zip(ends);
        let entries = entries.filter_map(|((_, name), left)| {
            let until = match left {
                // It has expired since.
                -2 => return None,
                -1 => None,
                left => now.checked_add(SignedDuration::from_millis(left)).ok(),
            };
            Some(Walked::Note { name, until })
        });
        Ok(WalkPage {
            entries: entries.collect(),
            next,
        })
    }

    /// Reads the listing of one partition from its end. The place is `<partition> <member>`.
    async fn walk_listing(&self, from: Option<&str>) -> Result<WalkPage, StoreError> {
        let (partition, before) = from.map_or(Ok((0, None)), |from| {
            let (partition, member) = from.split_once(' ').ok_or_else(|| no_place(from))?;
            let partition: u64 = partition.parse().map_err(|_| no_place(from))?;
            Ok((partition, (!member.is_empty()).then_some(member)))
        })?;
        let mut read = redis::cmd("ZREVRANGEBYLEX");
        read.arg(listing_key(partition))
            .arg(before.map_or_else(|| "+".to_owned(), |member| format!("({member}")))
            .arg("-")
            .arg("LIMIT")
            .arg(0)
            .arg(PAGE);
        let members: Vec<String> = self.query(&read).await?;
        let next = match members.last() {
            Some(last) if members.len() == PAGE => Some(format!("{partition} {last}")),
            _ if partition + 1 < self.settings.partitions => Some(format!("{} ", partition + 1)),
            _ => None,
        };
        let entry = |member: &String| {
            let state = member.split(' ').next().unwrap_or_default().to_owned();
            match read_listing_member(member) {
                Some(entry) => Walked::Listed {
                    index: listing_key(partition),
                    state,
                    entry,
                },
                None => Walked::Malformed(format!("{} {member}", listing_key(partition))),
            }
        };
        let entries = members.iter().map(entry).collect();
        Ok(WalkPage { entries, next })
    }

    /// Reads the due indexes of one partition, one after the other. The place is `<number> <offset>`,
    /// where the number counts the indexes of all partitions.
    async fn walk_due(&self, from: Option<&str>) -> Result<WalkPage, StoreError> {
        let (number, offset) = from.map_or(Ok((0, 0)), numbers_of)?;
        let accounts: Vec<_> = self.read_account_names().await?.names.into_iter().collect();
        let each = 1 + 2 * accounts.len() as u64;
        let (partition, index) = (number / each, number % each);
        if partition >= self.settings.partitions {
            return Ok(WalkPage::default());
        }
        let account = index
            .checked_sub(1)
            .and_then(|index| accounts.get(usize::try_from(index / 2).ok()?));
        let key = match account {
            None => due_key(partition),
            Some(account) if index % 2 == 1 => account_due_key(partition, account),
            Some(account) => account_asked_key(partition, account),
        };
        let mut read = redis::cmd("ZRANGEBYSCORE");
        read.arg(&key).arg("-inf").arg("+inf");
        read.arg("LIMIT").arg(offset).arg(PAGE);
        let members: Vec<String> = self.query(&read).await?;
        let next = if members.len() == PAGE {
            format!("{number} {}", offset + PAGE as u64)
        } else {
            format!("{} 0", number + 1)
        };
        let entry = |name| Walked::Due {
            index: key.clone(),
            name,
        };
        Ok(WalkPage {
            entries: members.into_iter().map(entry).collect(),
            next: Some(next),
        })
    }

    /// Reads the buckets of tombstones, also those where no claim looks.
    async fn walk_tombstones(&self, from: Option<&str>) -> Result<WalkPage, StoreError> {
        let (keys, next) = self.scan_keys("gone", from).await?;
        let mut read = redis::pipe();
        for (key, _) in &keys {
            read.hgetall(key);
        }
        let buckets: Vec<Vec<(Vec<u8>, String)>> = self.read_each(&read).await?;
        let mut entries = Vec::new();
        for ((bucket, _), tombstones) in keys.into_iter().zip(buckets) {
            entries.extend(tombstones.into_iter().map(|(hash, text)| {
                let place = place_of_hash(&hash, self.settings.partitions);
                Walked::Tombstone {
                    is_reachable: place.is_some_and(|place| place.bucket == bucket),
                    hash,
                    text,
                }
            }));
        }
        Ok(WalkPage { entries, next })
    }

    /// Runs the commands of a pipeline, which may be empty: the client rejects such a one.
    pub(super) async fn read_each<T: redis::FromRedisValue>(
        &self,
        pipeline: &redis::Pipeline,
    ) -> Result<Vec<T>, StoreError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        self.query_all(pipeline).await
    }

    /// Runs one command at each server, and returns the replies.
    pub(super) async fn ask_servers(&self, command: &Cmd) -> Result<Vec<Value>, StoreError> {
        let servers = self.all_servers().await?;
        let asking = servers.iter().map(async |server| {
            let mut pipeline = redis::pipe();
            pipeline.add_command(command.clone());
            let (reply,): (Value,) = self.query_server(server, &pipeline).await?;
            Ok(reply)
        });
        try_join_all(asking).await
    }
}

/// Reads the two numbers of a place.
fn numbers_of(place: &str) -> Result<(u64, u64), StoreError> {
    let numbers = place.split_once(' ');
    let numbers = numbers.and_then(|(one, two)| Some((one.parse().ok()?, two.parse().ok()?)));
    numbers.ok_or_else(|| no_place(place))
}

fn no_place(place: &str) -> StoreError {
    StoreError::Unsuitable(format!("{place:?} is no place of a walk"))
}
