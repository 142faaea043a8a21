//! Running gateways detect that Redis lost records before they claim anything.

use std::sync::atomic::Ordering;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    failover::{assert_quarantined, await_verification, buy_again, check_now, guard, proxy_redis},
    process::Process,
    world::{BINARY, Gateway, PLAIN, StoreKind, World, assert_succeeded, buy, reference},
};

#[tokio::test]
async fn purchase_is_quarantined_after_redis_restarts_empty() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.timeout", "1s").check_rarely();
    let (gateway, other) = (world.start_gateway().await, world.start_replica().await);
    let mut client = gateway.client().await;
    let codes = [reference(), reference()];
    for code in &codes {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
    }
    let redis = world.redis.as_mut().unwrap();
    redis.kill().await;
    redis.start_again().await;
    for (gateway, code) in [(&gateway, &codes[0]), (&other, &codes[1])] {
        let mut client = gateway.client().await;
        assert_quarantined(&buy_again(&mut client, code).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
}

/// Flushes Redis under two running gateways; `first` runs before they use it again.
async fn assert_quarantined_after_flush(first: impl AsyncFn(&World) -> Option<Gateway>) {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let (one, two) = (world.start_gateway().await, world.start_replica().await);
    let codes = [reference(), reference()];
    for code in &codes {
        assert_succeeded(&buy(&mut one.client().await, code, PLAIN).await);
    }
    world.flush_redis().await;
    let newcomer = first(&world).await;
    if let Some(newcomer) = &newcomer {
        // The newcomer never saw the lost store, but learns that others did.
        assert_quarantined(&buy(&mut newcomer.client().await, &codes[1], PLAIN).await);
    }
    for (gateway, code) in [(&one, &codes[0]), (&two, &codes[1])] {
        assert_quarantined(&buy(&mut gateway.client().await, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
    if let Some(newcomer) = newcomer {
        let code = reference();
        assert_quarantined(&buy(&mut newcomer.client().await, &code, PLAIN).await);
        assert_eq!(world.ledger(&code).await.received, 0);
    }
}

#[tokio::test]
async fn purchase_is_quarantined_when_guard_show_ran_after_flush() {
    assert_quarantined_after_flush(async |world| {
        guard(world, "show").await;
        assert_eq!(world.redis.as_ref().unwrap().count().await, 0);
        None
    })
    .await;
}

#[tokio::test]
async fn purchase_is_quarantined_when_another_gateway_started_after_flush() {
    assert_quarantined_after_flush(async |world| Some(world.start_replica().await)).await;
}

/// The gateway's connections break at the same time, as when Redis restarts.
#[tokio::test]
async fn purchase_is_quarantined_when_another_gateway_reconnected_after_flush() {
    let mut world = World::new(StoreKind::Redis).await;
    let direct = world.redis.as_ref().unwrap().url.clone();
    let proxy = proxy_redis(&mut world).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    world.set("store.url", &direct);
    let redis = world.redis.as_ref().unwrap();
    // The next verification is seconds away.
    await_verification(redis).await;
    redis.command(&["FLUSHALL"]).await;
    proxy.target.send(redis.port()).unwrap();
    let newcomer = world.start_replica().await;
    for gateway in [&newcomer, &gateway] {
        assert_quarantined(&buy(&mut gateway.client().await, &code, PLAIN).await);
    }
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// A replica takes over the address and no connection breaks: only the epoch that each claim
/// carries can reveal the failover in time.
#[tokio::test]
async fn claim_missing_on_promoted_replica_is_quarantined() {
    let mut world = World::new(StoreKind::Redis).await;
    let proxy = proxy_redis(&mut world).await;
    world.check_rarely();
    let gateways = [world.start_gateway().await, world.start_replica().await];
    let mut clients = [gateways[0].client().await, gateways[1].client().await];
    let (before, lost) = (reference(), [reference(), reference()]);
    // A primary that gets its first replica loses nothing.
    let folder = tempfile::tempdir().unwrap();
    let redis = world.redis.as_ref().unwrap();
    let replica = redis.replica(folder.path()).await;
    assert_succeeded(&buy(&mut clients[0], &before, PLAIN).await);
    redis.await_replica().await;
    // From here on the replica receives no purchases.
    replica.command(&["REPLICAOF", "NO", "ONE"]).await;
    let at_once = ["CONFIG", "SET", "repl-diskless-sync-delay", "0"];
    replica.command(&at_once).await;
    for (client, code) in clients.iter_mut().zip(&lost) {
        assert_succeeded(&buy(client, code, PLAIN).await);
    }

    await_verification(redis).await;
    let connections = proxy.connections.load(Ordering::SeqCst);
    // The gateways observe none of this: they are stopped while their server first copies the
    // replica's data and then becomes the primary.
    for gateway in &gateways {
        gateway.process.signal("-STOP");
    }
    redis.follow(&replica).await;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    for gateway in &gateways {
        gateway.process.signal("-CONT");
    }
    for (client, code) in clients.iter_mut().zip(&lost) {
        assert_quarantined(&buy(client, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
    assert_eq!(
        proxy.connections.load(Ordering::SeqCst),
        connections,
        "a connection broke; another test covers that"
    );

    assert!(buy(&mut clients[0], &before, PLAIN).await.terminal);
    for code in &lost {
        check_now(&gateways[0], code).await;
        assert_succeeded(&gateways[0].until_final(code).await);
    }
    for code in lost.iter().chain([&before]) {
        let ledger = world.ledger(code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
}

#[tokio::test]
async fn claim_missing_on_promoted_server_elsewhere_is_quarantined() {
    let mut world = World::new(StoreKind::Redis).await;
    let proxy = proxy_redis(&mut world).await;
    world.set("store.timeout", "2s").check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (before, lost) = (reference(), reference());
    let folder = tempfile::tempdir().unwrap();
    let replica = world.redis.as_ref().unwrap().replica(folder.path()).await;
    assert_succeeded(&buy(&mut client, &before, PLAIN).await);
    world.redis.as_ref().unwrap().await_replica().await;
    // From here on the replica receives no purchases.
    replica.command(&["REPLICAOF", "NO", "ONE"]).await;
    assert_succeeded(&buy(&mut client, &lost, PLAIN).await);

    proxy.target.send(replica.port()).unwrap();
    assert_quarantined(&buy_again(&mut client, &lost).await);
    assert!(buy_again(&mut client, &before).await.terminal);
    check_now(&gateway, &lost).await;
    assert_succeeded(&gateway.until_final(&lost).await);
    for code in [before, lost] {
        let ledger = world.ledger(&code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
}

/// Forwards connections to Redis and hides its run id.
async fn without_run_id(listener: TcpListener, port: u16) {
    while let Ok((near, _)) = listener.accept().await {
        let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut asked, mut told_on) = near.into_split();
        let (mut output, mut asked_on) = far.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut asked, &mut asked_on).await });
        tokio::spawn(async move {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = output.read(&mut bytes).await {
                for at in 0..count {
                    if bytes[at..count].starts_with(b"run_id:") {
                        bytes[at] = b'x';
                    }
                }
                told_on.write_all(&bytes[..count]).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn redis_without_run_id_is_rejected() {
    let mut world = World::new(StoreKind::Redis).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let port = world.redis.as_ref().unwrap().port();
    tokio::spawn(without_run_id(listener, port));
    world.set("store.url", &url);
    let mut process = Process::start(BINARY, &["serve"], &world.environment(), world.path());
    assert!(!process.ended().await.success());
    let output = process.text();
    assert!(
        output.contains("INFO lacks run_id or master_replid"),
        "{output}"
    );
}
