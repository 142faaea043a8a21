//! Accounts that are renamed, get another user id, or are taken out of the configuration:
//! nothing is bought twice, and nothing is left behind unnoticed (promises 1 and 11).

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use okebayar_gateway::{
    grpc::v1::{
        CheckTransactionRequest, GetTransactionRequest, Reason, State, Transaction,
        get_transaction_request::Code,
    },
    store::{
        Commit, Identity, Store, UserIdChange,
        redb::RedbStore,
        redis::{RedisSettings, RedisStore},
        unresolved::{self, UNRESOLVED},
    },
    transaction::{
        AccountName, AccountNames, ReviewCause, State as Standing, Transaction as CoreTransaction,
    },
};
use serde_json::Value;

use crate::support::{
    core::{at, begin, schedule},
    on_both_stores, ports,
    process::{CANARY_PIN, PATIENCE, Process},
    redis::Redis,
    world::{
        BINARY, CALLBACK_LOST, Client, Gateway, PENDING_FOR_EVER, PENDING_THEN_SUCCESS, PLAIN,
        StoreKind, World, assert_succeeded, bought, buy, order, reference,
    },
};

#[test]
fn a_schedule_without_checks_ends_in_time() {
    let schedule = schedule();
    let mut current = begin(1).transaction;
    assert!(current.pass_over(at(64), &schedule).is_none());
    for turn in 0.. {
        assert!(turn < 200, "it is passed over too often");
        let due = current.due_at().unwrap();
        current = current.pass_over(due, &schedule).unwrap().transaction;
        assert_eq!(current.last_checked_at(), None);
        match current.standing().state {
            Standing::Confirming(_) => assert!(current.due_at().unwrap() > due),
            Standing::NeedsReview { cause, .. } => {
                assert_eq!(cause, ReviewCause::ChecksExhausted);
                assert_eq!((due, current.due_at()), (at(72 * 3600), None));
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_check_that_was_passed_over_is_no_check_made() {
    let schedule = schedule();
    let first = begin(1).transaction;
    let passed = first.pass_over(at(125), &schedule).unwrap().transaction;
    let due = passed.due_at().unwrap();
    assert!(due > at(125));
    let checked = passed.observe_check(None, due, &schedule).transaction;
    // A minute after the first check, 20 % more or less, and no sooner.
    let next = checked.due_at().unwrap().duration_since(due).as_secs();
    assert!((60..=72).contains(&next), "{next}");
}

/// Runs a command that must fail, and returns what it says.
async fn refused(world: &World, arguments: &[&str]) -> String {
    let mut process = Process::start(BINARY, arguments, &world.environment(), world.path());
    assert!(!process.ended().await.success(), "{}", process.text());
    process.text()
}

/// Runs a command that must succeed, and returns what it says.
async fn done(world: &World, arguments: &[&str]) -> String {
    let mut process = Process::start(BINARY, arguments, &world.environment(), world.path());
    assert!(process.ended().await.success(), "{}", process.text());
    process.text()
}

/// Buys again under the name of an account; asserts that it is the purchase that was made.
async fn replay(client: &mut Client, account: &str, made: &Transaction, number: &str) {
    let mut request = order(&made.reference_code, number);
    request.account = account.to_owned();
    let answer = client.purchase_prepaid(request).await;
    let answer = answer.unwrap_or_else(|status| panic!("{account:?}: {status}"));
    let answer = answer.into_inner();
    assert!(answer.replayed, "{account:?}");
    assert_eq!(bought(answer).trace_code, made.trace_code, "{account:?}");
}

async fn a_renamed_account_is_refused_without_its_former_name(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    gateway.process.kill().await;
    world.rename_account("main", "renamed");
    let told = refused(&world, &["serve"]).await;
    assert!(
        told.contains("accounts.renamed.formerly = [\"main\"]"),
        "{told}"
    );
    assert_eq!(world.ledger(&code).await.received, 1);
}

async fn a_renamed_account_goes_on_with_its_transactions(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let settled = buy(&mut client, &reference(), PLAIN).await;
    let open = buy(&mut client, &reference(), CALLBACK_LOST).await;
    assert_succeeded(&settled);
    assert_eq!(open.state(), State::Pending);
    gateway.process.kill().await;

    world
        .rename_account("main", "renamed")
        .set("accounts.renamed.formerly", "main");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // By its present name, without a name, and by its former one.
    for account in ["renamed", "", "main"] {
        replay(&mut client, account, &settled, PLAIN).await;
        let request = GetTransactionRequest {
            account: account.to_owned(),
            code: Some(Code::TraceCode(settled.trace_code.clone())),
        };
        let found = client.get_transaction(request).await.unwrap().into_inner();
        let found = found.transaction.unwrap();
        assert_eq!(found.reference_code, settled.reference_code, "{account:?}");
    }
    assert_eq!(world.ledger(&settled.reference_code).await.received, 1);

    // What was open under the former name is checked with the account's credentials.
    let asked = async {
        loop {
            let request = CheckTransactionRequest {
                account: "renamed".to_owned(),
                reference_code: open.reference_code.clone(),
            };
            let answer = client.check_transaction(request).await.unwrap();
            let answer = answer.into_inner();
            assert!(answer.checked);
            let transaction = answer.transaction.unwrap();
            if transaction.r#final {
                return transaction;
            }
        }
    };
    let checked = tokio::time::timeout(PATIENCE, asked).await.unwrap();
    assert_succeeded(&checked);
    assert_eq!(world.ledger(&open.reference_code).await.received, 1);

    // The sandbox still calls /callbacks/main, and no check is due for an hour.
    let code = reference();
    let pending = buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    assert_eq!(pending.account, "renamed");
    assert_succeeded(&gateway.until_final(&code).await);
}

async fn a_rename_is_taken_back_as_explicitly(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let made = buy(&mut gateway.client().await, &reference(), PLAIN).await;
    gateway.process.kill().await;
    world
        .rename_account("main", "renamed")
        .set("accounts.renamed.formerly", "main");
    let mut gateway = world.start_gateway().await;
    gateway.process.kill().await;

    world
        .rename_account("renamed", "main")
        .unset("accounts.main.formerly");
    let told = refused(&world, &["serve"]).await;
    assert!(told.contains("accounts.main.formerly"), "{told}");
    world.set("accounts.main.formerly", "renamed");
    let gateway = world.start_gateway().await;
    replay(&mut gateway.client().await, "main", &made, PLAIN).await;
    assert_eq!(world.ledger(&made.reference_code).await.received, 1);
}

#[tokio::test]
async fn two_names_of_one_user_id_are_refused_before_anything_starts() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let url = format!("http://127.0.0.1:{}/", world.sandbox_port);
    world
        .set("default_account", "main")
        .set("accounts.second.url", &url)
        .set("accounts.second.userid", "TEST-member")
        .set("accounts.second.pin", CANARY_PIN);
    let told = refused(&world, &["serve", "--check"]).await;
    assert!(
        told.contains("accounts.second.userid: it is the user id of account main"),
        "{told}"
    );
}

async fn a_changed_user_id_is_refused_until_it_is_stated(kind: StoreKind) {
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
        let told = refused(&world, &["serve"]).await;
        assert!(
            told.contains("store change-userid --account main"),
            "{told}"
        );
        // Without confirmation it only shows what it would do.
        let told = refused(&world, &command).await;
        assert!(told.contains("add --yes"), "{told}");
    }
    let told = done(&world, &confirmed).await;
    assert!(told.contains("changed: "), "{told}");
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
        let told = refused(&world, &["serve"]).await;
        assert!(told.contains("account:main"), "{told}");
    }
}

/// A check under another user id may be answered "never received", of a purchase that was.
async fn a_user_id_is_not_changed_while_transactions_are_open(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let pending = buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    assert_eq!(pending.state(), State::Pending);
    gateway.process.kill().await;
    world.set("accounts.main.userid", "new-member");
    let command = ["store", "change-userid", "--account", "main", "--yes"];
    let told = refused(&world, &command).await;
    assert!(
        told.contains("whose outcome is open: 1") && told.contains("--despite-open"),
        "{told}"
    );
    refused(&world, &["serve"]).await;
    let told = done(&world, &[&command[..], &["--despite-open"]].concat()).await;
    assert!(told.contains("changed: "), "{told}");
    world.start_gateway().await;
}

/// A gateway with the old user id may buy while one with the new user id makes the checks.
async fn a_user_id_is_not_changed_while_codes_prove_that_nothing_was_bought(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    gateway.process.kill().await;
    world.set("accounts.main.userid", "new-member");
    let command = ["store", "change-userid", "--account", "main", "--yes"];
    world.set("accounts.main.not_received_codes", "400");
    let told = refused(&world, &command).await;
    assert!(
        told.contains("accounts.main.not_received_codes: ")
            && told.contains("every gateway's configuration")
            && told.contains("--despite-open"),
        "{told}"
    );
    world.set("accounts.main.failed_codes", "299");
    let told = refused(&world, &command).await;
    assert!(
        told.contains("accounts.main.not_received_codes and accounts.main.failed_codes: "),
        "{told}"
    );
    let told = done(&world, &[&command[..], &["--despite-open"]].concat()).await;
    assert!(told.contains("changed: "), "{told}");
    let told = done(&world, &command).await;
    assert!(told.contains("nothing is changed"), "{told}");
}

/// Overwrites the record of a transaction with text that is none.
async fn damage(redis: &Redis, transaction: &CoreTransaction) {
    let mut keys = redis::cmd("KEYS");
    keys.arg(format!("okb:*:tx:{}", transaction.key()));
    let mut connection = redis.connection().await;
    let found: Vec<String> = keys.query_async(&mut connection).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    redis.command(&["HSET", &found[0], "body", "{}"]).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other_open_transaction() {
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
async fn a_record_that_cannot_be_read_counts_as_open_when_a_user_id_is_changed() {
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
    let told = refused(&world, &command).await;
    assert!(
        told.contains("whose outcome is open: 0")
            && told.contains("they count as open: 1 (")
            && told.contains("--despite-open"),
        "{told}"
    );
    let told = done(&world, &[&command[..], &["--despite-open"]].concat()).await;
    assert!(told.contains("changed: "), "{told}");
}

fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

fn identity(account: &str, hash: &str) -> Identity {
    Identity {
        accounts: BTreeMap::from([(name(account), hash.to_owned())]),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    }
}

fn redis_settings(redis: &Redis) -> RedisSettings {
    RedisSettings {
        url: redis.url.clone(),
        partitions: 8,
        timeout: std::time::Duration::from_secs(30),
        event_retention: SignedDuration::from_hours(1),
    }
}

#[tokio::test]
async fn gateways_that_start_at_once_agree_on_one_name_for_a_user_id() {
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

/// Redis loses its identity, and the running gateways write again what they know of it.
#[tokio::test]
async fn an_identity_that_is_gone_is_written_again_with_the_next_verification() {
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
    // A gateway that knows less comes first.
    drop(open(&identity("main", "one")).await.unwrap());
    let seen = running.account_names().await.unwrap();
    assert!(!seen.is_whole && seen.names.len() == 1);
    let (one, two) = tokio::join!(running.verify(), other.verify());
    one.and(two).unwrap();
    for store in [&running, &other] {
        let seen = store.account_names().await.unwrap();
        assert_eq!((seen.names, seen.is_whole), (known.clone(), true));
    }

    // A gateway with another identity comes first.
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
    // What an operator changes while gateways run is none.
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

async fn the_user_id_of_another_account_cannot_be_taken(kind: StoreKind) {
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
                "nothing was written without confirmation"
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
                "nothing was written without confirmation"
            );
            assert_eq!(store.account_names().await.unwrap().names, known);
            assert!(open(&both).await.is_err());
            assert!(open(&identity("main", "three")).await.is_ok());
        }
    }
}

/// A second account whose sandbox, on that port, makes no callback of its own accord.
async fn add_second(world: &mut World, port: u16) -> Process {
    let sandbox = world.sandbox_with(port, "second-member", &[]).await;
    world
        .set("default_account", "main")
        .set("accounts.second.url", &format!("http://127.0.0.1:{port}/"))
        .set("accounts.second.userid", "second-member")
        .set("accounts.second.pin", CANARY_PIN);
    sandbox
}

async fn buy_of_second(gateway: &Gateway, code: &str, number: &str) -> Transaction {
    let mut request = order(code, number);
    request.account = "second".into();
    let answer = gateway.client().await.purchase_prepaid(request).await;
    bought(answer.unwrap().into_inner())
}

const PASSED_OVER: &str = "status check passed over";

/// Waits for the report of one open transaction of the account `second`.
async fn until_reported(gateway: &mut Gateway) {
    gateway
        .process
        .line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let text = line.to_string();
            let is_it = text.contains("open transactions of an account that is not configured")
                && line["level"] == "WARN"
                && line["account"] == "second"
                && line["count"] == 1;
            is_it.then_some(())
        })
        .await;
}

/// Waits until the gauge of such transactions has a value in a state.
async fn until_counted(gateway: &Gateway, state: &str, wanted: &str) {
    let series = format!("okebayar_transaction_unconfigured_account{{state=\"{state}\"");
    let counted = async {
        loop {
            let url = format!("http://{}/metrics", gateway.admin);
            let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
            let line = metrics.lines().find(|line| line.starts_with(&series));
            if line.is_some_and(|line| line.ends_with(&format!(" {wanted}"))) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted)
        .await
        .unwrap_or_else(|_| panic!("{state} never came to {wanted}"));
}

async fn what_nobody_can_check_ends_in_review(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let _second = add_second(&mut world, ports::free()).await;
    world
        .set("telemetry.census_interval", "100ms")
        .set("checks.pending_first", "2s")
        .set("checks.give_up_after", "20s")
        .set("checks.unconfigured_grace", "300ms");
    let mut gateway = world.start_gateway().await;
    until_counted(&gateway, "PENDING", "0").await;
    let code = reference();
    let pending = buy_of_second(&gateway, &code, PENDING_FOR_EVER).await;
    assert_eq!(pending.state(), State::Pending);
    gateway.process.kill().await;

    world.remove_account("second");
    let mut gateway = world.start_gateway().await;
    until_reported(&mut gateway).await;
    until_counted(&gateway, "PENDING", "1").await;
    let ended = gateway
        .until(&code, |one| one.state() == State::NeedsReview)
        .await;
    assert_eq!(ended.reason(), Reason::ChecksExhausted);
    assert!(!ended.safe_to_refund && !ended.safe_to_buy_again);
    until_counted(&gateway, "PENDING", "0").await;
    until_counted(&gateway, "NEEDS_REVIEW", "1").await;
}

async fn checks_go_on_when_the_account_returns(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let _second = add_second(&mut world, ports::free()).await;
    // Long enough that the first gateway makes no check before it is gone.
    world
        .set("checks.pending_first", "5s")
        .set("checks.unconfigured_grace", "300ms");
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let pending = buy_of_second(&gateway, &code, CALLBACK_LOST).await;
    assert_eq!(pending.state(), State::Pending);
    gateway.process.kill().await;

    let account = world.remove_account("second");
    let mut gateway = world.start_gateway().await;
    gateway
        .process
        .line(|line| line.contains(PASSED_OVER).then_some(()))
        .await;
    gateway.process.kill().await;

    for (leaf, value) in account {
        world.set(&format!("accounts.second.{leaf}"), &value);
    }
    let gateway = world.start_gateway().await;
    assert_succeeded(&gateway.until_final(&code).await);
}

#[tokio::test]
async fn a_gateway_without_the_account_keeps_no_check_from_one_that_has_it() {
    let mut world = World::new(StoreKind::Redis).await;
    let port = ports::free();
    let _second = add_second(&mut world, port).await;
    let has_it = world.start_gateway().await;
    world.remove_account("second");
    let lacks_it = world.start_replica().await;
    let code = reference();
    let pending = buy_of_second(&has_it, &code, PENDING_FOR_EVER).await;
    assert_eq!(pending.state(), State::Pending);
    // Each check that falls due is seen by both. The sandbox waits for the count.
    let url = format!("http://127.0.0.1:{port}/ledger/{code}?checks=12");
    let entry = reqwest::get(url).await.unwrap().text().await.unwrap();
    let entry: Value = serde_json::from_str(&entry).unwrap();
    assert!(entry["checks"].as_u64().unwrap() >= 12, "{entry}");
    assert!(!lacks_it.process.text().contains(PASSED_OVER));
}

on_both_stores!(
    a_renamed_account_is_refused_without_its_former_name,
    a_renamed_account_goes_on_with_its_transactions,
    a_rename_is_taken_back_as_explicitly,
    a_changed_user_id_is_refused_until_it_is_stated,
    a_user_id_is_not_changed_while_transactions_are_open,
    a_user_id_is_not_changed_while_codes_prove_that_nothing_was_bought,
    the_user_id_of_another_account_cannot_be_taken,
    what_nobody_can_check_ends_in_review,
    checks_go_on_when_the_account_returns,
);
