//! The sentinels, which name the current primary and count its replicas.
//!
//! Every question goes to all sentinels at once, each over a connection of its own: they are asked
//! only to connect, and when the store is verified or its epoch is observed. A sentinel that does not
//! answer is left out.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use redis::{Client, ErrorKind, RedisError, RedisResult, aio::MultiplexedConnection};

use tokio::time::Instant;

use super::{access::Access, address::Address};

/// The time for which the others are waited for once a majority of the sentinels has answered: one on
/// a machine that is down would delay each connection.
const STRAGGLERS_AFTER: Duration = Duration::from_millis(250);

/// The sentinels of one primary.
pub(super) struct Sentinels {
    addresses: Vec<Address>,
    access: Access,
    /// The name under which they monitor the primary.
    name: String,
    timeout: Duration,
    /// The number of replicas that counts; `None` until a majority of the sentinels has agreed.
    replicas: Mutex<Option<usize>>,
}

/// What a sentinel says of one server, by name.
type SentinelFields = HashMap<String, String>;

/// The replies of one sentinel.
struct View {
    primary: Address,
    /// The primary's configuration epoch: greater after each failover.
    epoch: u64,
    /// The number of its replicas, those included that are down or not announced.
    replicas: usize,
}

impl Sentinels {
    /// Builds the sentinels of the primary that they monitor under `name`.
    pub(super) fn new(
        addresses: Vec<Address>,
        access: Access,
        name: String,
        timeout: Duration,
    ) -> Self {
        Self {
            addresses,
            access,
            name,
            timeout,
            replicas: Mutex::new(None),
        }
    }

    fn known_replicas(&self) -> MutexGuard<'_, Option<usize>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the sentinels for the primary, and counts its replicas. Believes the one that saw the
    /// latest failover.
    ///
    /// # Errors
    /// When no sentinel answers.
    pub(super) async fn ask(&self) -> RedisResult<Address> {
        let asking = self.addresses.iter().map(|sentinel| self.view_of(sentinel));
        let mut asking: FuturesUnordered<_> = asking.collect();
        let mut problem = None;
        let mut views = Vec::new();
        let mut until = None;
        loop {
            let next = match until {
                None => asking.next().await,
                Some(until) => {
                    let next = tokio::time::timeout_at(until, asking.next());
                    next.await.unwrap_or(None)
                }
            };
            match next {
                Some(Ok(view)) => views.push(view),
                Some(Err(error)) => problem = Some(error),
                None => break,
            }
            if until.is_none() && views.len() > self.addresses.len() / 2 {
                until = Some(Instant::now() + STRAGGLERS_AFTER);
            }
        }
        let Some(latest) = views.iter().max_by_key(|view| view.epoch) else {
            return Err(problem.unwrap_or_else(|| {
                RedisError::from((ErrorKind::EmptySentinelList, "no sentinel is configured"))
            }));
        };
        let mut known = self.known_replicas();
        *known = count_replicas(*known, &views, &latest.primary, self.addresses.len());
        Ok(latest.primary.clone())
    }

    async fn view_of(&self, sentinel: &Address) -> RedisResult<View> {
        let asking = async {
            let client = self.access.client(sentinel)?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            self.query(&mut connection, sentinel).await
        };
        let silent = |_| RedisError::from((ErrorKind::Io, "no answer of a sentinel"));
        tokio::time::timeout(self.timeout / 2, asking)
            .await
            .map_err(silent)?
    }

    async fn query(
        &self,
        connection: &mut MultiplexedConnection,
        sentinel: &Address,
    ) -> RedisResult<View> {
        let mut pipeline = redis::pipe();
        // SUBTLE: until the other replicas follow the promoted one, the sentinel that leads a failover
        // reports the former primary in SENTINEL MASTER, with the configuration epoch of the new one.
        let questions = ["MASTER", "GET-MASTER-ADDR-BY-NAME", "REPLICAS"];
        for question in questions {
            pipeline.cmd("SENTINEL").arg(question).arg(&self.name);
        }
        let (primary, (host, port), replicas): (
            SentinelFields,
            (String, String),
            Vec<SentinelFields>,
        ) = pipeline.query_async(connection).await?;
        let epoch = primary.get("config-epoch");
        let address = format!("{host}:{port}");
        let unreadable = || {
            RedisError::from((
                ErrorKind::UnexpectedReturnType,
                "unreadable address of a sentinel's primary",
            ))
        };
        // REPLICAS omits those with `replica-announced no`, which may be promoted all the same.
        let counted = primary.get("num-slaves");
        let counted = counted.and_then(|count| count.parse().ok()).unwrap_or(0);
        Ok(View {
            primary: Address::parse(&address, &sentinel.host).ok_or_else(unreadable)?,
            epoch: epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
            replicas: replicas.len().max(counted),
        })
    }
}

/// Returns the number of replicas that counts after these answers of `sentinels` sentinels: that of
/// the sentinel that knows the most, because one that was just started or reset knows none.
///
/// SUBTLE: only a majority that names one primary may lower the number:
/// 1. a network partition cuts the primary off, with one of three sentinels;
/// 2. the others promote a replica;
/// 3. an operator resets the one, which then knows no replica.
///
/// A gateway at the former primary that believed it would wait for no replica.
fn count_replicas(
    known: Option<usize>,
    views: &[View],
    primary: &Address,
    sentinels: usize,
) -> Option<usize> {
    let most = views.iter().map(|view| view.replicas).max();
    let agreeing = views.iter().filter(|view| view.primary == *primary);
    if agreeing.count() > sentinels / 2 {
        most
    } else {
        known.max(known.and(most))
    }
}

/// The way to the primary of a store on one server.
pub(super) enum Locator {
    /// It is always the same server.
    Fixed(Client),
    /// The sentinels name it.
    Sentinels {
        sentinels: Sentinels,
        access: Access,
    },
}

impl Locator {
    /// Returns the client of the current primary.
    ///
    /// # Errors
    /// When no sentinel answers.
    pub(super) async fn locate(&self) -> RedisResult<Client> {
        match self {
            Self::Fixed(client) => Ok(client.clone()),
            Self::Sentinels { sentinels, access } => access.client(&sentinels.ask().await?),
        }
    }

    /// Returns the number of replicas that the sentinels knew when they were last asked, which they
    /// are at each verification.
    ///
    /// # Errors
    /// When no majority of them has agreed yet, or there is none.
    pub(super) async fn replicas(&self) -> RedisResult<usize> {
        let Self::Sentinels { sentinels, .. } = self else {
            return Err(RedisError::from((
                ErrorKind::InvalidClientConfig,
                "the number of replicas of a standalone server is unknown",
            )));
        };
        let known = *sentinels.known_replicas();
        if let Some(known) = known {
            return Ok(known);
        }
        sentinels.ask().await?;
        let known = *sentinels.known_replicas();
        known.ok_or_else(|| {
            RedisError::from((
                ErrorKind::ClusterConnectionNotFound,
                "no majority of the sentinels agrees on the primary, so its replicas are unknown",
            ))
        })
    }
}
