//! The connection to Redis, and when it is left for a new one.
//!
//! A connection is left as soon as it proves useless, not only when the peer closes it:
//!
//! - it was silent: a call waited for at least half of `store.timeout`, and nothing at all
//!   arrived on the connection meanwhile. A host that went dark closes nothing;
//! - the server takes no writes (`READONLY`, `MASTERDOWN`): behind the same address there may
//!   be another one by now;
//! - it is not, or no longer, authenticated (`NOAUTH`, `WRONGPASS`, `NOPERM`);
//! - the server refuses writes for now (`NOREPLICAS`, `MISCONF`, `OOM`, `CLUSTERDOWN`). It may
//!   be the right one, so a connection is left for this only once it is [`AT_REST`] old: a
//!   server that goes on refusing is not connected to again for each call.
//!
//! A subscription ends when the connection of the calls is left for an error: it may be one
//! to a server to which nobody writes any more, and which still answers pings.
//!
//! TCP keepalive and `TCP_USER_TIMEOUT` end idle connections to a host that is gone. An error
//! while connecting, a refused password among them, is never remembered for longer than
//! [`AGAIN_AFTER`], so that what is put right on the server needs no restart here.
//!
//! No call is ever repeated on another connection: its caller gets the error. The old server
//! may still execute a commit later that was given up here. It is harmless: `commit.lua`
//! compares the version and the attempt token, so a commit is executed once or conflicts
//! with what has been stored since, and [`crate::store::claim`] reads an indeterminate claim
//! back by its token.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection, PubSub},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::{sync::watch, time::Instant};

/// How long a connection may be idle before the kernel asks for a sign of life, and how
/// often it then asks.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// The pause between two pings of a subscription.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long an error while connecting answers further calls, so that a server that refuses
/// the password is not asked for each of them.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The codes of a server that must be left.
const LEAVE_CODES: [&str; 5] = ["READONLY", "MASTERDOWN", "NOAUTH", "WRONGPASS", "NOPERM"];

/// The codes of a server that may be the right one, but takes no writes now.
const REFUSAL_CODES: [&str; 4] = ["NOREPLICAS", "MISCONF", "OOM", "CLUSTERDOWN"];
/// How old a connection must be to be left because of [`REFUSAL_CODES`].
const AT_REST: Duration = Duration::from_secs(1);

/// A connection that is made again where that is needed. Clones share it.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    client: Client,
    config: AsyncConnectionConfig,
    timeout: Duration,
    live: Mutex<Option<Live>>,
    /// Held by the one call that connects.
    connecting: tokio::sync::Mutex<Option<(Instant, RedisError)>>,
    /// Counts the connections that were made.
    made: AtomicU64,
    /// Counts the connections that were left for an error.
    left: watch::Sender<u64>,
}

/// One connection that was made.
#[derive(Clone)]
struct Live {
    number: u64,
    since: Instant,
    connection: MultiplexedConnection,
    /// Counts the replies that it brought.
    replies: Arc<AtomicU64>,
}

/// The client of a URL, with sockets that notice a dead peer.
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
    /// A connection whose calls take up to `timeout`; it is made with the first one.
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
            left: watch::Sender::new(0),
        }))
    }

    async fn call<T: Reply>(
        &self,
        send: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let Live {
            number,
            since,
            mut connection,
            replies,
        } = self.0.live().await?;
        // Dropped with this future when its caller's time is up.
        let waiting = Waiting {
            shared: &self.0,
            number,
            replies: &replies,
            replies_before: replies.load(Ordering::SeqCst),
            since: Instant::now(),
        };
        let result = send(&mut connection).await;
        if result.as_ref().is_err_and(RedisError::is_timeout) {
            return result;
        }
        replies.fetch_add(1, Ordering::SeqCst);
        drop(waiting);
        let trouble = match &result {
            Ok(reply) => reply.trouble(),
            Err(error) => trouble_of(error),
        };
        let must_leave = match trouble {
            Trouble::None => false,
            Trouble::Refusal => since.elapsed() >= AT_REST,
            Trouble::Useless => true,
        };
        if must_leave && self.0.leave(number) {
            self.0.left.send_modify(|left| *left += 1);
        }
        result
    }

    /// Watches the number of connections that were left for an error.
    pub(super) fn left(&self) -> watch::Receiver<u64> {
        self.0.left.subscribe()
    }
}

impl Shared {
    fn current(&self) -> Option<Live> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.clone()
    }

    /// The connection that there is, or a new one.
    async fn live(&self) -> RedisResult<Live> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let mut failed = self.connecting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < AGAIN_AFTER
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

    /// Leaves a connection; false when another call did. Calls that still wait on it go on.
    fn leave(&self, number: u64) -> bool {
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
    /// Leaves a connection that was silent for long.
    fn drop(&mut self) {
        let was_silent = self.replies.load(Ordering::SeqCst) == self.replies_before;
        if was_silent && self.since.elapsed() >= self.shared.timeout / 2 {
            self.shared.leave(self.number);
        }
    }
}

/// What a reply says of its connection, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    None,
    /// The server takes no writes now.
    Refusal,
    /// The connection must be left.
    Useless,
}

/// A reply that may hold errors of the server.
trait Reply {
    fn trouble(&self) -> Trouble;
}

impl Reply for Value {
    fn trouble(&self) -> Trouble {
        match self {
            Self::ServerError(error) => trouble_of_code(error.code()),
            _ => Trouble::None,
        }
    }
}

impl Reply for Vec<Value> {
    fn trouble(&self) -> Trouble {
        let worst = self.iter().map(Reply::trouble).max();
        worst.unwrap_or(Trouble::None)
    }
}

fn trouble_of_code(code: &str) -> Trouble {
    if LEAVE_CODES.contains(&code) {
        Trouble::Useless
    } else if REFUSAL_CODES.contains(&code) {
        Trouble::Refusal
    } else {
        Trouble::None
    }
}

fn trouble_of(error: &RedisError) -> Trouble {
    let is_refused = matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed
            | ErrorKind::Server(
                ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::NoPerm
            )
    );
    if is_refused {
        return Trouble::Useless;
    }
    // The code counts first, whatever the client thinks of the connection.
    match error.code().map_or(Trouble::None, trouble_of_code) {
        Trouble::None if error.is_io_error() || error.is_unrecoverable_error() => Trouble::Useless,
        trouble => trouble,
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let send = async move |connection: &mut MultiplexedConnection| {
            connection.send_packed_command(command).await
        };
        async move { self.call(send).await }.boxed()
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
        async move { self.call(send).await }.boxed()
    }

    fn get_db(&self) -> i64 {
        self.0.client.get_connection_info().redis_settings().db()
    }
}

/// Calls `hear` with every message of a subscription until its connection ends, or `left`
/// changes: the server is one that calls turned away from. It is pinged, or the silence of
/// a host that went dark would be taken for one of nothing to tell.
///
/// # Errors
/// When it does not answer a ping within `timeout`.
pub(super) async fn hear_all(
    pubsub: PubSub,
    timeout: Duration,
    mut left: watch::Receiver<u64>,
    hear: impl Fn(&redis::Msg),
) -> RedisResult<()> {
    let (mut sink, mut messages) = pubsub.split();
    let pinging = async {
        loop {
            tokio::time::sleep(PING_INTERVAL).await;
            let answered = tokio::time::timeout(timeout, sink.ping::<Value>()).await;
            let silent = |_| RedisError::from((ErrorKind::Io, "the subscription is silent"));
            if let Err(error) = answered.map_err(silent).flatten() {
                return error;
            }
        }
    };
    let hearing = async {
        while let Some(message) = messages.next().await {
            hear(&message);
        }
    };
    tokio::select! {
        error = pinging => Err(error),
        () = hearing => Ok(()),
        _ = left.changed() => Ok(()),
    }
}
