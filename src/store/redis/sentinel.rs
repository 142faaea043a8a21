//! The sentinels, which name the current primary and count its replicas.
//!
//! Every question goes to all sentinels at once, each over a connection of its own: they are asked
//! only to connect, and at each verification. A sentinel that does not answer is left out.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use redis::{Client, ErrorKind, RedisError, RedisResult, aio::MultiplexedConnection};

use super::{access::Access, address::Address};

/// The sentinels of one primary.
pub(super) struct Sentinels {
    addresses: Vec<Address>,
    access: Access,
    /// The name under which they monitor the primary.
    name: String,
    timeout: Duration,
    /// The number of replicas by the last answer.
    replicas: Mutex<Option<usize>>,
}

/// What a sentinel says of one server, by name.
type SentinelFields = HashMap<String, String>;

/// The replies of one sentinel.
struct View {
    primary: Address,
    /// The primary's configuration epoch: greater after each failover.
    epoch: u64,
    replicas: usize,
}

/// The primary, as the sentinels know it.
pub(super) struct Monitored {
    pub(super) primary: Address,
    /// The number of its replicas, those that are down included.
    pub(super) replicas: usize,
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

    /// Asks the sentinels for the primary. Believes the one that saw the latest failover; counts
    /// the replicas of the one that knows the most, because a sentinel that was just started or
    /// reset knows none.
    ///
    /// # Errors
    /// When no sentinel answers.
    pub(super) async fn ask(&self) -> RedisResult<Monitored> {
        let asking = self.addresses.iter().map(|sentinel| self.view_of(sentinel));
        let mut problem = None;
        let mut views = Vec::new();
        for view in join_all(asking).await {
            match view {
                Ok(view) => views.push(view),
                Err(error) => problem = Some(error),
            }
        }
        let replicas = views.iter().map(|view| view.replicas).max().unwrap_or(0);
        match views.into_iter().max_by_key(|view| view.epoch) {
            Some(view) => {
                *self.known_replicas() = Some(replicas);
                Ok(Monitored {
                    primary: view.primary,
                    replicas,
                })
            }
            None => Err(problem.unwrap_or_else(|| {
                RedisError::from((ErrorKind::EmptySentinelList, "no sentinel is configured"))
            })),
        }
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
        Ok(View {
            primary: Address::parse(&address, &sentinel.host).ok_or_else(unreadable)?,
            epoch: epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
            replicas: replicas.len(),
        })
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
            Self::Sentinels { sentinels, access } => access.client(&sentinels.ask().await?.primary),
        }
    }

    /// Returns the number of replicas that the sentinels knew when they were last asked, which they
    /// are at each verification.
    ///
    /// # Errors
    /// When no sentinel has answered yet, or there is none.
    pub(super) async fn replicas(&self) -> RedisResult<usize> {
        match self {
            Self::Fixed(_) => Err(RedisError::from((
                ErrorKind::InvalidClientConfig,
                "the number of replicas of a standalone server is unknown",
            ))),
            Self::Sentinels { sentinels, .. } => {
                let known = *sentinels.known_replicas();
                match known {
                    Some(known) => Ok(known),
                    None => Ok(sentinels.ask().await?.replicas),
                }
            }
        }
    }
}
