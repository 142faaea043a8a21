//! The servers of a store, and the way of each call to the one that holds its keys.
//!
//! The first argument of every command that is routed here is its key. In a cluster, a server that
//! does not hold the key answers without executing anything:
//!
//! | answer | meaning | then |
//! | --- | --- | --- |
//! | `MOVED` | another server holds the slot | the call goes there, and the map is read again |
//! | `ASK` | the slot is being moved, and the key is there already | this one call goes there |
//! | `TRYAGAIN` | the slot is being moved, and only some keys of the call are there | the call is repeated here |
//!
//! Each of them leaves the call unsent. Nothing else is ever repeated: see `connection.rs`.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use futures::future::join_all;
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::Instant;

use super::{
    access::Access,
    address::Address,
    cluster::Cluster,
    connection::SentFlag,
    sentinel::{Locator, Sentinels},
    server::Server,
    settings::RedisSettings,
    slot::slot_of,
    topology::{RedisTopology, unreadable_url},
};
use crate::store::StoreError;

/// The pause before a call is repeated whose slot is being moved.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The servers of a store.
pub(super) enum Servers {
    /// One server, or the primary that sentinels name.
    One(Arc<Server>),
    /// The primaries of a cluster.
    Cluster(Box<Cluster>),
}

impl Servers {
    /// Builds the servers, which are connected at the first call.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when a URL or a certificate cannot be read.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, StoreError> {
        // Errors of the client can quote its URL, which may hold a password.
        let unreadable = |_| unreadable_url();
        let urls: Vec<&str> = settings.url.split(',').map(str::trim).collect();
        let addresses = urls.iter().map(|url| Address::of_url(url));
        let addresses: Vec<Address> = addresses
            .collect::<RedisResult<Option<Vec<_>>>>()
            .map_err(unreadable)?
            .ok_or_else(unreadable_url)?;
        let (first_url, first) = (urls[0], addresses[0].clone());
        let (access, timeout) = (&settings.access, settings.timeout);
        let access_of =
            |user| Access::new(first_url, user, &access.certificates, timeout).map_err(unreadable);
        let servers = access_of(&access.user)?;
        let one = |locator| Self::One(Server::new(first.clone(), locator, timeout));
        Ok(match &settings.topology {
            RedisTopology::Standalone => {
                let client = servers.client(&first).map_err(|error| {
                    StoreError::Unsuitable(format!("the certificates cannot be read: {error}"))
                })?;
                one(Locator::Fixed(client))
            }
            RedisTopology::Sentinel { primary, user } => {
                let access = access_of(user)?.without_database();
                let sentinels = Sentinels::new(addresses, access, primary.clone(), timeout);
                one(Locator::Sentinels {
                    sentinels,
                    access: servers,
                })
            }
            RedisTopology::Cluster => {
                Self::Cluster(Box::new(Cluster::new(addresses, servers, timeout)))
            }
        })
    }

    /// Returns true for a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Returns the primaries that are known now; reads the map of a cluster first if none is.
    ///
    /// # Errors
    /// When no server of a cluster answers.
    pub(super) async fn all(&self) -> RedisResult<Vec<Arc<Server>>> {
        match self {
            Self::One(server) => Ok(vec![Arc::clone(server)]),
            Self::Cluster(cluster) => {
                if cluster.map().primaries().is_empty() {
                    cluster.refresh().await?;
                }
                Ok(cluster.map().primaries())
            }
        }
    }

    /// Returns the server that holds a key.
    ///
    /// # Errors
    /// When no server of a cluster answers, or none holds the slot.
    pub(super) async fn holder_of(&self, key: &[u8]) -> RedisResult<Arc<Server>> {
        match self {
            Self::One(server) => Ok(Arc::clone(server)),
            Self::Cluster(cluster) => cluster.owner(slot_of(key)).await,
        }
    }

    /// Runs a command at the server that holds its key. Clears `sent` when a server answers that it
    /// did not execute the command.
    ///
    /// # Errors
    /// The error of the client or of the server.
    pub(super) async fn run(&self, sent: &SentFlag, command: &Cmd) -> RedisResult<Value> {
        let mut route = self.route(key_of(command)).await?;
        loop {
            let result = route.server().run(sent, command, route.is_asking()).await;
            if let ControlFlow::Break(result) = route.follow(sent, result).await? {
                return result;
            }
        }
    }

    /// Begins the route of a call to the server that holds a key.
    ///
    /// # Errors
    /// When no server of a cluster answers, or none holds the slot.
    pub(super) async fn route<'a>(&'a self, key: &'a [u8]) -> RedisResult<Route<'a>> {
        Ok(Route {
            key,
            server: self.holder_of(key).await?,
            is_asking: false,
            suspicion: self.suspicion(),
        })
    }

    /// Groups keys by the server that holds them; each group has the indexes of its keys.
    pub(super) async fn group<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<(RedisResult<Arc<Server>>, Vec<usize>)> {
        let mut groups: Vec<(RedisResult<Arc<Server>>, Vec<usize>)> = Vec::new();
        for (index, key) in keys.enumerate() {
            let holder = self.holder_of(key).await;
            let group = groups.iter_mut().find(|(known, _)| match (known, &holder) {
                (Ok(known), Ok(holder)) => Arc::ptr_eq(known, holder),
                _ => false,
            });
            match group {
                Some((_, indexes)) => indexes.push(index),
                None => groups.push((holder, vec![index])),
            }
        }
        groups
    }

    /// Runs independent commands, those of each server in one round trip, in at most `timeout`.
    /// Returns the result of each.
    pub(super) async fn run_each(
        &self,
        sent: &SentFlag,
        commands: &Pipeline,
        timeout: Duration,
    ) -> Vec<RedisResult<Value>> {
        let until = Instant::now() + timeout;
        if let Self::One(server) = self {
            return self.run_until(sent, server, commands, until).await;
        }
        let commands: Vec<&Cmd> = commands.cmd_iter().collect();
        let grouping = self.group(commands.iter().map(|command| key_of(command)));
        let Ok(groups) = tokio::time::timeout_at(until, grouping).await else {
            return vec![Err(no_reply()); commands.len()];
        };
        let running = groups.into_iter().map(async |(server, indexes)| {
            let results = match server {
                Ok(server) => {
                    let mut of_server = Pipeline::with_capacity(indexes.len());
                    for index in &indexes {
                        of_server.add_command(commands[*index].clone());
                    }
                    self.run_until(sent, &server, &of_server, until).await
                }
                Err(error) => vec![Err(error); indexes.len()],
            };
            indexes.into_iter().zip(results)
        });
        let mut results: Vec<_> = join_all(running).await.into_iter().flatten().collect();
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Runs commands at one server like [`Self::run_at`], until a time.
    async fn run_until(
        &self,
        sent: &SentFlag,
        server: &Server,
        commands: &Pipeline,
        until: Instant,
    ) -> Vec<RedisResult<Value>> {
        let running = tokio::time::timeout_at(until, self.run_at(sent, server, commands));
        let done = running.await;
        done.unwrap_or_else(|_| vec![Err(no_reply()); commands.len()])
    }

    /// Runs commands at one server in one round trip; those that it does not execute, because it
    /// does not hold their keys, one by one where they are held.
    async fn run_at(
        &self,
        sent: &SentFlag,
        server: &Server,
        commands: &Pipeline,
    ) -> Vec<RedisResult<Value>> {
        let suspicion = self.suspicion();
        let replies = match server.connection.run_all(sent, commands).await {
            Ok(replies) => replies,
            Err(error) => return vec![Err(error); commands.len()],
        };
        suspicion.clear();
        let mut replies = replies.into_iter();
        let mut results = Vec::with_capacity(commands.len());
        for command in commands.cmd_iter() {
            let missing = || RedisError::from((ErrorKind::Client, "a reply is missing"));
            let reply = replies.next().ok_or_else(missing);
            let result = reply.and_then(Value::extract_error);
            let redirection = |error| Redirection::of(error, &server.address);
            results.push(if result.as_ref().err().and_then(redirection).is_some() {
                self.run(sent, command).await
            } else {
                result
            });
        }
        results
    }

    fn suspicion(&self) -> Suspicion<'_> {
        Suspicion(match self {
            Self::One(_) => None,
            Self::Cluster(cluster) => Some(cluster),
        })
    }

    /// Has the map of a cluster read again before the next call.
    pub(super) fn suspect(&self) {
        if let Self::Cluster(cluster) = self {
            cluster.suspect();
        }
    }

    /// Has the current primaries determined again: by the sentinels, or from the map of the cluster.
    ///
    /// # Errors
    /// When no sentinel, or no server of the cluster, answers.
    pub(super) async fn refresh(&self) -> RedisResult<()> {
        match self {
            Self::One(server) => {
                let primary = server.connection.locate().await?;
                server.connection.leave_other_than(&primary);
                Ok(())
            }
            Self::Cluster(cluster) => cluster.refresh().await,
        }
    }

    /// Returns the number of replicas that are known of a server, those that are down included: by
    /// the map of the cluster, or by the last answer of the sentinels. Reads the map again if the
    /// server is not in it, such as one that another server names for a slot.
    ///
    /// # Errors
    /// When the server is in no map, no majority of the sentinels has agreed yet, or for a standalone
    /// server, of whose replicas nobody knows.
    pub(super) async fn replicas_of(&self, server: &Server) -> RedisResult<usize> {
        let cluster = match self {
            Self::One(_) => return server.connection.replicas().await,
            Self::Cluster(cluster) => cluster,
        };
        if let Some(known) = cluster.map().replicas_of(&server.address) {
            return Ok(known);
        }
        cluster.refresh().await?;
        let known = cluster.map().replicas_of(&server.address);
        known.ok_or_else(|| {
            RedisError::from((
                ErrorKind::ClusterConnectionNotFound,
                "the cluster does not name the server as a primary, so its replicas are unknown",
            ))
        })
    }
}

fn no_reply() -> RedisError {
    RedisError::from((ErrorKind::Io, "no reply in time"))
}

/// Has the map of a cluster read again when it is dropped: when a call ends without a reply, also by
/// a time-out.
struct Suspicion<'a>(Option<&'a Cluster>);

impl Suspicion<'_> {
    /// Ends the suspicion: a server replied.
    fn clear(mut self) {
        self.0 = None;
    }
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        if let Some(cluster) = self.0 {
            cluster.suspect();
        }
    }
}

/// The route of one call: the servers that name each other as the holder of its key.
pub(super) struct Route<'a> {
    key: &'a [u8],
    server: Arc<Server>,
    is_asking: bool,
    suspicion: Suspicion<'a>,
}

impl Route<'_> {
    /// Returns the server to call.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Returns true when the call must be preceded by `ASKING`.
    pub(super) fn is_asking(&self) -> bool {
        self.is_asking
    }

    /// Follows the result of the call at the server: breaks with it, unless the server names another
    /// one, or the same one for later.
    ///
    /// # Errors
    /// When the other server cannot be determined.
    pub(super) async fn follow<T>(
        &mut self,
        sent: &SentFlag,
        result: RedisResult<T>,
    ) -> RedisResult<ControlFlow<RedisResult<T>>> {
        let Some(cluster) = self.suspicion.0 else {
            return Ok(ControlFlow::Break(result));
        };
        let redirection = result.as_ref().err();
        let redirection =
            redirection.and_then(|error| Redirection::of(error, &self.server.address));
        let Some(redirection) = redirection else {
            if !result.as_ref().is_err_and(RedisError::is_io_error) {
                self.suspicion.0 = None;
            }
            return Ok(ControlFlow::Break(result));
        };
        sent.clear();
        self.is_asking = matches!(redirection, Redirection::Ask(_));
        self.server = match redirection {
            Redirection::Ask(address) => cluster.named(&address)?,
            Redirection::Moved(address) => {
                cluster.suspect();
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
                cluster.named(&address)?
            }
            Redirection::TryAgain => {
                cluster.suspect();
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
                cluster.owner(slot_of(self.key)).await?
            }
        };
        Ok(ControlFlow::Continue(()))
    }
}

/// The answer of a server that does not hold a key.
enum Redirection {
    Moved(Address),
    Ask(Address),
    TryAgain,
}

impl Redirection {
    fn of(error: &RedisError, asked: &Address) -> Option<Self> {
        // `<slot> <address>`
        let address = || Address::parse(error.detail()?.split(' ').nth(1)?, &asked.host);
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => Some(Self::Moved(address()?)),
            ErrorKind::Server(ServerErrorKind::Ask) => Some(Self::Ask(address()?)),
            ErrorKind::Server(ServerErrorKind::TryAgain) => Some(Self::TryAgain),
            _ => None,
        }
    }
}

/// Returns the key of a command: its first argument; that of a script follows the number of keys,
/// and that of `MEMORY` its subcommand.
fn key_of(command: &Cmd) -> &[u8] {
    let mut arguments = command.args_iter().map(|argument| match argument {
        Arg::Simple(bytes) => bytes,
        _ => b"",
    });
    let position = match arguments.next() {
        Some(b"EVALSHA" | b"EVAL") => 2,
        Some(b"MEMORY") => 1,
        _ => 0,
    };
    arguments.nth(position).unwrap_or_default()
}
