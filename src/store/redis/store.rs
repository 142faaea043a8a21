//! The store itself: its connection, its scripts, and one call.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Script, ScriptInvocation};

use super::{
    connection::{self, Connection, SentFlag},
    error::{failure, timed_out},
    settings::RedisSettings,
};
use crate::store::{StoreError, identity::SeenIdentity};

/// The shared store.
pub struct RedisStore {
    pub(super) client: redis::Client,
    pub(super) connection: Connection,
    pub(super) settings: RedisSettings,
    /// `None` when opened for inspection.
    seen: Mutex<Option<SeenIdentity>>,
    pub(super) scripts: Scripts,
}

/// The scripts that compare and set.
pub(super) struct Scripts {
    pub(super) commit: Script,
    pub(super) lease: Script,
    pub(super) put_note: Script,
    pub(super) identity: Script,
}

impl RedisStore {
    /// Builds a store that connects at its first call. It adopts no identity, and writes nothing by
    /// itself.
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
            seen: Mutex::new(None),
            scripts: Scripts {
                commit: Script::new(include_str!("commit.lua")),
                lease: Script::new(include_str!("lease.lua")),
                put_note: Script::new(include_str!("put_note.lua")),
                identity: Script::new(include_str!("identity.lua")),
            },
        })
    }

    /// Locks and returns the identity that this process has seen.
    pub(super) fn seen(&self) -> MutexGuard<'_, Option<SeenIdentity>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one command.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let (mut call, sent) = self.connection.begin();
        self.within(&sent, command.query_async(&mut call)).await
    }

    /// Runs the commands of a pipeline in one round trip.
    pub(super) async fn query_all<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let (mut call, sent) = self.connection.begin();
        self.within(&sent, pipeline.query_async(&mut call)).await
    }

    /// Runs a script.
    pub(super) async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let (mut call, sent) = self.connection.begin();
        self.within(&sent, script.invoke_async(&mut call)).await
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
