//! The `guard` command: show, start and end.

use okebayar_gateway::grpc::v1::TransactionState;

use crate::support::{
    failover::{
        REASON, assert_quarantined, await_verification, back_up, buy_again, buy_until_quarantined,
        buy_until_sent, check_now, guard, proxy_redis, restore, start_guard, stop,
    },
    on_both_stores,
    process::Process,
    world::{
        BINARY, Gateway, PENDING_FOR_EVER, PLAIN, StoreKind, World, assert_succeeded, buy, get,
        reference,
    },
};

async fn call_back(gateway: &Gateway, code: &str) {
    let url = format!(
        "http://{}/callbacks/main?referencecode={code}&status=000",
        gateway.callbacks
    );
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
}

async fn guard_end_releases_only_purchases_without_evidence(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    // The sandbox uses an undocumented not-found code, and none is configured.
    world.not_found_code("204").await;
    let gateway = world.start_gateway().await;
    stop(gateway).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let sent = reference();
    buy(&mut gateway.client().await, &sent, PENDING_FOR_EVER).await;
    stop(gateway).await;
    restore(&mut world).await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (unknown, unchecked) = (reference(), reference());
    let (called_back, orphaned) = (reference(), reference());
    // The callback spells the reference code differently and precedes the gateway's record.
    call_back(&gateway, &orphaned.replace('-', "").to_uppercase()).await;
    for code in [&unknown, &unchecked, &called_back, &orphaned] {
        assert_quarantined(&buy(&mut client, code, PLAIN).await);
    }
    assert_quarantined(&buy(&mut client, &sent, PENDING_FOR_EVER).await);
    call_back(&gateway, &called_back).await;
    for code in [&unknown, &called_back, &orphaned, &sent] {
        check_now(&gateway, code).await;
    }
    let gateway = if kind == StoreKind::Embedded {
        stop(gateway).await;
        None
    } else {
        Some(gateway)
    };
    let output = guard(&world, "end").await;
    assert!(
        output.contains("1 quarantined transactions are NOT_SENT"),
        "{output}"
    );
    assert!(output.contains("4 stay quarantined"), "{output}");
    // Keys may omit case and hyphens.
    let line_of = |code: &str| {
        let found = output.lines().find(|line| {
            let line = line.replace('-', "").to_lowercase();
            line.contains(&code.replace('-', "").to_lowercase())
        });
        found.map(str::to_owned).unwrap_or_default()
    };
    assert!(
        line_of(&unchecked).contains("not answered a check"),
        "{output}"
    );
    assert!(
        line_of(&called_back).contains("a callback named it"),
        "{output}"
    );
    assert!(
        line_of(&orphaned).contains("a callback named it"),
        "{output}"
    );
    assert!(
        line_of(&sent).contains("evidence that an earlier attempt was sent"),
        "{output}"
    );
    assert_eq!(line_of(&unknown), "", "{output}");
    let again = guard(&world, "end").await;
    assert!(again.contains("0 quarantined transactions"), "{again}");

    let gateway = match gateway {
        Some(gateway) => gateway,
        None => world.start_gateway().await,
    };
    let released = gateway
        .until(&unknown, |now| now.state() == TransactionState::NotSent)
        .await;
    let decided = released.timeline.last().unwrap();
    assert_eq!(
        (decided.operator.as_str(), decided.note.as_str()),
        ("guard end", REASON)
    );
    let mut client = gateway.client().await;
    for code in [&unchecked, &called_back, &orphaned, &sent] {
        let kept = get(&mut client, code).await.unwrap();
        assert_eq!(kept.state(), TransactionState::Confirming, "{kept:#?}");
    }
    assert_succeeded(&buy(&mut client, &unknown, PLAIN).await);
    let ledger = world.ledger(&unknown).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

#[tokio::test]
async fn guard_command_shows_ends_and_starts_guard() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.timeout", "1s").check_rarely();
    let mut gateway = world.start_gateway().await;
    assert_eq!(guard(&world, "show").await, "the failover guard is off");
    let redis = world.redis.as_mut().unwrap();
    redis.restart_from_snapshot().await;
    let mut client = gateway.client().await;
    assert_quarantined(&buy_again(&mut client, &reference()).await);
    let warned = |line: &str| line.contains("store may have lost records").then_some(());
    gateway.process.line(warned).await;
    let output = guard(&world, "show").await;
    assert!(
        output.starts_with("the failover guard is on since "),
        "{output}"
    );
    let output = guard(&world, "end").await;
    assert!(
        output.starts_with("the failover guard is off\n"),
        "{output}"
    );
    let output = guard(&world, "show").await;
    let (first, ended) = output.split_once('\n').unwrap();
    assert_eq!(first, "the failover guard is off");
    assert!(ended.starts_with("ended at "), "{output}");
    assert!(ended.ends_with(REASON), "{output}");
    // A running gateway reads the end of the guard within seconds.
    buy_until_sent(&world, &mut client, reference).await;
    let output = guard(&world, "start").await;
    assert!(
        output.starts_with("the failover guard is on since "),
        "{output}"
    );
    assert_quarantined(&buy_until_quarantined(&mut client).await);
}

#[tokio::test]
async fn disabled_guard_ignores_redis_restart() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("store.timeout", "1s")
        .set("store.failover_guard", "0s");
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_mut().unwrap();
    redis.restart_from_snapshot().await;
    let mut client = gateway.client().await;
    assert_succeeded(&buy_again(&mut client, &reference()).await);
}

#[tokio::test]
async fn guard_command_on_embedded_store_requires_stopped_gateway() {
    let world = World::new(StoreKind::Embedded).await;
    let fails = async |action: &str| {
        let mut process = start_guard(&world, action);
        assert!(!process.ended().await.success());
        process.text()
    };
    assert!(fails("show").await.contains("store.path: there is no "));
    let gateway = world.start_gateway().await;
    assert!(fails("start").await.contains("stop the gateway first"));
    stop(gateway).await;
    assert!(guard(&world, "start").await.contains(" is on since "));
    let output = guard(&world, "end").await;
    assert!(
        output.starts_with("the failover guard is off\n"),
        "{output}"
    );
    // `guard end` requires a reason.
    for arguments in [&["guard", "end"][..], &["guard", "end", "--reason", " "]] {
        let mut process = Process::start(BINARY, arguments, &world.environment(), world.path());
        assert!(!process.ended().await.success());
        assert!(process.text().contains("--reason"), "{}", process.text());
    }
}

#[tokio::test]
async fn guard_end_is_rejected_over_undetected_loss() {
    let mut world = World::new(StoreKind::Redis).await;
    stop(world.start_gateway().await).await;
    let redis = world.redis.as_mut().unwrap();
    redis.restart_from_snapshot().await;
    let mut ending = start_guard(&world, "end");
    assert!(!ending.ended().await.success());
    let text = ending.text();
    assert!(text.contains("no gateway has noticed yet"), "{text}");
    assert!(guard(&world, "start").await.contains(" is on since "));
    let output = guard(&world, "end").await;
    assert!(
        output.starts_with("the failover guard is off\n"),
        "{output}"
    );
}

#[tokio::test]
async fn guard_end_is_rejected_over_flushed_redis_in_use() {
    let mut world = World::new(StoreKind::Redis).await;
    let proxy = proxy_redis(&mut world).await;
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    let fails = async || {
        let mut ending = start_guard(&world, "end");
        assert!(!ending.ended().await.success(), "{}", ending.text());
        let text = ending.text();
        assert!(text.contains("no gateway has noticed yet"), "{text}");
    };
    // The gateway's next verification is seconds away.
    await_verification(redis).await;
    redis.command(&["FLUSHALL"]).await;
    fails().await;
    assert_quarantined(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    // This time its connections break as well.
    await_verification(redis).await;
    redis.command(&["FLUSHALL"]).await;
    proxy.target.send(redis.port()).unwrap();
    fails().await;
    assert_quarantined(&buy_until_quarantined(&mut gateway.client().await).await);
}

#[tokio::test]
async fn guard_show_does_not_write_to_embedded_store() {
    let world = World::new(StoreKind::Embedded).await;
    stop(world.start_gateway().await).await;
    let before = std::fs::read(world.store_file()).unwrap();
    assert_eq!(guard(&world, "show").await, "the failover guard is off");
    let after = std::fs::read(world.store_file()).unwrap();
    assert!(before == after, "the file has changed");
}

#[tokio::test]
async fn guard_show_does_not_write_to_redis() {
    let mut world = World::new(StoreKind::Redis).await;
    let output = guard(&world, "show").await;
    assert!(
        output.contains("no gateway has used this store"),
        "{output}"
    );
    assert_eq!(world.redis.as_ref().unwrap().count().await, 0);
    // `guard show` reports an undetected loss and leaves its detection to a gateway.
    stop(world.start_gateway().await).await;
    let redis = world.redis.as_mut().unwrap();
    redis.restart_from_snapshot().await;
    let count = redis.count().await;
    for _ in 0..2 {
        let output = guard(&world, "show").await;
        assert!(output.contains("records may be lost"), "{output}");
    }
    assert_eq!(world.redis.as_ref().unwrap().count().await, count);
}

on_both_stores!(guard_end_releases_only_purchases_without_evidence,);
