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

use futures::FutureExt;
use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::{sync::watch, time::Instant};

use super::trouble::{RevealsTrouble, Trouble, trouble_of};

/// The idle time of a connection before the kernel sends keepalive probes, and the pause
/// between two of them.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// The time for which a failure to connect is returned to further calls, so that a server that
/// rejects the password does not get a new connection for each of them.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(100);
/// The age from which a connection is replaced because of [`Trouble::Refusal`].
const REFUSAL_GRACE: Duration = Duration::from_secs(1);

/// A connection that reconnects when needed. Clones share it.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    client: Client,
    config: AsyncConnectionConfig,
    timeout: Duration,
    live: Mutex<Option<Live>>,
    /// Held by the one call that connects.
    connecting: tokio::sync::Mutex<Option<(Instant, RedisError)>>,
    /// Counts the connections that were established.
    made: AtomicU64,
    /// Counts the connections that were replaced because of an error.
    discarded: watch::Sender<u64>,
}

/// One established connection.
#[derive(Clone)]
struct Live {
    number: u64,
    since: Instant,
    connection: MultiplexedConnection,
    /// Counts the replies that arrived on it.
    replies: Arc<AtomicU64>,
}

/// Builds the client of a URL, with sockets that detect a dead peer.
///
/// # Errors
/// When the URL cannot be read; the error may quote it.
pub(super) fn client(url: &str, timeout: Duration) -> RedisResult<Client> {
    let known = Client::open(url)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(timeout.max(KEEPALIVE_INTERVAL));
    Client::open(known.get_connection_info().clone().set_tcp_settings(tcp))
}

impl Connection {
    /// Builds a connection whose calls take up to `timeout`; the first call connects.
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(timeout))
            .set_connection_timeout(Some(timeout));
        Self(Arc::new(Shared {
            client,
            config,
            timeout,
            live: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(None),
            made: AtomicU64::new(0),
            discarded: watch::Sender::new(0),
        }))
    }

    /// Begins a call; the flag is set when the call is handed to an established connection.
    pub(super) fn begin(&self) -> (RedisCall, SentFlag) {
        let sent = SentFlag::default();
        let call = RedisCall {
            connection: self.clone(),
            sent: sent.clone(),
        };
        (call, sent)
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
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&self.config);
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                return Err(error);
            }
        };
        let live = Live {
            number: self.made.fetch_add(1, Ordering::SeqCst),
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
    /// Sets the flag permanently.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Returns true once the flag is set.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One call on the connection.
pub(super) struct RedisCall {
    connection: Connection,
    sent: SentFlag,
}

impl ConnectionLike for RedisCall {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let send = async move |connection: &mut MultiplexedConnection| {
            connection.send_packed_command(command).await
        };
        async move { self.connection.call(&self.sent, send).await }.boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let send = async move |connection: &mut MultiplexedConnection| {
            connection
                .send_packed_commands(pipeline, offset, count)
                .await
        };
        async move { self.connection.call(&self.sent, send).await }.boxed()
    }

    fn get_db(&self) -> i64 {
        self.connection
            .0
            .client
            .get_connection_info()
            .redis_settings()
            .db()
    }
}
