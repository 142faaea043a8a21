//! User ids: one account for each, and their change (promise 1).

use std::collections::{BTreeMap, BTreeSet};

use okebayar_gateway::{
    grpc::v1::TransactionState,
    store::{
        Commit, Identity, Store, UserIdChange,
        redb::RedbStore,
        redis::{RedisSettings, RedisStore},
        unresolved::{self, UNRESOLVED},
    },
    transaction::Transaction as CoreTransaction,
};

use crate::support::{
    accounts::{done, identity, name, redis_settings, refused, replay},
    core::begin,
    on_both_stores,
    process::CANARY_PIN,
    redis::Redis,
    world::{PENDING_FOR_EVER, PLAIN, StoreKind, World, assert_succeeded, buy, reference},
};

#[tokio::test]
async fn duplicate_user_id_is_rejected_by_configuration_check() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let url = format!("http://127.0.0.1:{}/", world.sandbox_port);
    world
        .set("default_account", "main")
        .set("accounts.second.url", &url)
        .set("accounts.second.userid", "TEST-member")
        .set("accounts.second.pin", CANARY_PIN);
    let output = refused(&world, &["serve", "--check"]).await;
    assert!(
        output.contains("accounts.second.userid: duplicates the user id of account main"),
        "{output}"
    );
}

async fn changed_user_id_is_rejected_until_change_userid_runs(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut first = world.start_gateway().await;
    let made = buy(&mut first.client().await, &reference(), PLAIN).await;
    if kind == StoreKind::Embedded {
        first.process.kill().await;
    }
    world.set("accounts.main.userid", "new-member");
    let command = ["store", "change-userid", "--account", "main"];
    let confirmed = [&command[..], &["--yes"]].concat();
    for _ in 0..2 {
        let output = refused(&world, &["serve"]).await;
        assert!(
            output.contains("store change-userid --account main"),
            "{output}"
        );
        // Without confirmation the command only prints the change.
        let output = refused(&world, &command).await;
        assert!(output.contains("add --yes"), "{output}");
    }
    let output = done(&world, &confirmed).await;
    assert!(output.contains("changed: "), "{output}");
    assert!(
        done(&world, &confirmed)
            .await
            .contains("nothing is changed")
    );
    let gateway = world.start_replica().await;
    replay(&mut gateway.client().await, "main", &made, PLAIN).await;
    assert_eq!(world.ledger(&made.reference_code).await.received, 1);
    if kind == StoreKind::Redis {
        world.set("accounts.main.userid", "test-member");
        let output = refused(&world, &["serve"]).await;
        assert!(output.contains("account:main"), "{output}");
    }
}

/// A check under another user id may be answered "never received" for a purchase that was received.
async fn user_id_change_is_rejected_while_transactions_are_open(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let pending = buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    assert_eq!(pending.state(), TransactionState::Pending);
    gateway.process.kill().await;
    world.set("accounts.main.userid", "new-member");
    let command = ["store", "change-userid", "--account", "main", "--yes"];
    let output = refused(&world, &command).await;
    assert!(
        output.contains("whose outcome is open: 1") && output.contains("--despite-open"),
        "{output}"
    );
    refused(&world, &["serve"]).await;
    let output = done(&world, &[&command[..], &["--despite-open"]].concat()).await;
    assert!(output.contains("changed: "), "{output}");
    world.start_gateway().await;
}

/// A gateway with the old user id may buy while one with the new user id makes the checks.
async fn user_id_change_is_rejected_while_code_lists_are_configured(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    gateway.process.kill().await;
    world.set("accounts.main.userid", "new-member");
    let command = ["store", "change-userid", "--account", "main", "--yes"];
    world.set("accounts.main.not_received_codes", "400");
    let output = refused(&world, &command).await;
    assert!(
        output.contains("accounts.main.not_received_codes: ")
            && output.contains("every gateway's configuration")
            && output.contains("--despite-open"),
        "{output}"
    );
    world.set("accounts.main.failed_codes", "299");
    let output = refused(&world, &command).await;
    assert!(
        output.contains("accounts.main.not_received_codes and accounts.main.failed_codes: "),
        "{output}"
    );
    let output = done(&world, &[&command[..], &["--despite-open"]].concat()).await;
    assert!(output.contains("changed: "), "{output}");
    let output = done(&world, &command).await;
    assert!(output.contains("nothing is changed"), "{output}");
}

/// Overwrites the record of a transaction with an unreadable one.
async fn damage(redis: &Redis, transaction: &CoreTransaction) {
    let mut keys = redis::cmd("KEYS");
    keys.arg(format!("okb:*:tx:{}", transaction.key()));
    let mut connection = redis.connection().await;
    let found: Vec<String> = keys.query_async(&mut connection).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    redis.command(&["HSET", &found[0], "body", "{}"]).await;
}

#[tokio::test]
async fn unreadable_record_does_not_hide_other_open_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let identity = identity("main", "hash");
    let store = RedisStore::open(redis_settings(&redis), &identity).await;
    let store = store.unwrap();
    for number in 1..=3 {
        let stored = store.commit(&begin(number), None).await.unwrap();
        assert!(matches!(stored, Commit::Done));
    }
    let damaged = begin(2).transaction;
    damage(&redis, &damaged).await;
    let counted = unresolved::count(&store).await.unwrap();
    let sending = UNRESOLVED.iter().position(|state| *state == "SENDING");
    assert_eq!(counted.by_account[&name("main")][sending.unwrap()], 2);
    assert_eq!(
        counted.unreadable,
        BTreeSet::from([damaged.key().to_string()])
    );
}

#[tokio::test]
async fn user_id_change_counts_unreadable_record_as_open() {
    let mut world = World::new(StoreKind::Redis).await;
    let mut gateway = world.start_gateway().await;
    gateway.process.kill().await;
    let redis = world.redis.as_ref().unwrap();
    let mut settings = redis_settings(redis);
    settings.partitions = 64; // the default, which the gateway made the store with
    let store = RedisStore::connect(settings).unwrap();
    let stored = store.commit(&begin(1), None).await.unwrap();
    assert!(matches!(stored, Commit::Done));
    damage(redis, &begin(1).transaction).await;
    world.set("accounts.main.userid", "new-member");
    let command = ["store", "change-userid", "--account", "main", "--yes"];
    let output = refused(&world, &command).await;
    assert!(
        output.contains("whose outcome is open: 0")
            && output.contains("they count as open: 1 (")
            && output.contains("--despite-open"),
        "{output}"
    );
    let output = done(&world, &[&command[..], &["--despite-open"]].concat()).await;
    assert!(output.contains("changed: "), "{output}");
}

#[tokio::test]
async fn concurrent_gateways_register_one_name_per_user_id() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    for round in 0..10 {
        let hash = format!("hash-{round}");
        let starting = (0..8).map(|number| {
            let account = format!("{}-{round}", ["old", "new"][number % 2]);
            let (settings, hash) = (redis_settings(&redis), hash.clone());
            tokio::spawn(async move {
                let opened = RedisStore::open(settings, &identity(&account, &hash)).await;
                (account, opened.err().map(|error| error.to_string()))
            })
        });
        let (mut served, mut turned_away) = (BTreeSet::new(), BTreeSet::new());
        for start in starting.collect::<Vec<_>>() {
            match start.await.unwrap() {
                (account, None) => served.insert(account),
                (account, Some(why)) => {
                    assert!(why.contains("formerly"), "{why}");
                    turned_away.insert(account)
                }
            };
        }
        assert_eq!((served.len(), turned_away.len()), (1, 1), "round {round}");
        assert!(served.is_disjoint(&turned_away));
    }
}

/// Redis loses its identity, and the running gateways restore what they know of it.
#[tokio::test]
async fn lost_identity_is_restored_by_next_verification() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let open = async |identity: &Identity| RedisStore::open(redis_settings(&redis), identity).await;
    let both = Identity {
        accounts: BTreeMap::from([
            (name("main"), "one".to_owned()),
            (name("removed"), "two".to_owned()),
        ]),
        ..identity("main", "one")
    };
    drop(open(&both).await.unwrap());
    let running = open(&identity("main", "one")).await.unwrap();
    let late = Identity {
        accounts: BTreeMap::from([
            (name("main"), "one".to_owned()),
            (name("late"), "three".to_owned()),
        ]),
        ..identity("main", "one")
    };
    let other = open(&late).await.unwrap();
    running.verify().await.unwrap();
    let known = BTreeSet::from([name("main"), name("removed"), name("late")]);
    let seen = running.account_names().await.unwrap();
    assert_eq!((seen.names, seen.is_whole), (known.clone(), true));

    redis.command(&["FLUSHALL"]).await;
    for store in [&running, &other] {
        assert!(!store.account_names().await.unwrap().is_whole);
    }
    // A gateway with less knowledge writes first.
    drop(open(&identity("main", "one")).await.unwrap());
    let seen = running.account_names().await.unwrap();
    assert!(!seen.is_whole && seen.names.len() == 1);
    let (one, two) = tokio::join!(running.verify(), other.verify());
    one.and(two).unwrap();
    for store in [&running, &other] {
        let seen = store.account_names().await.unwrap();
        assert_eq!((seen.names, seen.is_whole), (known.clone(), true));
    }

    // A gateway with another identity writes first.
    let wider = RedisSettings {
        partitions: 16,
        ..redis_settings(&redis)
    };
    for (settings, theirs, wanted) in [
        (wider, identity("main", "one"), "partitions = 16"),
        (
            redis_settings(&redis),
            identity("main", "nine"),
            "account main",
        ),
        (
            redis_settings(&redis),
            identity("mine", "one"),
            "account main",
        ),
    ] {
        redis.command(&["FLUSHALL"]).await;
        drop(RedisStore::open(settings, &theirs).await.unwrap());
        let refused = running.verify().await.unwrap_err().to_string();
        assert!(refused.contains(wanted), "{refused}");
    }
    // A user id that an operator changes under running gateways is no mismatch.
    redis.command(&["FLUSHALL"]).await;
    running.verify().await.unwrap();
    let change = UserIdChange {
        account: name("main"),
        to: "four".to_owned(),
    };
    running.change_user_id(&change, true).await.unwrap();
    running.verify().await.unwrap();
    assert!(open(&identity("main", "four")).await.is_ok());
}

async fn user_id_of_another_account_is_rejected(kind: StoreKind) {
    let folder = tempfile::tempdir().unwrap();
    let both = Identity {
        accounts: BTreeMap::from([
            (name("main"), "one".to_owned()),
            (name("second"), "two".to_owned()),
        ]),
        ..identity("main", "one")
    };
    let change = |to: &str| UserIdChange {
        account: name("main"),
        to: to.to_owned(),
    };
    let known = BTreeSet::from([name("main"), name("second")]);
    match kind {
        StoreKind::Embedded => {
            let file = folder.path().join("store.redb");
            let store = RedbStore::open(&file, &both).await.unwrap();
            assert!(store.change_user_id(&change("two"), true).await.is_err());
            let before = store.change_user_id(&change("three"), false).await.unwrap();
            assert_eq!(before.hash, "one");
            let before = store.change_user_id(&change("three"), true).await.unwrap();
            assert_eq!(
                before.hash, "one",
                "the change was written without confirmation"
            );
            assert_eq!(store.account_names().await.unwrap().names, known);
            drop(store);
            assert!(RedbStore::open(&file, &both).await.is_err());
            let changed = RedbStore::open(&file, &identity("main", "three")).await;
            assert!(changed.is_ok());
        }
        StoreKind::Redis => {
            let redis = Redis::start(folder.path()).await;
            let open = async |identity: &Identity| {
                RedisStore::open(redis_settings(&redis), identity).await
            };
            let store = open(&both).await.unwrap();
            assert!(store.change_user_id(&change("two"), true).await.is_err());
            let before = store.change_user_id(&change("three"), false).await.unwrap();
            assert_eq!(before.hash, "one");
            let before = store.change_user_id(&change("three"), true).await.unwrap();
            assert_eq!(
                before.hash, "one",
                "the change was written without confirmation"
            );
            assert_eq!(store.account_names().await.unwrap().names, known);
            assert!(open(&both).await.is_err());
            assert!(open(&identity("main", "three")).await.is_ok());
        }
    }
}

on_both_stores!(
    changed_user_id_is_rejected_until_change_userid_runs,
    user_id_change_is_rejected_while_transactions_are_open,
    user_id_change_is_rejected_while_code_lists_are_configured,
    user_id_of_another_account_is_rejected,
);
