//! The map of a Redis Cluster: the primary of each slot.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::time::Instant;

use super::{
    access::Access, address::Address, cluster_node::Node, connection::SentFlag, sentinel::Locator,
    server::Server, server_info::info,
};

/// The time for which a map is used before a failed call has it read again.
const REFRESH_INTERVAL: Duration = Duration::from_millis(100);

/// The servers of a cluster.
pub(super) struct Cluster {
    seeds: Vec<Address>,
    access: Access,
    timeout: Duration,
    servers: Mutex<HashMap<Address, Arc<Server>>>,
    map: RwLock<Arc<SlotMap>>,
    /// A call failed since the map was read.
    is_suspect: AtomicBool,
    /// Held by the one call that reads the map; holds the time of the last reading.
    refreshing: tokio::sync::Mutex<Option<Instant>>,
}

/// The primaries and their slots.
#[derive(Default)]
pub(super) struct SlotMap {
    owners: BTreeMap<u16, (u16, Arc<Server>)>,
    /// The number of replicas of each primary, those that are down included.
    replicas: HashMap<Address, usize>,
    /// The primaries that serve no slot and are not failing: not a former one that was replaced.
    without_slots: Vec<Arc<Server>>,
    /// The address that is used for a server, by each other one that the cluster gives it.
    used: HashMap<Address, Address>,
}

impl SlotMap {
    /// Returns the primary of a slot; `None` when no server serves it.
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Server>> {
        let (_, (end, server)) = self.owners.range(..=slot).next_back()?;
        (slot <= *end).then_some(server)
    }

    /// Returns every primary that serves slots, once.
    pub(super) fn primaries(&self) -> Vec<Arc<Server>> {
        let mut found: Vec<Arc<Server>> = Vec::new();
        for (_, server) in self.owners.values() {
            if !found.iter().any(|known| Arc::ptr_eq(known, server)) {
                found.push(Arc::clone(server));
            }
        }
        found
    }

    /// Returns the number of replicas of a primary; `None` when the map does not have it.
    pub(super) fn replicas_of(&self, primary: &Address) -> Option<usize> {
        self.replicas.get(primary).copied()
    }
}

impl Cluster {
    /// Builds a cluster that is found through `seeds` at the first call.
    pub(super) fn new(seeds: Vec<Address>, access: Access, timeout: Duration) -> Self {
        Self {
            seeds,
            access,
            timeout,
            servers: Mutex::default(),
            map: RwLock::default(),
            is_suspect: AtomicBool::new(false),
            refreshing: tokio::sync::Mutex::new(None),
        }
    }

    /// Returns the current map.
    pub(super) fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the map read again before the next call.
    pub(super) fn suspect(&self) {
        self.is_suspect.store(true, Ordering::SeqCst);
    }

    /// Returns the primary of a slot. Reads the map first if a call failed since it was read, or if
    /// it names none.
    ///
    /// # Errors
    /// When no server answers, or none serves the slot.
    pub(super) async fn owner(&self, slot: u16) -> RedisResult<Arc<Server>> {
        let known = self.map().owner(slot).cloned();
        match known {
            Some(server) if !self.is_suspect.load(Ordering::SeqCst) => return Ok(server),
            // Without a new map, the known owner may still be the right one.
            Some(server) if self.refresh().await.is_err() => return Ok(server),
            Some(_) => {}
            None => self.refresh().await?,
        }
        let owner = self.map().owner(slot).cloned();
        owner.ok_or_else(|| {
            RedisError::from((
                ErrorKind::ClusterConnectionNotFound,
                "no server of the cluster serves the slot",
                slot.to_string(),
            ))
        })
    }

    /// Returns the server at an address.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub(super) fn server(&self, address: &Address) -> RedisResult<Arc<Server>> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(address) {
            return Ok(Arc::clone(server));
        }
        let client = self.access.client(address)?;
        let server = Server::new(address.clone(), Locator::Fixed(client), self.timeout);
        servers.insert(address.clone(), Arc::clone(&server));
        Ok(server)
    }

    /// Returns the server at an address that another server names.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub(super) fn named(&self, address: &Address) -> RedisResult<Arc<Server>> {
        let map = self.map();
        self.server(map.used.get(address).unwrap_or(address))
    }

    /// Reads the map again, unless another call has just done so.
    ///
    /// # Errors
    /// When no server answers.
    pub(super) async fn refresh(&self) -> RedisResult<()> {
        let mut read_at = self.refreshing.lock().await;
        if read_at.is_some_and(|at| at.elapsed() < REFRESH_INTERVAL) {
            return Ok(());
        }
        self.is_suspect.store(false, Ordering::SeqCst);
        let map = self.read_map().await.inspect_err(|_| self.suspect())?;
        *read_at = Some(Instant::now());
        self.forget_others(&map);
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
        Ok(())
    }

    /// Asks all known servers. Believes the first answer from the healthy part of the cluster, or
    /// else the first one.
    async fn read_map(&self) -> RedisResult<SlotMap> {
        let candidates = self.candidates();
        let mut asking: FuturesUnordered<_> = candidates
            .iter()
            .map(|address| self.read_from(address))
            .collect();
        let mut fallback = None;
        let mut problem = RedisError::from((
            ErrorKind::ClusterConnectionNotFound,
            "no server of the cluster answers",
        ));
        while let Some(answer) = asking.next().await {
            match answer {
                Ok((map, true)) => return Ok(map),
                Ok((map, false)) => fallback = fallback.or(Some(map)),
                Err(error) => problem = error,
            }
        }
        fallback.ok_or(problem)
    }

    /// Returns the servers to ask: the known primaries, then the configured ones.
    fn candidates(&self) -> Vec<Address> {
        let known = self.map().primaries();
        let known = known.iter().map(|server| server.address.clone());
        let mut candidates: Vec<Address> = Vec::new();
        for address in known.chain(self.seeds.iter().cloned()) {
            if !candidates.contains(&address) {
                candidates.push(address);
            }
        }
        candidates
    }

    /// Reads the map of one server, and whether its part of the cluster is healthy.
    async fn read_from(&self, address: &Address) -> RedisResult<(SlotMap, bool)> {
        let server = self.server(address)?;
        let mut questions = redis::pipe();
        questions.cmd("CLUSTER").arg("INFO");
        questions.cmd("CLUSTER").arg("NODES");
        let sent = SentFlag::default();
        let asking = server.connection.run_all(&sent, &questions);
        let silent = |_| RedisError::from((ErrorKind::Io, "no answer of a server of the cluster"));
        let replies = tokio::time::timeout(self.timeout / 2, asking)
            .await
            .map_err(silent)??;
        let replies = replies.into_iter().map(redis::Value::extract_error);
        let replies = replies.collect::<RedisResult<Vec<_>>>()?;
        let (state, nodes): (String, String) =
            redis::FromRedisValue::from_redis_value(redis::Value::Array(replies))?;
        let map = self.parse(&nodes, address)?;
        Ok((map, info(&state, "cluster_state") == "ok"))
    }

    /// Parses `CLUSTER NODES`.
    fn parse(&self, nodes: &str, asked: &Address) -> RedisResult<SlotMap> {
        let mut map = SlotMap::default();
        for primary in Node::parse_all(nodes, &asked.host) {
            if !primary.is_primary {
                continue;
            }
            let (address, other) = primary.addresses(self.access.is_tls());
            let server = self.server(&address)?;
            map.used.extend(other.map(|other| (other, address.clone())));
            let replicas = Node::parse_all(nodes, &asked.host)
                .filter(|node| node.primary_id == primary.id)
                .count();
            map.replicas.insert(address, replicas);
            if primary.slots.is_empty() && !primary.is_failing {
                map.without_slots.push(Arc::clone(&server));
            }
            for (start, end) in primary.slots {
                map.owners.insert(start, (end, Arc::clone(&server)));
            }
        }
        Ok(map)
    }

    /// Returns every primary of the present map, those without slots included.
    pub(super) fn all_primaries(&self) -> Vec<Arc<Server>> {
        let map = self.map();
        let mut primaries = map.primaries();
        primaries.extend(map.without_slots.iter().cloned());
        primaries
    }

    /// Forgets the servers that are neither in the map nor configured.
    fn forget_others(&self, map: &SlotMap) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut primaries = map.primaries();
        primaries.extend(map.without_slots.iter().cloned());
        servers.retain(|address, _| {
            self.seeds.contains(address)
                || primaries.iter().any(|server| server.address == *address)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::cluster_node::tests::NODES, *};

    fn cluster() -> Cluster {
        let (user, certificates) = Default::default();
        let timeout = Duration::from_secs(1);
        let access = Access::new("redis://127.0.0.1", &user, &certificates, timeout).unwrap();
        Cluster::new(Vec::new(), access, timeout)
    }

    #[test]
    fn nodes_are_parsed_with_replicas_that_are_down() {
        let asked = Address::parse("127.0.0.1:7000", "").unwrap();
        let map = cluster().parse(NODES, &asked).unwrap();
        let owner = |slot| map.owner(slot).map(|server| server.address.to_string());
        for slot in [0, 93, 5460, 5462] {
            assert_eq!(owner(slot).as_deref(), Some("10.0.0.1:7000"), "{slot}");
        }
        for slot in [5461, 5463, 16_383] {
            assert_eq!(owner(slot).as_deref(), Some("10.0.0.2:7000"), "{slot}");
        }
        let replicas = |host: &str| map.replicas_of(&Address::parse(host, "").unwrap());
        assert_eq!(replicas("10.0.0.1:7000"), Some(2));
        assert_eq!(replicas("10.0.0.2:7000"), Some(1));
        // One without slots receives some before the map is read again.
        assert_eq!(replicas("10.0.0.6:7000"), Some(1));
        assert_eq!(replicas("10.0.0.10:7000"), None);
    }

    /// Otherwise every observation waits for a dead former master, and one that thaws counts as a
    /// server that lost nothing.
    #[test]
    fn failing_primaries_without_slots_are_left_out() {
        let asked = Address::parse("127.0.0.1:7000", "").unwrap();
        let map = cluster().parse(NODES, &asked).unwrap();
        let without_slots = map.without_slots.iter();
        let without_slots: Vec<String> = without_slots.map(|one| one.address.to_string()).collect();
        assert_eq!(without_slots, ["10.0.0.6:7000"]);
    }

    /// A redirection may give either.
    #[test]
    fn address_and_host_name_are_one_server() {
        let asked = Address::parse("127.0.0.1:7000", "").unwrap();
        let map = cluster().parse(NODES, &asked).unwrap();
        let named = Address::parse("host:7000", "").unwrap();
        assert_eq!(map.used[&named].to_string(), "10.0.0.2:7000");
    }
}
