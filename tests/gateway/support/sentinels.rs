//! Redis servers under three Sentinels, each behind a proxy whose address they all announce.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use redis::{RedisResult, Value};

use super::{
    acl,
    link::{Direction, Link, Peer},
    poll::{until, until_some},
    ports,
    process::Process,
    redis::{Redis, ask},
};

/// The name of the monitored primary.
pub const PRIMARY: &str = "okebayar";

const SENTINELS: usize = 3;

/// Times in ms that let a failover take two seconds, on a machine that is busy for longer than the
/// usual limit of TILT. A Sentinel also waits for a ping period before it reconnects, and for four
/// publish periods before it makes a server a replica again that another one may be promoting.
///
/// SUBTLE: while the primary is down, replicas are asked for INFO once a second, whatever the period,
/// and one whose last INFO is older than five ping periods is not promoted.
const TIMES: [&str; 12] = [
    "PING-PERIOD",
    "300",
    "INFO-PERIOD",
    "200",
    "ASK-PERIOD",
    "100",
    "PUBLISH-PERIOD",
    "1000",
    "TILT-PERIOD",
    "500",
    "ELECTION-TIMEOUT",
    "2000",
];

/// Settings of the servers and of the Sentinels.
#[derive(Clone, Copy, Default)]
pub struct SentinelOptions<'a> {
    pub replicas: usize,
    /// Further arguments of each server.
    pub server: &'a [&'a str],
    /// Further lines of each Sentinel's configuration.
    pub sentinel: &'a [&'a str],
    /// `user:password@` of the administrator of the servers, who is this harness.
    pub administrator: &'a str,
    /// The same of the Sentinels.
    pub sentinel_administrator: &'a str,
}

/// A primary, its replicas, and Sentinels. All of them are stopped when it is dropped.
pub struct Sentinels {
    pub servers: Vec<LinkedServer>,
    monitors: Vec<Sentinel>,
    /// The servers that are killed or frozen.
    absent: Vec<usize>,
}

/// A server behind the proxy that is its address for everybody but this harness.
pub struct LinkedServer {
    pub redis: Redis,
    pub link: Link,
}

struct Sentinel {
    url: String,
    port: u16,
    _process: Process,
}

impl Sentinels {
    /// Starts a primary with replicas; returns when every Sentinel can promote each replica.
    pub async fn start(folder: &Path, replicas: usize) -> Self {
        let options = SentinelOptions {
            replicas,
            ..SentinelOptions::default()
        };
        Self::start_with(folder, options).await
    }

    pub async fn start_with(folder: &Path, options: SentinelOptions<'_>) -> Self {
        let mut servers: Vec<LinkedServer> = Vec::new();
        for _ in 0..=options.replicas {
            let primary = servers.first().map(|server| server.link.port);
            servers.push(start_server(folder, primary, options).await);
        }
        let addresses: Vec<u16> = servers.iter().map(|server| server.link.port).collect();
        let monitors = start_sentinels(folder, &addresses, options).await;
        let started = Self {
            servers,
            monitors,
            absent: Vec::new(),
        };
        started.await_replicas().await;
        started
    }

    /// Returns what the present servers and the Sentinels denied to their users.
    pub async fn denials(&self) -> Vec<String> {
        let present = self.servers.iter().enumerate();
        let present = present.filter(|(index, _)| !self.absent.contains(index));
        let servers = present.map(|(_, server)| server.redis.url.as_str());
        let monitors = self.monitors.iter().map(|sentinel| sentinel.url.as_str());
        let mut denied = Vec::new();
        for url in servers.chain(monitors) {
            denied.extend(acl::denials(url).await);
        }
        denied
    }

    /// Returns the URLs of the Sentinels, as `store.url` has them.
    pub fn urls(&self) -> String {
        let addresses = self.monitors.iter();
        let urls = addresses.map(|sentinel| format!("redis://127.0.0.1:{}", sentinel.port));
        urls.collect::<Vec<_>>().join(",")
    }

    pub fn sentinel_port(&self, sentinel: usize) -> u16 {
        self.monitors[sentinel].port
    }

    /// Sets an option of the monitored primary at every Sentinel.
    pub async fn set_option(&self, option: &str, value: &str) {
        for sentinel in &self.monitors {
            let command = ["SENTINEL", "SET", PRIMARY, option, value];
            let _: String = ask(&sentinel.url, &command).await.unwrap();
        }
    }

    /// Returns the URL of the Sentinel that leads the failover in progress.
    pub async fn leader_url(&self) -> String {
        until_some("a failover in progress", async || {
            for sentinel in &self.monitors {
                let command = ["SENTINEL", "MASTER", PRIMARY];
                let known: BTreeMap<String, String> = ask(&sentinel.url, &command).await.ok()?;
                if known["flags"].contains("failover_in_progress") {
                    return Some(format!("redis://127.0.0.1:{}", sentinel.port));
                }
            }
            None
        })
        .await
    }

    /// Makes the Sentinels forget the replicas that they do not reach.
    pub async fn forget_absent(&self) {
        for number in 0..self.monitors.len() {
            self.reset(number).await;
        }
    }

    /// Makes one Sentinel forget every replica until the primary names it again.
    pub async fn reset(&self, sentinel: usize) {
        let command = ["SENTINEL", "RESET", PRIMARY];
        let _: u64 = ask(&self.monitors[sentinel].url, &command).await.unwrap();
    }

    /// Makes the Sentinels list a replica no more, although they monitor it and may promote it.
    pub async fn hide_replica(&self, server: usize) {
        let hide = ["CONFIG", "SET", "replica-announced", "no"];
        self.redis(server).command(&hide).await;
        let port = self.servers[server].link.port;
        until("a replica that no Sentinel lists", async || {
            for sentinel in &self.monitors {
                if replicas_of(sentinel).await.contains_key(&port) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    pub fn redis(&self, server: usize) -> &Redis {
        &self.servers[server].redis
    }

    /// Returns the primary that the Sentinels agree on.
    pub async fn primary(&self) -> usize {
        until_some("a primary that all Sentinels name", async || {
            let mut named = Vec::new();
            for sentinel in &self.monitors {
                named.push(self.primary_of(sentinel).await?);
            }
            named.dedup();
            (named.len() == 1).then_some(named[0])
        })
        .await
    }

    async fn primary_of(&self, sentinel: &Sentinel) -> Option<usize> {
        let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY];
        let answer: RedisResult<(String, u16)> = ask(&sentinel.url, &command).await;
        let (_, port) = answer.ok()?;
        let mut servers = self.servers.iter();
        servers.position(|server| server.link.port == port)
    }

    /// Waits until the Sentinels agree on a primary other than `former`, and it accepts writes;
    /// returns it.
    pub async fn await_failover(&self, former: usize) -> usize {
        until_some("a promoted replica", async || {
            let primary = self.primary().await;
            let role: RedisResult<(String, u64, Value)> = self.redis(primary).ask(&["ROLE"]).await;
            let is_primary = role.is_ok_and(|(role, ..)| role == "master");
            (primary != former && is_primary).then_some(primary)
        })
        .await
    }

    /// Waits until every server that is not absent replicates the primary, and every Sentinel
    /// would promote each of them.
    pub async fn await_replicas(&self) {
        until("every replica at every Sentinel", async || {
            let primary = self.primary().await;
            let replicas: Vec<u16> = self
                .servers
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != primary && !self.absent.contains(index))
                .map(|(_, server)| server.link.port)
                .collect();
            for sentinel in &self.monitors {
                let known = replicas_of(sentinel).await;
                let is_promotable = |port: &u16| {
                    let Some(replica) = known.get(port) else {
                        return false;
                    };
                    replica["flags"] == "slave" && replica["master-link-status"] == "ok"
                };
                let others = others_of(sentinel).await;
                if others != SENTINELS - 1 || !replicas.iter().all(is_promotable) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Sets the priority of a replica, 0 for never, and waits until every Sentinel knows it.
    pub async fn set_priority(&self, server: usize, priority: u32) {
        let priority = priority.to_string();
        let set = ["CONFIG", "SET", "replica-priority", &priority];
        self.redis(server).command(&set).await;
        let port = self.servers[server].link.port;
        until("a priority at every Sentinel", async || {
            for sentinel in &self.monitors {
                let known = replicas_of(sentinel).await;
                let replica = known.get(&port);
                if replica.is_none_or(|replica| replica["slave-priority"] != priority) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Makes the Sentinels promote a replica, although the primary is well; returns it.
    pub async fn fail_over(&self) -> usize {
        let former = self.primary().await;
        let command = ["SENTINEL", "FAILOVER", PRIMARY];
        // Refused while an earlier failover has not ended.
        until("a failover that begins", async || {
            let begun: RedisResult<String> = ask(&self.monitors[0].url, &command).await;
            begun.is_ok()
        })
        .await;
        self.await_failover(former).await
    }

    /// Makes a former primary a replica, as the Sentinels do some seconds later.
    pub async fn demote(&self, former: usize, promoted: usize) {
        let port = self.servers[promoted].link.port.to_string();
        let redis = self.redis(former);
        redis.command(&["REPLICAOF", "127.0.0.1", &port]).await;
        for kind in ["normal", "pubsub"] {
            redis.command(&["CLIENT", "KILL", "TYPE", kind]).await;
        }
    }

    /// Kills a server, as a crash does.
    pub async fn kill(&mut self, server: usize) {
        self.servers[server].redis.kill().await;
        self.absent.push(server);
    }

    /// Starts a killed server.
    pub async fn start_again(&mut self, server: usize) {
        self.servers[server].redis.start_again().await;
        self.absent.retain(|absent| *absent != server);
    }

    /// Stops a server with SIGSTOP, as a hung machine does.
    pub fn freeze(&mut self, server: usize) {
        self.servers[server].redis.freeze();
        self.absent.push(server);
    }

    pub fn thaw(&mut self, server: usize) {
        self.servers[server].redis.thaw();
        self.absent.retain(|absent| *absent != server);
    }

    /// Keeps the replicas of a server from receiving what it writes. Their acknowledgements still
    /// arrive, so that the links look well to both ends.
    pub fn stall_replication(&self, server: usize) {
        let link = &self.servers[server].link;
        link.hold(Peer::Replica, Direction::FromServer);
    }

    /// Hides a server from the Sentinels, which then promote a replica; gateways that are connected
    /// to it continue, and no Sentinel makes it a replica.
    pub fn hide_from_sentinels(&self, server: usize) {
        let link = &self.servers[server].link;
        link.hold(Peer::Sentinel, Direction::FromServer);
        link.hold(Peer::Sentinel, Direction::ToServer);
    }

    /// Ends [`Self::stall_replication`] and [`Self::hide_from_sentinels`].
    pub fn heal(&self, server: usize) {
        let link = &self.servers[server].link;
        link.release(Peer::Replica);
        link.release(Peer::Sentinel);
    }
}

/// Starts a server of a primary, or the primary.
async fn start_server(
    folder: &Path,
    primary: Option<u16>,
    options: SentinelOptions<'_>,
) -> LinkedServer {
    let port = ports::free();
    let link = Link::open(port).await;
    let announced = link.port.to_string();
    let mut arguments = vec![
        "--appendonly",
        "no",
        "--repl-diskless-sync-delay",
        "0",
        "--replica-announce-ip",
        "127.0.0.1",
        "--replica-announce-port",
        &announced,
    ];
    let primary = primary.map(|port| port.to_string());
    if let Some(port) = &primary {
        arguments.extend(["--replicaof", "127.0.0.1", port]);
    }
    arguments.extend(options.server);
    let folder = folder_of(folder, port);
    let mut redis = Redis::start_on(port, &folder, &arguments).await;
    redis.url = format!("redis://{}127.0.0.1:{port}", options.administrator);
    LinkedServer { redis, link }
}

async fn start_sentinels(
    folder: &Path,
    servers: &[u16],
    options: SentinelOptions<'_>,
) -> Vec<Sentinel> {
    let known: Vec<(u16, String)> = (1..=SENTINELS)
        .map(|number| (ports::free(), format!("{number:040x}")))
        .collect();
    let mut sentinels = Vec::new();
    for (port, id) in &known {
        let others = known.iter().filter(|(other, _)| other != port);
        let others =
            others.map(|(other, id)| format!("known-sentinel {PRIMARY} 127.0.0.1 {other} {id}"));
        let replicas = servers[1..].iter();
        let replicas = replicas.map(|port| format!("known-replica {PRIMARY} 127.0.0.1 {port}"));
        let own = [
            format!("myid {id}"),
            format!("monitor {PRIMARY} 127.0.0.1 {} 2", servers[0]),
            format!("down-after-milliseconds {PRIMARY} 700"),
            format!("failover-timeout {PRIMARY} 3000"),
        ];
        let lines = own.into_iter().chain(others).chain(replicas);
        let mut text = format!("port {port}\nbind 127.0.0.1\n");
        text.extend(lines.map(|line| format!("sentinel {line}\n")));
        text.extend(options.sentinel.iter().map(|line| format!("{line}\n")));
        let folder = folder_of(folder, *port);
        std::fs::write(folder.join("sentinel.conf"), text).unwrap();
        let arguments = ["sentinel.conf", "--sentinel"];
        let mut process = Process::start("redis-server", &arguments, &[], &folder);
        process
            .line(|line| line.contains("+monitor").then_some(()))
            .await;
        let administrator = options.sentinel_administrator;
        let url = format!("redis://{administrator}127.0.0.1:{port}");
        let set: Vec<&str> = ["SENTINEL", "DEBUG"].into_iter().chain(TIMES).collect();
        let _: String = ask(&url, &set).await.unwrap();
        sentinels.push(Sentinel {
            url,
            port: *port,
            _process: process,
        });
    }
    sentinels
}

/// Creates the folder of one server.
pub(super) fn folder_of(folder: &Path, port: u16) -> PathBuf {
    let folder = folder.join(port.to_string());
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// Returns what a Sentinel knows of the replicas, by their port.
async fn replicas_of(sentinel: &Sentinel) -> BTreeMap<u16, BTreeMap<String, String>> {
    let command = ["SENTINEL", "REPLICAS", PRIMARY];
    let replicas: RedisResult<Vec<BTreeMap<String, String>>> = ask(&sentinel.url, &command).await;
    let replicas = replicas.unwrap_or_default().into_iter();
    replicas
        .map(|replica| (replica["port"].parse().unwrap(), replica))
        .collect()
}

/// Returns the number of other Sentinels that a Sentinel reaches.
async fn others_of(sentinel: &Sentinel) -> usize {
    let command = ["SENTINEL", "SENTINELS", PRIMARY];
    let others: RedisResult<Vec<BTreeMap<String, String>>> = ask(&sentinel.url, &command).await;
    let others = others.unwrap_or_default().into_iter();
    others.filter(|other| other["flags"] == "sentinel").count()
}
