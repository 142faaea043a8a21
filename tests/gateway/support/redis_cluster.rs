//! A Redis Cluster whose slots move and whose masters fail when the test says so.

use std::path::{Path, PathBuf};

use redis::{FromRedisValue, RedisResult};

use super::{
    poll::{until, until_some},
    ports,
    redis::Redis,
    sentinels::folder_of,
    tls::{Authority, TlsPort},
};

/// The number of slots of every cluster.
const SLOTS: u16 = 16_384;

/// Settings of the nodes.
#[derive(Clone, Copy, Default)]
pub struct ClusterOptions<'a> {
    pub masters: usize,
    /// The replicas of each master.
    pub replicas: usize,
    /// Further arguments of each node.
    pub server: &'a [&'a str],
    /// `user:password@` of the administrator, who is this harness.
    pub administrator: &'a str,
    /// The authority of the certificates for this host, which each node announces. The nodes listen
    /// with TLS as well then.
    pub tls: Option<(&'a Authority, &'a str)>,
}

/// A cluster. Its nodes are stopped when it is dropped.
///
/// A shard that is down leaves the others in service (`cluster-require-full-coverage no`).
pub struct RedisCluster {
    pub nodes: Vec<ClusterNode>,
    folder: PathBuf,
    server: Vec<String>,
    administrator: String,
}

pub struct ClusterNode {
    pub redis: Redis,
    /// Its port with TLS.
    pub tls: Option<u16>,
    pub id: String,
    bus: u16,
    is_absent: bool,
}

/// A node as another one reports it.
struct SeenNode {
    id: String,
    flags: String,
    link: String,
    master: String,
    slots: Vec<(u16, u16)>,
}

impl RedisCluster {
    /// Starts masters that share the slots evenly, each with replicas; returns when the cluster is
    /// well and every replica is synchronized. The masters come first among the nodes.
    pub async fn start(folder: &Path, masters: usize, replicas: usize) -> Self {
        let options = ClusterOptions {
            masters,
            replicas,
            ..ClusterOptions::default()
        };
        Self::start_with(folder, options).await
    }

    pub async fn start_with(folder: &Path, options: ClusterOptions<'_>) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            folder: folder.to_owned(),
            server: options.server.iter().map(ToString::to_string).collect(),
            administrator: options.administrator.to_owned(),
        };
        let count = options.masters * (1 + options.replicas);
        for number in 0..count {
            let node = cluster.start_node(options.tls).await;
            // So that no two nodes have to settle who has the lower epoch.
            let epoch = (number + 1).to_string();
            let set = ["CLUSTER", "SET-CONFIG-EPOCH", &epoch];
            node.redis.command(&set).await;
            cluster.nodes.push(node);
        }
        for node in &cluster.nodes[1..] {
            cluster.meet(node).await;
        }
        let share = usize::from(SLOTS).div_ceil(options.masters);
        for (number, node) in cluster.nodes[..options.masters].iter().enumerate() {
            let first = (number * share).to_string();
            let last = ((number + 1) * share).min(usize::from(SLOTS)) - 1;
            let add = ["CLUSTER", "ADDSLOTSRANGE", &first, &last.to_string()];
            node.redis.command(&add).await;
        }
        cluster.await_links().await;
        for number in options.masters..count {
            let master = &cluster.nodes[number % options.masters].id;
            let follow = ["CLUSTER", "REPLICATE", master];
            cluster.nodes[number].redis.command(&follow).await;
        }
        cluster.await_well().await;
        cluster
    }

    async fn start_node(&self, tls: Option<(&Authority, &str)>) -> ClusterNode {
        let (port, bus) = (ports::free(), ports::free());
        let tls = tls.map(|(authority, host)| (TlsPort::for_host(authority, host), host));
        let bus_text = bus.to_string();
        let mut arguments = vec![
            "--appendonly",
            "no",
            "--repl-diskless-sync-delay",
            "0",
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
            "--cluster-require-full-coverage",
            "no",
            "--cluster-port",
            &bus_text,
        ];
        arguments.extend(self.server.iter().map(String::as_str));
        if let Some((tls, host)) = &tls {
            arguments.extend(["--tls-cluster", "yes", "--cluster-announce-hostname", host]);
            arguments.extend(tls.arguments.iter().map(String::as_str));
        }
        let folder = folder_of(&self.folder, port);
        let mut redis = Redis::start_on(port, &folder, &arguments).await;
        redis.url = format!("redis://{}127.0.0.1:{port}", self.administrator);
        let id = redis.ask(&["CLUSTER", "MYID"]).await.unwrap();
        ClusterNode {
            redis,
            tls: tls.map(|(tls, _)| tls.port),
            id,
            bus,
            is_absent: false,
        }
    }

    /// Introduces a node to the first present node, from which all others learn of it.
    async fn meet(&self, node: &ClusterNode) {
        let known = self.present().next().unwrap();
        let port = known.tls.unwrap_or(known.redis.port()).to_string();
        let bus = known.bus.to_string();
        let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, &bus];
        node.redis.command(&meet).await;
    }

    /// Returns the URLs of all nodes, as `store.url` has them.
    pub fn urls(&self) -> String {
        let ports = self.nodes.iter().map(|node| node.redis.port());
        let urls = ports.map(|port| format!("redis://127.0.0.1:{port}"));
        urls.collect::<Vec<_>>().join(",")
    }

    fn present(&self) -> impl Iterator<Item = &ClusterNode> {
        self.nodes.iter().filter(|node| !node.is_absent)
    }

    fn index_of(&self, id: &str) -> usize {
        self.nodes.iter().position(|node| node.id == id).unwrap()
    }

    /// Returns the slot of a key.
    pub async fn slot_of(&self, key: &str) -> u16 {
        let node = self.present().next().unwrap();
        node.redis.ask(&["CLUSTER", "KEYSLOT", key]).await.unwrap()
    }

    /// Returns the node that owns a slot in the view of every present node.
    pub async fn owner(&self, slot: u16) -> usize {
        until_some("an owner of the slot for all nodes", async || {
            let mut owners = Vec::new();
            for node in self.present() {
                let seen = nodes_seen_by(node).await?;
                let owns = |seen: &&SeenNode| {
                    let mut slots = seen.slots.iter();
                    slots.any(|(first, last)| (*first..=*last).contains(&slot))
                };
                owners.push(seen.iter().find(owns)?.id.clone());
            }
            owners.dedup();
            (owners.len() == 1).then(|| self.index_of(&owners[0]))
        })
        .await
    }

    /// Runs a command on the owner of a slot.
    pub async fn ask_owner<T: FromRedisValue>(&self, slot: u16, command: &[&str]) -> T {
        let owner = self.owner(slot).await;
        self.nodes[owner].redis.ask(command).await.unwrap()
    }

    /// Waits until every node is connected with every other one.
    async fn await_links(&self) {
        let count = self.present().count();
        until("links between all nodes", async || {
            for node in self.present() {
                let Some(seen) = nodes_seen_by(node).await else {
                    return false;
                };
                let linked = seen.iter().filter(|seen| seen.link == "connected").count();
                if linked < count {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Waits until every present node serves, every slot has a present owner, and every present
    /// replica is synchronized.
    pub async fn await_well(&self) {
        until("a cluster that is well", async || {
            for node in self.present() {
                if !self.is_well(node).await {
                    return false;
                }
            }
            true
        })
        .await;
    }

    async fn is_well(&self, node: &ClusterNode) -> bool {
        let state = node.redis.ask::<String>(&["CLUSTER", "INFO"]).await;
        let replication = node.redis.ask::<String>(&["INFO", "replication"]).await;
        let (Ok(state), Ok(replication)) = (state, replication) else {
            return false;
        };
        let Some(seen) = nodes_seen_by(node).await else {
            return false;
        };
        let owners = seen.iter().filter(|seen| !seen.slots.is_empty());
        let mut owners = owners.map(|seen| &self.nodes[self.index_of(&seen.id)]);
        let count = self.present().count();
        let connected = seen.iter().filter(|seen| seen.link == "connected").count();
        state.contains("cluster_state:ok")
            && state.contains("cluster_slots_ok:16384")
            && !replication.contains("master_link_status:down")
            && connected >= count
            && owners.all(|owner| !owner.is_absent)
            && self.knows_roles(&seen).await
    }

    /// Returns true if a node knows of each present node whose replica it is, as that node says.
    async fn knows_roles(&self, seen: &[SeenNode]) -> bool {
        for other in self.present() {
            let Some(own) = nodes_seen_by(other).await else {
                return false;
            };
            let myself = own.iter().find(|seen| seen.id == other.id);
            let here = seen.iter().find(|seen| seen.id == other.id);
            let (Some(myself), Some(here)) = (myself, here) else {
                return false;
            };
            if myself.master != here.master {
                return false;
            }
        }
        true
    }

    /// Adds a replica of a master, and returns it once it is synchronized.
    pub async fn add_replica(&mut self, master: usize) -> usize {
        let replica = self.add_master().await;
        let follow = ["CLUSTER", "REPLICATE", &self.nodes[master].id];
        self.nodes[replica].redis.command(&follow).await;
        self.await_well().await;
        replica
    }

    /// Adds a master without slots, and returns it.
    pub async fn add_master(&mut self) -> usize {
        let node = self.start_node(None).await;
        self.meet(&node).await;
        self.nodes.push(node);
        self.await_links().await;
        let node = self.nodes.last().unwrap();
        until("the new node in service", async || {
            let state = node.redis.ask::<String>(&["CLUSTER", "INFO"]).await;
            state.is_ok_and(|state| state.contains("cluster_state:ok"))
        })
        .await;
        self.nodes.len() - 1
    }

    /// Begins to move a slot to another master. Until [`SlotMove::finish`], its owner answers for
    /// the keys that it still has, and redirects the others by ASK.
    pub async fn begin_move(&self, slot: u16, to: usize) -> SlotMove<'_> {
        let from = self.owner(slot).await;
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let moving = SlotMove {
            cluster: self,
            slot: slot.to_string(),
            from,
            to,
        };
        let import = ["CLUSTER", "SETSLOT", &moving.slot, "IMPORTING", &from.id];
        to.redis.command(&import).await;
        let migrate = ["CLUSTER", "SETSLOT", &moving.slot, "MIGRATING", &to.id];
        from.redis.command(&migrate).await;
        moving
    }

    /// Kills a node, as a crash does.
    pub async fn kill(&mut self, node: usize) {
        self.nodes[node].redis.kill().await;
        self.nodes[node].is_absent = true;
    }

    /// Starts a killed node.
    pub async fn start_again(&mut self, node: usize) {
        self.nodes[node].redis.start_again().await;
        self.nodes[node].is_absent = false;
    }

    /// Stops a node with SIGSTOP, as a hung machine does.
    pub fn freeze(&mut self, node: usize) {
        self.nodes[node].redis.freeze();
        self.nodes[node].is_absent = true;
    }

    pub fn thaw(&mut self, node: usize) {
        self.nodes[node].redis.thaw();
        self.nodes[node].is_absent = false;
    }
}

/// A slot that is being moved.
pub struct SlotMove<'a> {
    cluster: &'a RedisCluster,
    slot: String,
    from: &'a ClusterNode,
    to: &'a ClusterNode,
}

impl SlotMove<'_> {
    /// Moves up to this many keys, and returns how many keys remain.
    pub async fn step(&self, count: usize) -> u64 {
        let count = count.to_string();
        let list = ["CLUSTER", "GETKEYSINSLOT", &self.slot, &count];
        let keys: Vec<String> = self.from.redis.ask(&list).await.unwrap();
        let port = self.to.tls.unwrap_or(self.to.redis.port()).to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "10000"];
        let credentials = self.cluster.administrator.trim_end_matches('@');
        if let Some((user, password)) = credentials.split_once(':') {
            migrate.extend(["AUTH2", user, password]);
        }
        migrate.push("KEYS");
        migrate.extend(keys.iter().map(String::as_str));
        if !keys.is_empty() {
            self.from.redis.command(&migrate).await;
        }
        let left = ["CLUSTER", "COUNTKEYSINSLOT", &self.slot];
        self.from.redis.ask(&left).await.unwrap()
    }

    /// Gives the slot to its new owner, and waits until every node knows.
    pub async fn finish(self) {
        let assign = ["CLUSTER", "SETSLOT", &self.slot, "NODE", &self.to.id];
        self.to.redis.command(&assign).await;
        self.from.redis.command(&assign).await;
        let slot = self.slot.parse().unwrap();
        until("the new owner of the slot", async || {
            let owner = self.cluster.owner(slot).await;
            self.cluster.nodes[owner].id == self.to.id
        })
        .await;
    }
}

/// Returns what a node knows of all nodes; `None` while it cannot be asked.
async fn nodes_seen_by(node: &ClusterNode) -> Option<Vec<SeenNode>> {
    let text: RedisResult<String> = node.redis.ask(&["CLUSTER", "NODES"]).await;
    let text = text.ok()?;
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        // A slot that is being moved is written as [slot->-id].
        let slots = words[8..].iter().filter(|range| !range.starts_with('['));
        let slots = slots.map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            (first.parse().unwrap(), last.parse().unwrap())
        });
        SeenNode {
            id: words[0].to_owned(),
            flags: words[2].to_owned(),
            master: words[3].to_owned(),
            link: words[7].to_owned(),
            slots: slots.collect(),
        }
    });
    Some(
        lines
            .filter(|seen| !seen.flags.contains("handshake"))
            .collect(),
    )
}
