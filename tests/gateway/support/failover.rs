//! Backups, losses and failovers of a store, and the `guard` command.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, Transaction, TransactionReason, TransactionState,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::support::{
    process::{PATIENCE, Process},
    redis::Redis,
    world::{
        BINARY, Client, Gateway, PLAIN, World, assert_succeeded, bought, buy, error_info, order,
        reference,
    },
};

/// Stops a gateway with SIGTERM and asserts that it succeeds.
pub async fn stop(gateway: Gateway) {
    let mut gateway = gateway;
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
}

/// Returns the path of the store with a suffix.
pub fn beside_store(world: &World, ending: &str) -> PathBuf {
    let mut path = world.store_file().into_os_string();
    path.push(ending);
    path.into()
}

/// Returns the path of the backup.
pub fn copy_of_store(world: &World) -> PathBuf {
    world.path().join("backup.redb")
}

/// Backs the store up while no gateway runs.
pub async fn back_up(world: &World) {
    match &world.redis {
        Some(redis) => redis.command(&["SAVE"]).await,
        None => drop(std::fs::copy(world.store_file(), copy_of_store(world)).unwrap()),
    }
}

/// Restores the backup as docs/OPERATIONS.md describes.
pub async fn restore(world: &mut World) {
    if let Some(redis) = &mut world.redis {
        redis.kill().await;
        redis.start_again().await;
        return;
    }
    std::fs::copy(copy_of_store(world), beside_store(world, ".restore")).unwrap();
}

pub const REASON: &str = "the caller's books are complete";

/// Starts `guard <action>`.
pub fn start_guard(world: &World, action: &str) -> Process {
    let mut arguments = vec!["guard", action];
    if action == "end" {
        arguments.extend(["--reason", REASON]);
    }
    Process::start(BINARY, &arguments, &world.environment(), world.path())
}

/// Runs `guard <action>` and returns its output.
pub async fn guard(world: &World, action: &str) -> String {
    let mut process = start_guard(world, action);
    assert!(process.ended().await.success(), "{}", process.text());
    process.text()
}

/// Shortens the clock skew, so that a new reference code soon postdates a loss.
pub fn short_skew(world: &mut World) -> &mut World {
    world.set("store.clock_skew", "1s")
}

/// Asserts that a transaction is quarantined.
pub fn assert_quarantined(transaction: &Transaction) {
    assert_eq!(
        transaction.state(),
        TransactionState::Confirming,
        "{transaction:#?}"
    );
    assert_eq!(
        transaction.reason(),
        TransactionReason::Quarantined,
        "{transaction:#?}"
    );
    assert!(!transaction.safe_to_refund && !transaction.next_step().allows_purchase());
    let output = &transaction.timeline.last().unwrap().description;
    assert!(output.contains("was quarantined"), "{output}");
}

/// Runs the check that was scheduled for much later.
pub async fn check_now(gateway: &Gateway, code: &str) {
    let request = CheckTransactionRequest {
        reference_code: code.to_owned(),
        ..CheckTransactionRequest::default()
    };
    let mut client = gateway.client().await;
    client.check_transaction(request).await.unwrap();
}

/// Buys under new codes until one is not quarantined.
pub async fn buy_until_sent(world: &World, client: &mut Client, code: impl Fn() -> String) {
    let buying = async {
        loop {
            let code = code();
            let transaction = buy(client, &code, PLAIN).await;
            if transaction.reason() != TransactionReason::Quarantined {
                assert_succeeded(&transaction);
                assert_eq!(world.ledger(&code).await.received, 1);
                return;
            }
            assert_eq!(world.ledger(&code).await.received, 0);
        }
    };
    tokio::time::timeout(PATIENCE, buying)
        .await
        .expect("every purchase was quarantined");
}

/// Retries a purchase until the store answers, and returns the first transaction.
pub async fn buy_again(client: &mut Client, code: &str) -> Transaction {
    let buying = async {
        loop {
            match client.purchase_prepaid(order(code, PLAIN)).await {
                Ok(answer) => return bought(answer.into_inner()),
                Err(status) => {
                    let (reason, sent) = error_info(&status);
                    assert_eq!(
                        (reason.as_str(), sent.as_str()),
                        ("STORE_UNAVAILABLE", "maybe")
                    );
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, buying).await.unwrap()
}

/// Buys under new codes until one is quarantined.
pub async fn buy_until_quarantined(client: &mut Client) -> Transaction {
    let buying = async {
        loop {
            let transaction = buy(client, &reference(), PLAIN).await;
            if transaction.reason() == TransactionReason::Quarantined {
                return transaction;
            }
        }
    };
    tokio::time::timeout(PATIENCE, buying).await.unwrap()
}

/// Forwards and counts connections to a port; a change of the port cuts open connections.
pub async fn forward(listener: TcpListener, target: watch::Receiver<u16>, count: Arc<AtomicUsize>) {
    while let Ok((mut near, _)) = listener.accept().await {
        count.fetch_add(1, Ordering::SeqCst);
        let mut target = target.clone();
        let port = *target.borrow_and_update();
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
                return;
            };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = target.changed() => {}
            }
        });
    }
}

/// The proxy between the gateways and Redis.
pub struct RedisProxy {
    pub target: watch::Sender<u16>,
    pub connections: Arc<AtomicUsize>,
}

/// Puts a proxy between a world's gateways and its Redis.
pub async fn proxy_redis(world: &mut World) -> RedisProxy {
    let (target, receiver) = watch::channel(world.redis.as_ref().unwrap().port());
    let connections = Arc::<AtomicUsize>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let entry = listener.local_addr().unwrap().port();
    tokio::spawn(forward(listener, receiver, Arc::clone(&connections)));
    world.set("store.url", &format!("redis://127.0.0.1:{entry}"));
    RedisProxy {
        target,
        connections,
    }
}

/// Returns the number of INFO calls that a Redis has answered.
pub async fn info_calls(redis: &Redis) -> u64 {
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut ask = redis::cmd("INFO");
    ask.arg("commandstats");
    let output: String = ask.query_async(&mut connection).await.unwrap();
    let calls = output.lines().find_map(|line| {
        let (_, rest) = line.split_once("cmdstat_info:calls=")?;
        rest.split(',').next()?.parse().ok()
    });
    // This call is not counted before it is answered.
    calls.unwrap_or(0)
}

/// Waits until the gateways have verified their store once more, so that the next verification is
/// seconds away.
pub async fn await_verification(redis: &Redis) {
    let verified = async {
        let mut calls = info_calls(redis).await;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            // Each of these reads is an INFO call itself.
            let now = info_calls(redis).await;
            if now > calls + 1 {
                return;
            }
            calls = now;
        }
    };
    tokio::time::timeout(PATIENCE, verified)
        .await
        .expect("the store was never verified");
    // A verification calls INFO twice: first for the eviction policy, last for the epoch.
    let ended = async {
        let mut calls = info_calls(redis).await;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = info_calls(redis).await;
            if now == calls + 1 {
                return;
            }
            calls = now;
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the verification never ended");
}
