//! Measures what one Redis and a cluster of it carry: purchases per second, their latency, and the
//! CPU time that one costs the gateway, all Redis servers and the sandbox; and that of the floor, two
//! scripts that store a text. First with 1,000 records in the store and with a million, then with one to
//! three masters.
//!
//! Run it with `cargo bench --bench redis_capacity`; it takes about ten minutes.
//! `OKEBAYAR_BENCH_RECORDS` sets another number than a million. Everything uses the same machine, so
//! where the CPU times of one purchase add up to its share of all cores, the machine is the limit.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all};
use jiff::SignedDuration;
use okebayar_gateway::{
    store::{
        Commit, Identity, Store,
        redis::{AcknowledgingReplicas, RedisAccess, RedisSettings, RedisStore, RedisTopology},
    },
    transaction::AccountNames,
};
use redis::Value;

#[path = "support/buying.rs"]
mod buying;
#[path = "support/running.rs"]
mod running;
#[path = "support/settled.rs"]
mod settled;

use buying::{Bought, buy, start_gateway, start_sandbox};
use settled::{account, purchase};

const BINARY: &str = env!("CARGO_BIN_EXE_okebayar-gateway");
const CALLERS: [usize; 3] = [1, 32, 256];
/// The time for which each setting is measured.
const LASTS: Duration = Duration::from_secs(5);
/// The number of rounds. The best of each setting counts: other load on the machine only slows it.
const ROUNDS: usize = 3;
/// The number of records that are written concurrently.
const AT_ONCE: usize = 128;
const SLOTS: usize = 16_384;
/// The length of a compact record.
const RECORD_BYTES: usize = 400;

/// A redis-server that is killed when this is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server that writes an append-only file, as in production.
    async fn start(folder: &Path, options: &[&str]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let folder = folder.join(port.to_string());
        std::fs::create_dir(&folder).expect("a folder");
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "yes"])
            .args(options)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let server = Self { child, port };
        while server.ask::<Value>(&["PING"]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]);
        asked.query_async(&mut connection).await
    }

    /// Returns a number of INFO.
    async fn info(&self, section: &str, name: &str) -> f64 {
        let text: String = self.ask(&["INFO", section]).await.expect("it answers");
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let value = value.and_then(|value| value.strip_prefix(':'));
        value.expect("it has it").trim().parse().expect("a number")
    }

    /// Returns the CPU time of its main thread, in seconds.
    async fn cpu_seconds(&self) -> f64 {
        self.info("cpu", "used_cpu_user_main_thread").await
            + self.info("cpu", "used_cpu_sys_main_thread").await
    }
}

/// Starts masters that share the slots evenly.
async fn start_cluster(folder: &Path, masters: usize) -> Vec<Server> {
    let mut servers = Vec::new();
    for _ in 0..masters {
        servers.push(Server::start(folder, &["--cluster-enabled", "yes"]).await);
    }
    let share = SLOTS.div_ceil(masters);
    for (number, server) in servers.iter().enumerate() {
        let (first, last) = (number * share, ((number + 1) * share).min(SLOTS) - 1);
        let add = [
            "CLUSTER",
            "ADDSLOTSRANGE",
            &first.to_string(),
            &last.to_string(),
        ];
        server.ask::<()>(&add).await.expect("the slots are free");
        let port = servers[0].port.to_string();
        let meet = ["CLUSTER", "MEET", "127.0.0.1", &port];
        server.ask::<()>(&meet).await.expect("it is there");
    }
    for server in &servers {
        loop {
            let text: String = server.ask(&["CLUSTER", "INFO"]).await.expect("it answers");
            let nodes = format!("cluster_known_nodes:{masters}\r");
            if text.contains("cluster_state:ok") && text.contains(&nodes) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    servers
}

fn settings_of(servers: &[Server], is_cluster: bool) -> RedisSettings {
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    RedisSettings {
        url: urls.join(","),
        topology: if is_cluster {
            RedisTopology::Cluster
        } else {
            RedisTopology::Standalone
        },
        access: RedisAccess::default(),
        acknowledging: AcknowledgingReplicas::default(),
        partitions: 64,
        timeout: Duration::from_secs(30),
        event_retention: SignedDuration::from_hours(168),
        keys: Arc::default(),
    }
}

/// Stores settled purchases, from one number to another.
async fn fill(settings: RedisSettings, from: u32, to: u32) {
    // The accounts of the store are those of the gateway that created it.
    let any = Identity {
        accounts: BTreeMap::new(),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    };
    let store = RedisStore::open(settings, &any).await.expect("it opens");
    futures::stream::iter(from..to)
        .for_each_concurrent(AT_ONCE, async |number| {
            let (claim, answer) = purchase(999, number);
            for change in [&claim, &answer] {
                let done = store.commit(change, None).await.expect("it is stored");
                assert!(matches!(done, Commit::Done));
            }
            let transaction = &answer.transaction;
            let trace_code = transaction.status().trace_code.expect("the answer has one");
            let (key, account) = (transaction.key(), account());
            let indexed = store.index_trace(&key, &account, &trace_code).await;
            indexed.expect("it is indexed");
        })
        .await;
}

/// The costs of one purchase in microseconds of CPU time, and what was bought.
struct Cost {
    gateway: f64,
    redis: f64,
    sandbox: f64,
    bought: Bought,
}

/// Measures what Redis takes for the floor: two scripts that each store a text of the length of a record,
/// by so many callers; returns microseconds of CPU time for each pair.
async fn measure_floor(server: &Server, callers: usize) -> f64 {
    let client = redis::Client::open(server.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let connection = connection.expect("it connects");
    let before = server.cpu_seconds().await;
    let began = Instant::now();
    let calling = (0..callers).map(|caller| {
        let mut connection = connection.clone();
        tokio::spawn(async move {
            let script = redis::Script::new("return redis.call('SET', KEYS[1], ARGV[1])");
            let text = [b'r'; RECORD_BYTES];
            let mut pairs = 0_u32;
            while began.elapsed() < LASTS {
                for step in 0..2 {
                    let mut call = script.key(format!("floor:{caller}:{pairs}:{step}"));
                    let done = call.arg(&text[..]).invoke_async::<()>(&mut connection);
                    done.await.expect("it is stored");
                }
                pairs += 1;
            }
            pairs
        })
    });
    let calling: Vec<_> = calling.collect();
    let mut pairs = 0;
    for called in join_all(calling).await {
        pairs += called.expect("no call panics");
    }
    (server.cpu_seconds().await - before) / f64::from(pairs) * 1e6
}

async fn redis_cpu(servers: &[Server]) -> f64 {
    let mut seconds = 0.0;
    for server in servers {
        seconds += server.cpu_seconds().await;
    }
    seconds
}

/// Measures rounds with some callers, and returns the one with the most purchases.
async fn measure(servers: &[Server], is_cluster: bool, callers: usize, run: &str) -> Cost {
    let settings = settings_of(servers, is_cluster);
    let topology = if is_cluster { "cluster" } else { "standalone" };
    let variables = [
        ("STORE__KIND", "redis".to_owned()),
        ("STORE__TOPOLOGY", topology.to_owned()),
        ("STORE__URL", settings.url),
    ];
    let sandbox = start_sandbox(BINARY);
    let gateway = start_gateway(BINARY, &sandbox.address, &variables);
    let _ = buy(
        &gateway,
        callers,
        Duration::from_secs(1),
        &format!("{run}w"),
    )
    .await;
    let mut best: Option<Cost> = None;
    for round in 0..ROUNDS {
        let before = (
            gateway.cpu_seconds(),
            redis_cpu(servers).await,
            sandbox.cpu_seconds(),
        );
        let bought = buy(&gateway, callers, LASTS, &format!("{run}{round}")).await;
        let each = |seconds: f64| seconds / bought.count() * 1e6;
        let cost = Cost {
            gateway: each(gateway.cpu_seconds() - before.0),
            redis: each(redis_cpu(servers).await - before.1),
            sandbox: each(sandbox.cpu_seconds() - before.2),
            bought,
        };
        if best
            .as_ref()
            .is_none_or(|best| cost.bought.rate() > best.bought.rate())
        {
            best = Some(cost);
        }
    }
    best.expect("there was a round")
}

fn report(what: &str, callers: usize, cost: &Cost) {
    let latencies = &cost.bought.latencies;
    let at = |part: usize| latencies[latencies.len() * part / 1000].as_secs_f64() * 1e3;
    println!(
        "| {what} | {callers} | {:.0} | {:.2} ms | {:.2} ms | {:.0} us | {:.1} us | {:.0} us |",
        cost.bought.rate(),
        at(500),
        at(990),
        cost.gateway,
        cost.redis,
        cost.sandbox
    );
}

#[tokio::main]
async fn main() {
    let records = std::env::var("OKEBAYAR_BENCH_RECORDS").ok();
    let records: u32 = records.map_or(1_000_000, |text| text.parse().expect("a number"));
    println!("| store | callers | purchases/s | median | p99 | gateway | Redis | sandbox |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let one = [Server::start(folder.path(), &[]).await];
    let mut costs: Vec<Vec<Cost>> = Vec::new();
    let mut held = 0;
    for count in [1000, records] {
        let before = one[0].info("memory", "used_memory").await;
        if held == 0 {
            // The gateway creates the store.
            measure(&one, false, 1, "create").await;
        }
        fill(settings_of(&one, false), held, count).await;
        let memory = one[0].info("memory", "used_memory").await - before;
        eprintln!(
            "{count} records: {:.0} bytes each",
            memory / f64::from(count - held)
        );
        held = count;
        let mut of_count = Vec::new();
        for callers in CALLERS {
            let cost = measure(&one, false, callers, &format!("n{count}")).await;
            report(&format!("{count} records"), callers, &cost);
            of_count.push(cost);
        }
        costs.push(of_count);
    }
    for (callers, cost) in CALLERS.into_iter().zip(&costs[0]) {
        let mut floor = f64::MAX;
        for _ in 0..ROUNDS {
            let empty = Server::start(folder.path(), &[]).await;
            floor = floor.min(measure_floor(&empty, callers).await);
        }
        let ratio = cost.redis / floor;
        println!(
            "{callers} callers: a pair of scripts takes Redis {floor:.1} us, a purchase {ratio:.2} times that"
        );
    }
    if let [few, many] = &costs[..] {
        for ((few, many), callers) in few.iter().zip(many).zip(CALLERS) {
            println!(
                "{callers} callers, {records} records against 1000: Redis {:.2}, gateway {:.2}",
                many.redis / few.redis,
                many.gateway / few.gateway
            );
        }
    }
    drop(one);
    for masters in 1..=3 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let servers = start_cluster(folder.path(), masters).await;
        let callers = 256;
        let cost = measure(&servers, true, callers, "c").await;
        report(&format!("{masters} masters"), callers, &cost);
    }
}
