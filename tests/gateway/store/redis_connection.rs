//! Redis behind a faulty connection: an unresponsive host, a temporarily wrong password, a server
//! that rejects writes; and their timely report to operators.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{
    process::PATIENCE,
    redis::Redis,
    world::{
        Gateway, PENDING_THEN_SUCCESS, PLAIN, StoreKind, USER_ID, World, assert_succeeded, buy,
        buy_until_taken, order, reference,
    },
};

/// The time within which a fault must be reported, plus a margin for a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(10 + 5);

/// A proxy that can go dark: then nothing passes on its connections, and none is closed. Later
/// connections pass again.
struct Proxy {
    url: String,
    accepted: Arc<AtomicUsize>,
    dark: watch::Sender<usize>,
}

impl Proxy {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let accepted = Arc::new(AtomicUsize::new(0));
        let dark = watch::Sender::new(0);
        let (count, darkness) = (Arc::clone(&accepted), dark.clone());
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let mut darkness = darkness.subscribe();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let goes_dark = async {
                        drop(darkness.wait_for(|dark| *dark >= number).await);
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        // Both ends stay open.
                        () = goes_dark => pending::<()>().await,
                    }
                });
            }
        });
        Self {
            url,
            accepted,
            dark,
        }
    }

    /// Stops all traffic on the present connections.
    fn go_dark(&self) {
        self.dark.send_replace(self.accepted.load(Ordering::SeqCst));
    }
}

async fn put_behind_proxy(world: &mut World) -> Proxy {
    let proxy = Proxy::start(world.redis.as_ref().unwrap().port()).await;
    world
        .set("store.url", &proxy.url)
        .set("store.timeout", "1s");
    proxy
}

#[tokio::test]
async fn unresponsive_host_is_replaced_by_responding_one() {
    let mut world = World::new(StoreKind::Redis).await;
    let proxy = put_behind_proxy(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let codes = [reference(), reference()];
    assert_succeeded(&buy(&mut client, &codes[0], PLAIN).await);
    proxy.go_dark();
    let began = Instant::now();
    assert_succeeded(&buy_until_taken(&mut client, &codes[1], PLAIN).await);
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    for code in &codes {
        assert_succeeded(&buy_until_taken(&mut client, code, PLAIN).await);
        let ledger = world.ledger(code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
}

#[tokio::test]
async fn unresponsive_subscription_is_renewed() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    let proxy = put_behind_proxy(&mut world).await;
    // Polling is disabled in effect: only a wake-up can deliver the change.
    world.set("events.poll_interval", "1h");
    let watching = world.start_replica().await;
    let redis_url = world.redis.as_ref().unwrap().url.clone();
    world.set("store.url", &redis_url);
    let buying = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    let subscribed = async |count: u64| {
        let counted = async {
            while redis.subscribers("okb:wake").await < count {
                tokio::task::yield_now().await;
            }
        };
        let counted = tokio::time::timeout(PATIENCE, counted).await;
        counted.unwrap_or_else(|_| panic!("the number of subscriptions never reached {count}"));
    };
    subscribed(2).await;
    proxy.go_dark();
    // The old subscription stays with the server, which does not notice.
    subscribed(3).await;

    // The purchase stays pending until the watch has begun.
    let settles_late = ["--settle-after", "3s"];
    let sandbox = world.sandbox_with(world.sandbox_port, USER_ID, &settles_late);
    let _sandbox = sandbox.await;
    let code = reference();
    buy(&mut buying.client().await, &code, PENDING_THEN_SUCCESS).await;
    assert_succeeded(&watching.until_final(&code).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn corrected_password_needs_no_restart() {
    const RIGHT: &str = "right-password";
    const WRONG: &str = "another-password";
    let mut world = World::new(StoreKind::Redis).await;
    let options = ["--appendonly", "no", "--requirepass", RIGHT];
    let mut redis = Redis::start_with(world.path(), &options).await;
    let port = redis.port();
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{port}");
    redis.url = url(RIGHT);
    world
        .set("store.url", &redis.url)
        .set("store.timeout", "2s");
    let mut gateway = world.start_gateway().await;
    gateway.process.add_secret(RIGHT.to_owned());
    let mut client = gateway.client().await;
    let codes = [reference(), reference()];
    assert_succeeded(&buy(&mut client, &codes[0], PLAIN).await);

    redis
        .command(&["CONFIG", "SET", "requirepass", WRONG])
        .await;
    redis.url = url(WRONG);
    for kind in ["normal", "pubsub"] {
        redis.command(&["CLIENT", "KILL", "TYPE", kind]).await;
    }
    gateway.readiness(503).await;
    let refused = client.purchase_prepaid(order(&codes[1], PLAIN)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);

    redis
        .command(&["CONFIG", "SET", "requirepass", RIGHT])
        .await;
    for code in &codes {
        assert_succeeded(&buy_until_taken(&mut client, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
    gateway.readiness(200).await;
}

/// Asserts that readiness, the health service and the gauge agree.
async fn assert_health(gateway: &Gateway, is_well: bool) -> String {
    let problem = gateway.readiness(if is_well { 200 } else { 503 }).await;
    let metrics = reqwest::get(format!("http://{}/metrics", gateway.admin));
    let metrics = metrics.await.unwrap().text().await.unwrap();
    let gauge = metrics
        .lines()
        .find(|line| line.starts_with("okebayar_store_healthy"));
    assert!(
        gauge.unwrap().ends_with(if is_well { " 1" } else { " 0" }),
        "{gauge:?}"
    );
    let address = format!("http://{}", gateway.grpc);
    let endpoint = tonic::transport::Endpoint::from_shared(address).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    let expected = if is_well {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    let mut updates = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let reported =
        async { while updates.message().await.unwrap().unwrap().status() != expected {} };
    tokio::time::timeout(PATIENCE, reported)
        .await
        .expect("the health service never reported the expected status");
    problem
}

#[tokio::test]
async fn read_only_replica_is_reported_as_not_ready() {
    let world = World::without_sandbox(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    assert_health(&gateway, true).await;
    let folder = tempfile::tempdir().unwrap();
    let primary = Redis::start(folder.path()).await;
    let redis = world.redis.as_ref().unwrap();
    redis.follow(&primary).await;
    let began = Instant::now();
    let problem = assert_health(&gateway, false).await;
    assert!(began.elapsed() < SEEN_WITHIN, "{:?}", began.elapsed());
    assert!(problem.contains("read only replica"), "{problem}");
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    assert_health(&gateway, true).await;
}

#[tokio::test]
async fn redis_that_rejects_writes_is_reported_as_not_ready() {
    let world = World::without_sandbox(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    redis
        .command(&["CONFIG", "SET", "min-replicas-to-write", "1"])
        .await;
    let began = Instant::now();
    let problem = assert_health(&gateway, false).await;
    assert!(began.elapsed() < SEEN_WITHIN, "{:?}", began.elapsed());
    assert!(problem.contains("NOREPLICAS"), "{problem}");
    redis
        .command(&["CONFIG", "SET", "min-replicas-to-write", "0"])
        .await;
    assert_health(&gateway, true).await;
}

#[tokio::test]
async fn hanging_verification_is_reported_as_not_ready() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    world.set("store.timeout", "5m");
    let gateway = world.start_gateway().await;
    assert_health(&gateway, true).await;
    let redis = world.redis.as_ref().unwrap();
    redis.freeze();
    let began = Instant::now();
    let problem = assert_health(&gateway, false).await;
    redis.thaw();
    assert!(began.elapsed() < SEEN_WITHIN, "{:?}", began.elapsed());
    assert!(problem.contains("verification"), "{problem}");
    assert_health(&gateway, true).await;
}
