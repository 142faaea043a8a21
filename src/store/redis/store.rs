//! The store itself: its connection, its scripts, and one call.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};

use super::{
    connection::SentFlag,
    error::{failure, timed_out, unreadable_reply},
    script::{LuaScript, ScriptCall},
    server::Server,
    servers::Servers,
    settings::RedisSettings,
};
use crate::store::{StoreError, identity::SeenIdentity, record::Codec};

/// The shared store.
pub struct RedisStore {
    pub(super) servers: Servers,
    pub(super) settings: RedisSettings,
    /// `None` when opened for inspection.
    seen: Mutex<Option<SeenIdentity>>,
    pub(super) scripts: Scripts,
    pub(super) codec: Codec,
}

/// The scripts that compare and set.
pub(super) struct Scripts {
    pub(super) commit: LuaScript,
    pub(super) lease: LuaScript,
    pub(super) put_note: LuaScript,
    pub(super) identity: LuaScript,
    pub(super) retire: LuaScript,
    pub(super) sweep: LuaScript,
    pub(super) trim_events: LuaScript,
    pub(super) push_item: LuaScript,
    pub(super) remove_oldest: LuaScript,
    pub(super) index_trace: LuaScript,
    pub(super) find_trace: LuaScript,
    pub(super) erase_event: LuaScript,
}

impl RedisStore {
    /// Builds a store that connects at its first call. It adopts no identity, and writes nothing by
    /// itself.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the URL cannot be read.
    pub fn connect(settings: RedisSettings) -> Result<Self, StoreError> {
        let codec = Codec::new(Arc::clone(&settings.keys));
        Ok(Self {
            servers: Servers::new(&settings)?,
            settings,
            seen: Mutex::new(None),
            scripts: Scripts {
                commit: LuaScript::new(include_str!("commit.lua")),
                lease: LuaScript::new(include_str!("lease.lua")),
                put_note: LuaScript::new(include_str!("put_note.lua")),
                identity: LuaScript::new(include_str!("identity.lua")),
                retire: LuaScript::new(include_str!("retire.lua")),
                sweep: LuaScript::new(include_str!("sweep.lua")),
                trim_events: LuaScript::new(include_str!("trim_events.lua")),
                push_item: LuaScript::new(include_str!("push_item.lua")),
                remove_oldest: LuaScript::new(include_str!("remove_oldest.lua")),
                index_trace: LuaScript::new(include_str!("index_trace.lua")),
                find_trace: LuaScript::new(include_str!("find_trace.lua")),
                erase_event: LuaScript::new(include_str!("erase_event.lua")),
            },
            codec,
        })
    }

    /// Returns the settings.
    pub(in crate::store) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// Returns the codec of the store.
    pub(in crate::store) fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Locks and returns the identity that this process has seen.
    pub(super) fn seen(&self) -> MutexGuard<'_, Option<SeenIdentity>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one command, whose first argument is its key.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let sent = SentFlag::default();
        let reply = self.within(&sent, self.servers.run(&sent, command)).await?;
        read_reply(reply)
    }

    /// Runs independent commands, those of each server in one round trip. The first argument of
    /// each is its key.
    pub(super) async fn query_all<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let replies = self.query_each(pipeline).await;
        let replies = replies.into_iter().collect::<Result<Vec<_>, _>>()?;
        read_reply(Value::Array(replies))
    }

    /// Runs independent commands like [`Self::query_all`], and returns the result of each: a server
    /// that is down fails its own commands only.
    pub(super) async fn query_each(&self, pipeline: &Pipeline) -> Vec<Result<Value, StoreError>> {
        let sent = SentFlag::default();
        let results = self
            .servers
            .run_each(&sent, pipeline, self.settings.timeout);
        let failed = |error| failure(&error, &sent);
        let results = results.await.into_iter();
        results.map(|result| result.map_err(failed)).collect()
    }

    /// Runs commands that name no key at one server, in one round trip.
    pub(super) async fn query_server<T: FromRedisValue>(
        &self,
        server: &Server,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let replies = self.query_server_each(server, pipeline).await?;
        let replies = replies.into_iter().collect::<Result<Vec<_>, _>>()?;
        read_reply(Value::Array(replies))
    }

    /// Runs commands at one server, in one round trip, and returns the result of each.
    pub(super) async fn query_server_each(
        &self,
        server: &Server,
        pipeline: &Pipeline,
    ) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
        let sent = SentFlag::default();
        let running = server.connection.run_all(&sent, pipeline);
        let replies = self.within(&sent, running).await;
        let replies = replies.inspect_err(|_| self.servers.suspect())?;
        let replies = replies.into_iter().map(|reply| {
            let reply = reply
                .extract_error()
                .map_err(|error| failure(&error, &sent));
            reply.inspect_err(|_| self.servers.suspect())
        });
        Ok(replies.collect())
    }

    /// Runs a script.
    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptCall<'_>,
    ) -> Result<T, StoreError> {
        let sent = SentFlag::default();
        let running = async {
            match self.servers.run(&sent, &script.by_hash()).await {
                Err(error) if is_unknown_script(&error) => {
                    sent.clear();
                    self.servers.run(&sent, &script.by_text()).await
                }
                done => done,
            }
        };
        read_reply(self.within(&sent, running).await?)
    }

    /// Runs a script, and reads behind it in the same round trip. The reads are `None` if there are
    /// none, if several servers hold the store, or if one of them fails: the result of the script
    /// stands.
    ///
    /// SUBTLE: a server executes the commands of one connection in their order, so each read is of a
    /// time after the script. A script that the server does not know is sent again with its text;
    /// the reads behind the first try came before it and are dropped.
    pub(super) async fn invoke_and_read<T: FromRedisValue, R: FromRedisValue>(
        &self,
        script: &ScriptCall<'_>,
        reads: &[Cmd],
    ) -> Result<(T, Option<R>), StoreError> {
        let Servers::One(server) = &self.servers else {
            return Ok((self.invoke(script).await?, None));
        };
        if reads.is_empty() {
            return Ok((self.invoke(script).await?, None));
        }
        let sent = SentFlag::default();
        let run = async |script: Cmd| {
            let mut pipeline = Pipeline::with_capacity(reads.len() + 1);
            pipeline.add_command(script);
            for read in reads {
                pipeline.add_command(read.clone());
            }
            let mut replies = server.connection.run_all(&sent, &pipeline).await?;
            let read = replies.split_off(1.min(replies.len()));
            let reply = replies.pop().unwrap_or(Value::Nil).extract_error()?;
            Ok((reply, read))
        };
        let running = async {
            match run(script.by_hash()).await {
                Err(error) if is_unknown_script(&error) => {
                    sent.clear();
                    run(script.by_text()).await
                }
                done => done,
            }
        };
        let (reply, read) = self.within(&sent, running).await?;
        let read = read.into_iter().map(Value::extract_error);
        let read = read.collect::<RedisResult<Vec<_>>>().ok();
        let read = read.and_then(|read| R::from_redis_value(Value::Array(read)).ok());
        Ok((read_reply(reply)?, read))
    }

    /// Bounds a call by the time-out of the store. A failure is determinate while `sent` is
    /// not set.
    pub(super) async fn within<T>(
        &self,
        sent: &SentFlag,
        call: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let timeout = self.settings.timeout;
        match tokio::time::timeout(timeout, call).await {
            Ok(done) => done.map_err(|error| failure(&error, sent)),
            Err(_) => Err(timed_out(timeout, sent)),
        }
    }
}

/// Returns true when a server did not execute a script because it does not know its hash.
pub(super) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Reads the reply to a call that was executed.
pub(super) fn read_reply<T: FromRedisValue>(reply: Value) -> Result<T, StoreError> {
    let reply = T::from_redis_value(reply).map_err(RedisError::from);
    reply.map_err(|error| unreadable_reply(&error))
}
