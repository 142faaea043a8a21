//! The connections of acknowledged claims.
//!
//! `WAIT` counts the replicas that have received the writes of its own connection, and blocks what is
//! queued behind it. So a claim and its `WAIT` go out together, on a connection that does nothing
//! else meanwhile. A connection whose reply was not read to its end is closed: what its next `WAIT`
//! would count is unknown. So are the idle ones then, after any error, after a claim that named
//! another epoch, and when the connection of the other calls is replaced: they may be to a server
//! that was demoted. Otherwise each of them would cost a purchase.
//!
//! A `WAIT` on a new connection proves nothing about earlier writes. After an indeterminate result
//! the claim is read back on such a connection, followed by a write and a `WAIT`: replication is in
//! order, so a replica that has the write has the claim.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::sync::Semaphore;

use super::connection::{Connection, SentFlag};

/// The maximum number of connections to one server, and so of its concurrent claims; further claims
/// wait.
const CONNECTIONS_MAX: usize = 64;

/// The idle connections, and the right to open another.
pub(super) struct ClaimConnections {
    /// Locates the server.
    server: Connection,
    config: AsyncConnectionConfig,
    turns: Semaphore,
    idle: Mutex<Vec<IdleConnection>>,
}

/// A connection that has no call in flight.
struct IdleConnection {
    connection: MultiplexedConnection,
    /// The number of replaced connections of the server when it was opened.
    generation: u64,
}

impl ClaimConnections {
    /// Builds the connections to the server of `server`; the first claim opens one.
    pub(super) fn new(server: Connection, timeout: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(timeout))
            .set_connection_timeout(Some(timeout));
        Self {
            server,
            config,
            turns: Semaphore::new(CONNECTIONS_MAX),
            idle: Mutex::default(),
        }
    }

    /// Runs commands in one round trip on a connection that nothing else uses, and returns the
    /// reply of each, which may be an error of the server. Closes the idle connections unless every
    /// reply arrives and `is_well` of them.
    pub(super) async fn run_all(
        &self,
        sent: &SentFlag,
        commands: &Pipeline,
        is_well: impl Fn(&[Value]) -> bool,
    ) -> RedisResult<Vec<Value>> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let generation = self.server.replaced();
        let mut connection = match self.take_idle(generation) {
            Some(connection) => connection,
            None => self.open().await?,
        };
        sent.set();
        // Dropped with this future when its caller times out, and so is the connection.
        let closing = ClosesIdle(Some(self));
        let replies = connection
            .send_packed_commands(commands, 0, commands.len())
            .await?;
        let has_failed = |reply: &Value| matches!(reply, Value::ServerError(_));
        if !replies.iter().any(has_failed) && is_well(&replies) {
            closing.cancel();
            self.idle().push(IdleConnection {
                connection,
                generation,
            });
        }
        Ok(replies)
    }

    /// Takes a connection that was opened after the last time the server was replaced.
    fn take_idle(&self, generation: u64) -> Option<MultiplexedConnection> {
        let mut idle = self.idle();
        idle.retain(|idle| idle.generation == generation);
        idle.pop().map(|idle| idle.connection)
    }

    async fn open(&self) -> RedisResult<MultiplexedConnection> {
        let client = self.server.locate().await?;
        let opening = client.get_multiplexed_async_connection_with_config(&self.config);
        opening.await
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<IdleConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the idle connections when it is dropped.
struct ClosesIdle<'a>(Option<&'a ClaimConnections>);

impl ClosesIdle<'_> {
    /// Leaves them open.
    fn cancel(mut self) {
        self.0 = None;
    }
}

impl Drop for ClosesIdle<'_> {
    fn drop(&mut self) {
        if let Some(connections) = self.0 {
            connections.idle().clear();
        }
    }
}
