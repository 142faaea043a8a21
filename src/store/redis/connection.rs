//! The connection to Redis, and its replacement by a new one.
//!
//! A connection is replaced when:
//!
//! - it was silent: a call waited for at least half of `store.timeout`, and no reply arrived on
//!   the connection meanwhile. An unreachable host sends no FIN;
//! - the server is read-only (`READONLY`, `MASTERDOWN`): another server may have the same address
//!   by now;
//! - it is not, or no longer, authenticated (`NOAUTH`, `WRONGPASS`, `NOPERM`);
//! - the server rejects writes temporarily (`NOREPLICAS`, `MISCONF`, `OOM`, `CLUSTERDOWN`). It may
//!   be the right one, so only a connection that is [`REFUSAL_GRACE`] old is replaced for this:
//!   otherwise such a server would get a new connection for each call.
//!
//! A subscription ends when the connection of the calls is replaced because of an error: its
//! server may be a demoted primary, which still answers pings.
//!
//! TCP keepalive and `TCP_USER_TIMEOUT` end idle connections to an unreachable host. A failure to
//! connect, such as a rejected password, is cached for at most [`RECONNECT_INTERVAL`], so that a
//! fix on the server needs no restart of the gateway.
//!
//! No call is ever retried on another connection: its caller gets the error, which is
//! indeterminate from the moment the call was handed to a connection, unless the server rejected
//! it (`error.rs`). The old server may execute
//! a commit after its caller timed out. That is safe: `commit.lua` compares the version and the
//! attempt token, so a commit is executed once or conflicts with what has been stored since, and
//! [`crate::store::claim`] reads an indeterminate claim back by its token.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
};
use tokio::{sync::watch, time::Instant};

use super::{
    sentinel::Locator,
    trouble::{RevealsTrouble, Trouble, trouble_of},
};

/// The time for which a failure to connect is returned to further calls, so that a server that
/// rejects the password does not get a new connection for each of them.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(100);
/// The age from which a connection is replaced because of [`Trouble::Refusal`].
const REFUSAL_GRACE: Duration = Duration::from_secs(1);

/// A connection that reconnects when needed. Clones share it.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    locator: Locator,
    config: AsyncConnectionConfig,
    timeout: Duration,
    live: Mutex<Option<Live>>,
    /// Held by the one call that connects.
    connecting: tokio::sync::Mutex<Option<(Instant, RedisError)>>,
    /// Counts the connections that were established.
    made: AtomicU64,
    /// Counts the connections that were discarded, also because they were silent.
    replaced: AtomicU64,
    /// Counts the connections that were replaced because of an error.
    discarded: watch::Sender<u64>,
}

/// One established connection.
#[derive(Clone)]
struct Live {
    number: u64,
    client: Client,
    since: Instant,
    connection: MultiplexedConnection,
    /// Counts the replies that arrived on it.
    replies: Arc<AtomicU64>,
}

impl Connection {
    /// Builds a connection whose calls take up to `timeout`; the first call connects.
    pub(super) fn new(locator: Locator, timeout: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(timeout))
            .set_connection_timeout(Some(timeout));
        Self(Arc::new(Shared {
            locator,
            config,
            timeout,
            live: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(None),
            made: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
            discarded: watch::Sender::new(0),
        }))
    }

    /// Runs one command. `sent` is set when it is handed to an established connection.
    pub(super) async fn run(&self, sent: &SentFlag, command: &Cmd) -> RedisResult<Value> {
        let call = async move |connection: &mut MultiplexedConnection| {
            connection.send_packed_command(command).await
        };
        self.call(sent, call).await?.extract_error()
    }

    /// Runs commands in one round trip, and returns the reply of each, which may be an error of the
    /// server.
    pub(super) async fn run_all(
        &self,
        sent: &SentFlag,
        commands: &Pipeline,
    ) -> RedisResult<Vec<Value>> {
        let call = async move |connection: &mut MultiplexedConnection| {
            connection
                .send_packed_commands(commands, 0, commands.len())
                .await
        };
        self.call(sent, call).await
    }

    /// Returns the client of the server that a new connection would reach.
    pub(super) async fn locate(&self) -> RedisResult<Client> {
        self.0.locator.locate().await
    }

    /// Returns the number of replicas of the server that the sentinels know.
    ///
    /// # Errors
    /// When no sentinel has answered yet, or there is none.
    pub(super) async fn replicas(&self) -> RedisResult<usize> {
        self.0.locator.replicas().await
    }

    /// Discards the connection if it is to another server than `client`.
    pub(super) fn leave_other_than(&self, client: &Client) {
        let current = self.0.current();
        if let Some(live) = current
            && live.client.get_connection_info().addr() != client.get_connection_info().addr()
            && self.0.discard(live.number)
        {
            self.0.discarded.send_modify(|count| *count += 1);
        }
    }

    async fn call<T: RevealsTrouble>(
        &self,
        sent: &SentFlag,
        run: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let Live {
            number,
            since,
            mut connection,
            replies,
            ..
        } = self.0.live().await?;
        // Dropped with this future when its caller times out.
        let waiting = Waiting {
            shared: &self.0,
            number,
            replies: &replies,
            replies_before: replies.load(Ordering::SeqCst),
            since: Instant::now(),
        };
        sent.set();
        let result = run(&mut connection).await;
        if result.as_ref().is_err_and(RedisError::is_timeout) {
            return result;
        }
        replies.fetch_add(1, Ordering::SeqCst);
        drop(waiting);
        let trouble = match &result {
            Ok(reply) => reply.trouble(),
            Err(error) => trouble_of(error),
        };
        let must_discard = match trouble {
            Trouble::None => false,
            Trouble::Refusal => since.elapsed() >= REFUSAL_GRACE,
            Trouble::Useless => true,
        };
        if must_discard && self.0.discard(number) {
            self.0.discarded.send_modify(|count| *count += 1);
        }
        result
    }

    /// Returns the number of connections that were replaced for any reason.
    pub(super) fn replaced(&self) -> u64 {
        self.0.replaced.load(Ordering::SeqCst)
    }

    /// Watches the number of connections that were replaced because of an error.
    pub(super) fn discarded(&self) -> watch::Receiver<u64> {
        self.0.discarded.subscribe()
    }
}

impl Shared {
    fn current(&self) -> Option<Live> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.clone()
    }

    /// Returns the current connection, or establishes a new one.
    async fn live(&self) -> RedisResult<Live> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let mut failed = self.connecting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < RECONNECT_INTERVAL
        {
            return Err(error.clone());
        }
        let connecting = async {
            let client = self.locator.locate().await?;
            let connecting = client.get_multiplexed_async_connection_with_config(&self.config);
            let connection = connecting.await?;
            RedisResult::Ok((client, connection))
        };
        let (client, connection) = match connecting.await {
            Ok(connected) => connected,
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                return Err(error);
            }
        };
        let live = Live {
            number: self.made.fetch_add(1, Ordering::SeqCst),
            client,
            since: Instant::now(),
            connection,
            replies: Arc::default(),
        };
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
        Ok(live)
    }

    /// Discards a connection; returns false when another call already has. Calls in flight on it
    /// continue.
    fn discard(&self, number: u64) -> bool {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = live.as_ref().is_some_and(|live| live.number == number);
        if is_current {
            *live = None;
            self.replaced.fetch_add(1, Ordering::SeqCst);
        }
        is_current
    }
}

/// A call that waits for its reply.
struct Waiting<'a> {
    shared: &'a Shared,
    number: u64,
    replies: &'a AtomicU64,
    replies_before: u64,
    since: Instant,
}

impl Drop for Waiting<'_> {
    /// Discards the connection if it was silent.
    fn drop(&mut self) {
        let was_silent = self.replies.load(Ordering::SeqCst) == self.replies_before;
        if was_silent && self.since.elapsed() >= self.shared.timeout / 2 {
            self.shared.discard(self.number);
        }
    }
}

/// A flag that is set when a call is handed to a connection: the server may execute it from then
/// on.
#[derive(Clone, Debug, Default)]
pub(super) struct SentFlag(Arc<AtomicBool>);

impl SentFlag {
    /// Sets the flag.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Clears the flag: the server answered that it did not execute the call.
    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Returns true while the flag is set.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
