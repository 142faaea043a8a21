//! Claims that replicas must acknowledge before they are sent.
//!
//! Replication is asynchronous: a primary that was cut off still accepts claims, and the replica that
//! was promoted instead accepts them as well. A claim that every replica has received survives on
//! whichever is promoted, and a primary that was cut off from its replicas gets no acknowledgement. So
//! both sides never send one reference code.

use std::{ops::ControlFlow, slice, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use redis::{
    Cmd, ErrorKind, FromRedisValue, ParsingError, Pipeline, RedisError, RedisResult, Value,
};

use super::{
    connection::SentFlag,
    error::unreadable_reply,
    identity::IDENTITY_KEY,
    keys::Keys,
    script::ScriptCall,
    server::Server,
    servers::Route,
    store::{RedisStore, is_unknown_script},
    topology::AcknowledgingReplicas,
};
use crate::{
    store::StoreError,
    transaction::{AttemptToken, TransactionKey},
};

/// The lifetime of the key that is written to have earlier writes acknowledged.
const PROBE_KEPT: Duration = Duration::from_mins(1);
/// The number of hash tags whose servers are asked concurrently.
const SLOTS_AT_ONCE: usize = 16;

impl RedisStore {
    /// Returns true when replicas must acknowledge claims.
    pub(super) fn requires_replicas(&self) -> bool {
        self.settings.acknowledging != AcknowledgingReplicas::AtLeast(0)
    }

    /// Runs a script that claims, and waits until the configured number of replicas has what it
    /// wrote. Returns its reply, and [`StoreError::Unacknowledged`] when too few have it in time.
    pub(super) async fn invoke_claim<T: FromRedisValue>(
        &self,
        script: &ScriptCall<'_>,
    ) -> Result<(T, Result<(), StoreError>), StoreError> {
        let sent = SentFlag::default();
        let running = async {
            let mut route = self.servers.route(script.first_key().as_bytes()).await?;
            loop {
                let claimed = self.claim_at(&sent, &route, script).await;
                if let ControlFlow::Break(claimed) = route.follow(&sent, claimed).await? {
                    return claimed;
                }
            }
        };
        let (reply, acknowledged) = self.within(&sent, running).await?;
        let reply = T::from_redis_value(reply).map_err(|error| unreadable_reply(&error.into()))?;
        Ok((reply, acknowledged.require()))
    }

    /// Waits until the configured number of replicas has the attempt that the store holds for a
    /// transaction. Returns false when that attempt has another token.
    ///
    /// # Errors
    /// [`StoreError::Unacknowledged`] when too few replicas acknowledge it in time.
    pub(super) async fn acknowledge_attempt(
        &self,
        key: &TransactionKey,
        token: AttemptToken,
    ) -> Result<bool, StoreError> {
        if !self.requires_replicas() {
            return Ok(true);
        }
        let sent = SentFlag::default();
        let keys = self.keys(key);
        let running = async {
            let mut route = self.servers.route(keys.record.as_bytes()).await?;
            loop {
                let read = self.read_acknowledged(&sent, &route, &keys).await;
                if let ControlFlow::Break(read) = route.follow(&sent, read).await? {
                    return read;
                }
            }
        };
        let (body, acknowledged) = self.within(&sent, running).await?;
        let body: Option<Vec<u8>> = FromRedisValue::from_redis_value(body)
            .map_err(|error: ParsingError| unreadable_reply(&error.into()))?;
        let stored = body
            .map(|body| self.codec.decode_record(key, &body))
            .transpose()?;
        if stored.is_none_or(|stored| stored.token() != token) {
            return Ok(false);
        }
        acknowledged.require().map(|()| true)
    }

    /// Waits until the configured number of replicas of each server has every write so far.
    ///
    /// # Errors
    /// [`StoreError::Unacknowledged`] when too few replicas of a server acknowledge it in time.
    pub(in crate::store) async fn acknowledge_all(&self) -> Result<(), StoreError> {
        if !self.requires_replicas() {
            return Ok(());
        }
        let partitions = (0..self.settings.partitions).map(|partition| partition.to_string());
        let tags = partitions.chain([IDENTITY_KEY.to_owned()]);
        let acknowledging = stream::iter(tags.map(async |tag| self.acknowledge_slot(&tag).await));
        acknowledging
            .buffer_unordered(SLOTS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Waits until the replicas of the server that holds a hash tag have every write so far.
    async fn acknowledge_slot(&self, tag: &str) -> Result<(), StoreError> {
        let sent = SentFlag::default();
        let probe = probe(tag);
        let running = async {
            let mut route = self.servers.route(tag.as_bytes()).await?;
            loop {
                let commands = slice::from_ref(&probe);
                let probed = self.run_and_wait(&sent, &route, commands).await;
                if let ControlFlow::Break(probed) = route.follow(&sent, probed).await? {
                    return probed;
                }
            }
        };
        let (_, acknowledged) = self.within(&sent, running).await?;
        acknowledged.require()
    }

    /// Returns the number of replicas of a server that must acknowledge a claim.
    ///
    /// # Errors
    /// When all must, and none is known: a primary that was cut off would wait for nobody.
    async fn required_at(&self, server: &Server) -> RedisResult<Required> {
        let replicas = match self.settings.acknowledging {
            AcknowledgingReplicas::AtLeast(replicas) => replicas as usize,
            AcknowledgingReplicas::All => match self.servers.replicas_of(server).await? {
                0 => {
                    return Err(RedisError::from((
                        ErrorKind::Client,
                        "no replica is known that could acknowledge the claim",
                    )));
                }
                known => known,
            },
        };
        Ok(Required(replicas))
    }

    /// Runs a script that claims at the server of a route.
    async fn claim_at(
        &self,
        sent: &SentFlag,
        route: &Route<'_>,
        script: &ScriptCall<'_>,
    ) -> RedisResult<(Value, Acknowledged)> {
        match self.run_and_wait(sent, route, &[script.by_hash()]).await {
            Err(error) if is_unknown_script(&error) => {
                sent.clear();
                self.run_and_wait(sent, route, &[script.by_text()]).await
            }
            done => done,
        }
    }

    /// Reads a record at the server of a route, and has everything before that acknowledged.
    async fn read_acknowledged(
        &self,
        sent: &SentFlag,
        route: &Route<'_>,
        keys: &Keys,
    ) -> RedisResult<(Value, Acknowledged)> {
        // SUBTLE: the read comes first: 1. the claim; 2. the read finds it; 3. the write follows it in
        // the replication stream, so a replica that has the write has the claim.
        let probe = probe(&keys.partition.to_string());
        self.run_and_wait(sent, route, &[Cmd::hget(&keys.record, "body"), probe])
            .await
    }

    /// Runs commands and a `WAIT` behind them at the server of a route. Returns the reply to the first
    /// command; an error of the server in any of them is an error.
    async fn run_and_wait(
        &self,
        sent: &SentFlag,
        route: &Route<'_>,
        commands: &[Cmd],
    ) -> RedisResult<(Value, Acknowledged)> {
        let required = self.required_at(route.server()).await?;
        let mut pipeline = Pipeline::new();
        for command in commands {
            if route.is_asking() {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(command.clone());
        }
        // The rest of the time-out is left to the reply.
        let wait_ms = u64::try_from(self.settings.timeout.as_millis() / 2).unwrap_or(u64::MAX);
        pipeline.cmd("WAIT").arg(required.0).arg(wait_ms.max(1));
        let is_well = |replies: &[Value]| !replies.iter().any(is_of_other_epoch);
        let running = route.server().claims.run_all(sent, &pipeline, is_well);
        let replies = running.await?;
        let replies = replies.into_iter().map(Value::extract_error);
        let mut replies = replies.collect::<RedisResult<Vec<_>>>()?;
        let by = i64::from_redis_value(replies.pop().unwrap_or(Value::Nil))?;
        let reply = replies.into_iter().nth(usize::from(route.is_asking()));
        let acknowledged = Acknowledged { by, required };
        Ok((reply.unwrap_or(Value::Nil), acknowledged))
    }
}

/// Builds the write that follows earlier writes to the server of a hash tag: a replica that has it has
/// those as well.
fn probe(tag: &str) -> Cmd {
    let mut probe = redis::cmd("SET");
    probe.arg(format!("okb:{{{tag}}}:acknowledged"));
    probe
        .arg(1)
        .arg("PX")
        .arg(PROBE_KEPT.as_millis().to_string());
    probe
}

/// Returns true for the reply of `commit.lua` in another epoch than the claim names.
fn is_of_other_epoch(reply: &Value) -> bool {
    matches!(reply, Value::Array(values) if values.first() == Some(&Value::Int(-1)))
}

/// The number of replicas that must acknowledge a claim.
#[derive(Clone, Copy)]
struct Required(usize);

/// The number of replicas that acknowledged a claim.
struct Acknowledged {
    by: i64,
    required: Required,
}

impl Acknowledged {
    fn require(self) -> Result<(), StoreError> {
        let Self { by, required } = self;
        if usize::try_from(by).is_ok_and(|by| by >= required.0) {
            return Ok(());
        }
        Err(StoreError::Unacknowledged(format!(
            "{by} of {} replicas acknowledged the write",
            required.0
        )))
    }
}
