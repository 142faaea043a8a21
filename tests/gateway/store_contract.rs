//! One suite for every store: the contract at the head of `src/store/mod.rs`.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    store::{
        BoundedList, CasResult, Claim, Commit, Cursor, DueCheck, Event, Events, Expiry, History,
        Identity, LIST_MAX, Lease, Listing, ListingEntry, Notification, Store, claim,
        inbox::{self, Orphan, OrphanCheck},
        redb::RedbStore,
        redis::{RedisSettings, RedisStore},
    },
    transaction::{
        AccountName, AccountNames, AttemptToken, Change, Finding, LeaseToken, ReferenceCode,
        Source, Statement, TraceCode, Transaction, TransactionKey,
    },
};

use crate::support::{
    core::{RULES, arming, at, begin, schedule, wish},
    on_both_stores,
    process::PATIENCE,
    redis::Redis,
    world::StoreKind,
};

/// A store, and what must live as long as it.
pub struct Opened {
    pub store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
    _redis: Option<Redis>,
}

pub fn identity() -> Identity {
    Identity {
        accounts: BTreeMap::from([(account(), "hash".to_owned())]),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    }
}

fn account() -> AccountName {
    AccountName::parse("main").unwrap()
}

pub async fn open_redis(url: &str, event_retention: SignedDuration) -> RedisStore {
    let settings = RedisSettings {
        url: url.to_owned(),
        partitions: 8,
        timeout: Duration::from_secs(30),
        event_retention,
    };
    RedisStore::open(settings, &identity()).await.unwrap()
}

pub async fn open_redb(folder: &Path) -> RedbStore {
    RedbStore::open(&folder.join("store.redb"), &identity())
        .await
        .unwrap()
}

pub async fn open(kind: StoreKind) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    match kind {
        StoreKind::Embedded => {
            let store = Arc::new(open_redb(folder.path()).await);
            Opened {
                store,
                _folder: folder,
                _redis: None,
            }
        }
        StoreKind::Redis => {
            let redis = Redis::start(folder.path()).await;
            let store =
                Arc::new(open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await);
            Opened {
                store,
                _folder: folder,
                _redis: Some(redis),
            }
        }
    }
}

fn pending(from: &Transaction, seconds: i64) -> Change {
    let said = Statement::bare(Source::Answer, Finding::Pending);
    from.observe([said], at(seconds), &schedule()).unwrap()
}

async fn done(store: &dyn Store, change: &Change) {
    assert!(matches!(
        store.commit(change, None).await.unwrap(),
        Commit::Done
    ));
}

async fn a_change_is_stored_only_over_the_version_it_was_made_from(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let first = begin(1);
    let key = first.transaction.key();
    assert!(store.load(&key).await.unwrap().is_none());
    let second = pending(&first.transaction, 1);
    assert!(matches!(
        store.commit(&second, None).await.unwrap(),
        Commit::Conflict(None)
    ));

    done(store, &first).await;
    assert_eq!(store.load(&key).await.unwrap().unwrap(), first.transaction);
    let again = store.commit(&first, None).await.unwrap();
    assert!(matches!(again, Commit::Conflict(Some(stored)) if stored == first.transaction));

    done(store, &second).await;
    let stale = first.transaction.observe_check(None, at(2), &schedule());
    let conflict = store.commit(&stale, None).await.unwrap();
    assert!(matches!(conflict, Commit::Conflict(Some(stored)) if stored == second.transaction));
    assert_eq!(store.load(&key).await.unwrap().unwrap(), second.transaction);
}

/// After a loss the record of another attempt may stand where ours did.
async fn a_change_is_not_stored_over_another_attempt(kind: StoreKind) {
    let opened = open(kind).await;
    let (intent, order) = wish("reference-1", "PULSA10");
    let attempt = |number| {
        let token = AttemptToken::new(uuid::Uuid::from_u128(number));
        let (intent, order) = (intent.clone(), order.clone());
        Transaction::begin(intent, order, arming(token, 0), RULES, &schedule())
    };
    let (ours, theirs) = (attempt(1), attempt(2));
    done(&*opened.store, &theirs).await;
    let change = pending(&ours.transaction, 1);
    let conflict = opened.store.commit(&change, None).await.unwrap();
    assert!(matches!(conflict, Commit::Conflict(Some(stored)) if stored == theirs.transaction));
    done(&*opened.store, &pending(&theirs.transaction, 1)).await;
}

async fn one_of_many_claims_wins(kind: StoreKind) {
    let opened = open(kind).await;
    let (intent, order) = wish("reference-1", "PULSA10");
    let claims = (0..50_u128).map(|number| {
        let store = Arc::clone(&opened.store);
        let (intent, order) = (intent.clone(), order.clone());
        let token = AttemptToken::new(uuid::Uuid::from_u128(100 + number));
        let change = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
        tokio::spawn(async move {
            let history = store.epoch(None).await.unwrap();
            (token, claim(&*store, change, &history).await.unwrap())
        })
    });
    let (mut won, mut taken) = (Vec::new(), Vec::new());
    for claimed in claims.collect::<Vec<_>>() {
        match claimed.await.unwrap() {
            (own, Claim::Won(permit)) => {
                assert_eq!(permit.transaction().token(), own);
                won.push(own);
            }
            (_, Claim::Taken(transaction)) => taken.push(transaction.token()),
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!((won.len(), taken.len()), (1, 49));
    assert!(taken.iter().all(|token| *token == won[0]));
}

async fn history_is_complete_and_in_order(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let first = begin(1);
    let second = pending(&first.transaction, 1);
    let third = second.transaction.observe_check(None, at(400), &schedule());
    let said = Statement::bare(Source::Check, Finding::Succeeded);
    let fourth = third
        .transaction
        .observe_check(Some(said), at(800), &schedule());
    assert_eq!(
        [
            first.is_event,
            second.is_event,
            third.is_event,
            fourth.is_event
        ],
        [true, true, false, true]
    );
    for change in [&first, &second, &third, &fourth] {
        done(store, change).await;
    }
    let key = first.transaction.key();
    for after in 0..=4_u64 {
        let History::Complete(events) = store.history(&key, after).await.unwrap() else {
            panic!("nothing was trimmed")
        };
        let revisions: Vec<u64> = events.iter().map(|event| event.revision()).collect();
        assert_eq!(
            revisions,
            (after + 1..=3).collect::<Vec<_>>(),
            "after {after}"
        );
    }
}

/// Returns what is due for the account of these tests.
pub async fn due(store: &dyn Store, now: Timestamp) -> Vec<TransactionKey> {
    let due = store.due(now, &[account()], 100).await.unwrap();
    due.checks.into_iter().map(|check| check.key).collect()
}

fn check_of(transaction: &Transaction) -> DueCheck {
    DueCheck {
        key: transaction.key(),
        account: transaction.account().clone(),
        is_asked: false,
    }
}

fn lease(number: u128, lasts: Duration) -> Lease {
    Lease {
        token: LeaseToken::new(uuid::Uuid::from_u128(number)),
        lasts,
    }
}

/// Past every time of these tests, some of which Redis measures by its own clock.
const LONG: Duration = Duration::from_hours(100_000);

async fn due_is_what_has_come_and_nobody_has_leased(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let changes: Vec<Change> = (1..=20).map(begin).collect();
    for change in &changes {
        done(store, change).await;
    }
    let first = &changes[0].transaction;
    let (check, due_at) = (check_of(first), first.due_at().unwrap());
    let before = due_at - SignedDuration::from_millis(1);
    assert_eq!(due(store, before).await, []);
    assert_eq!(due(store, due_at).await.len(), 20);
    let few = store.due(due_at, &[account()], 7).await.unwrap();
    assert_eq!((few.checks.len(), few.count), (7, 20));
    assert!(few.checks.iter().all(|check| !check.is_asked));
    let other = AccountName::parse("other").unwrap();
    assert_eq!(store.due(due_at, &[other], 7).await.unwrap().count, 0);
    assert_eq!(store.due(due_at, &[], 7).await.unwrap().count, 0);

    let acquire = async |now, lease| store.lease_check(&check, now, lease).await.unwrap();
    assert!(acquire(before, lease(1, LONG)).await.is_none(), "not due");
    assert_eq!(acquire(due_at, lease(1, LONG)).await.unwrap(), *first);
    assert!(acquire(due_at, lease(2, LONG)).await.is_none(), "leased");
    assert!(!due(store, due_at).await.contains(&check.key));

    let said = Statement::bare(
        Source::Answer,
        Finding::Failed(okebayar_gateway::transaction::FailureReason::Cancelled),
    );
    let settled = first.observe([said], at(1), &schedule()).unwrap();
    done(store, &settled).await;
    assert!(
        !due(store, Timestamp::MAX).await.contains(&check.key),
        "a final one is never due"
    );
}

async fn a_lease_ends_by_its_holder_or_by_time_and_by_no_other_commit(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let first = begin(1).transaction;
    done(store, &begin(1)).await;
    let (check, due_at) = (check_of(&first), first.due_at().unwrap());
    let acquire = async |lease| store.lease_check(&check, due_at, lease).await.unwrap();
    let held = lease(1, LONG);
    assert!(acquire(held).await.is_some());

    // Callbacks about it, and one that is final: all while the check is being made.
    let report = Statement::bare(Source::Callback, Finding::Reported);
    let asked = first
        .observe_report(report, false, at(1), &schedule())
        .unwrap();
    done(store, &asked).await;
    assert_eq!(due(store, due_at).await, []);
    assert!(acquire(lease(2, LONG)).await.is_none());
    // Another lease than the one that is held releases nothing.
    let pending = pending(&asked.transaction, 2).releasing(lease(2, LONG).token);
    done(store, &pending).await;
    assert_eq!(due(store, due_at).await, []);
    assert!(acquire(lease(2, LONG)).await.is_none());

    let began = &first;
    let ended = pending
        .transaction
        .observe_check_since(began, None, at(3), &schedule())
        .releasing(held.token);
    done(store, &ended).await;
    let found = store.due(due_at, &[account()], 10).await.unwrap();
    assert_eq!(found.checks.len(), 1, "the callback asked for another one");
    assert!(found.checks[0].is_asked);

    // A holder that dies.
    let short = lease(3, Duration::from_millis(200));
    assert!(acquire(short).await.is_some());
    let runs_out = async {
        while acquire(lease(4, LONG)).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, runs_out)
        .await
        .expect("the lease never ends");
    // The first holder comes back too late: the lease is another's.
    let late = ended
        .transaction
        .observe_check(None, at(4), &schedule())
        .releasing(short.token);
    done(store, &late).await;
    assert!(acquire(lease(5, LONG)).await.is_none());
}

async fn what_was_asked_for_is_due_before_what_was_scheduled(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    for seed in 1..=20 {
        done(store, &begin(seed)).await;
    }
    let now = at(200);
    let report = Statement::bare(Source::Callback, Finding::Reported);
    let asked = begin(7)
        .transaction
        .observe_report(report, false, now, &schedule())
        .unwrap();
    done(store, &asked).await;
    let found = store.due(now, &[account()], 5).await.unwrap();
    assert_eq!(found.count, 20);
    assert_eq!(found.checks[0].key, asked.transaction.key());
    let asked_for = found.checks.iter().map(|check| check.is_asked);
    assert_eq!(asked_for.filter(|is_asked| *is_asked).count(), 1);
}

async fn a_gateway_without_the_account_meets_no_backlog_of_it(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    for seed in 1..=20 {
        done(store, &begin(seed)).await;
    }
    let ours = [AccountName::parse("other").unwrap()];
    let now = at(200);
    assert_eq!(store.due(now, &ours, 5).await.unwrap().checks, []);
    let unindexed = store.unindexed(now, &ours, 0).await.unwrap();
    assert_eq!((unindexed.keys.len(), unindexed.is_last), (20, true));
    let unindexed = store.unindexed(now, &[account()], 0).await.unwrap();
    assert_eq!((unindexed.keys.len(), unindexed.is_last), (0, true));
}

#[tokio::test]
async fn lease_written_by_a_clock_that_was_ahead_ends_after_a_failover() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await;
    let first = begin(1).transaction;
    done(&store, &begin(1)).await;
    let (check, due_at) = (check_of(&first), first.due_at().unwrap());
    let acquire = async |lease| store.lease_check(&check, due_at, lease).await.unwrap();
    let minute = Duration::from_mins(1);
    assert!(acquire(lease(1, minute)).await.is_some());
    assert!(acquire(lease(2, minute)).await.is_none());

    // The clock of the promoted server is a day behind.
    let record = format!(
        "okb:{{{}}}:tx:{}",
        store.partition_of(&check.key),
        check.key
    );
    let day = Duration::from_hours(24).as_millis().to_string();
    let put_ahead = ["HINCRBY", &record, "lease_ends", &day];
    redis.command(&put_ahead).await;
    let reported = first
        .observe_report(
            Statement::bare(Source::Callback, Finding::Reported),
            false,
            at(1),
            &schedule(),
        )
        .unwrap();
    done(&store, &reported).await;
    assert_eq!(due(&store, due_at).await, std::slice::from_ref(&check.key));
    assert!(acquire(lease(2, minute)).await.is_some());
    assert!(acquire(lease(3, minute)).await.is_none());
    let released = reported
        .transaction
        .observe_check(None, at(4), &schedule())
        .releasing(lease(2, minute).token);
    done(&store, &released).await;
    let left: Vec<Option<String>> = redis::cmd("HMGET")
        .arg(&[&record, "lease", "lease_ends", "lease_lasts"])
        .query_async(&mut redis.connection().await)
        .await
        .unwrap();
    assert_eq!(left, [None, None, None], "nothing of it stays");
}

/// The release before the leases commits to the complete index alone.
#[tokio::test]
async fn what_an_earlier_release_stored_is_found_and_its_leases_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await;
    let first = begin(1).transaction;
    done(&store, &begin(1)).await;
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut each_partition = async |command: &str, index: &str, more: &[String]| {
        let mut changed = 0;
        for partition in 0..8 {
            let mut asked = redis::cmd(command);
            asked.arg(format!("okb:{{{partition}}}:{index}")).arg(more);
            let count: i64 = asked.query_async(&mut connection).await.unwrap();
            changed += count;
        }
        changed
    };
    let (check, due_at) = (check_of(&first), first.due_at().unwrap());
    let member = check.key.to_string();

    // It made the check due earlier than the index of the account says.
    let late = ["XX", "CH", "9000000000000", &member].map(str::to_owned);
    assert_eq!(each_partition("ZADD", "due:main", &late).await, 1);
    let ours = [account()];
    let unindexed = store.unindexed(due_at, &ours, 0).await.unwrap();
    assert_eq!(unindexed.keys, std::slice::from_ref(&check.key));
    // It stored the transaction.
    let members = std::slice::from_ref(&member);
    assert_eq!(each_partition("ZREM", "due:main", members).await, 1);
    assert_eq!(due(&store, due_at).await, []);
    let unindexed = store.unindexed(due_at, &ours, 0).await.unwrap();
    assert_eq!(unindexed.keys, std::slice::from_ref(&check.key));
    let held = store.lease_check(&check, due_at, lease(1, LONG)).await;
    assert!(held.unwrap().is_some());

    // It makes the check due by a commit, although it is leased here.
    let early = ["XX", "CH", "1000", &member].map(str::to_owned);
    assert_eq!(each_partition("ZADD", "due", &early).await, 1);
    let other = store.lease_check(&check, due_at, lease(2, LONG)).await;
    assert!(other.unwrap().is_none());
    let unindexed = store.unindexed(due_at, &[], 0).await.unwrap();
    assert_eq!(unindexed.keys, [], "the lease counts again");
}

async fn a_trace_code_finds_its_transaction(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let key = begin(1).transaction.key();
    let trace_code = TraceCode::parse("trace-1").unwrap();
    assert_eq!(
        store.find_by_trace(&account(), &trace_code).await.unwrap(),
        None
    );
    store
        .index_trace(&key, &account(), &trace_code)
        .await
        .unwrap();
    assert_eq!(
        store.find_by_trace(&account(), &trace_code).await.unwrap(),
        Some(key)
    );
    let other = AccountName::parse("other").unwrap();
    assert_eq!(
        store.find_by_trace(&other, &trace_code).await.unwrap(),
        None
    );
}

async fn orphans_are_bounded_newest_first(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let orphan = |number: usize| Orphan {
        account: account(),
        reference_code: format!("unknown-{number}"),
        status: "000".into(),
        at: at(0),
    };
    let count = LIST_MAX + 5;
    for number in 0..count {
        inbox::add_orphan(store, &orphan(number)).await.unwrap();
    }
    let kept = inbox::orphans(store, 0, LIST_MAX).await.unwrap();
    assert_eq!(kept.len(), LIST_MAX);
    assert_eq!(
        (&kept[0], &kept[LIST_MAX - 1]),
        (&orphan(count - 1), &orphan(5))
    );
    assert_eq!(
        store.items(BoundedList::Notices).await.unwrap(),
        Vec::<String>::new()
    );
}

async fn a_note_is_written_only_over_what_was_seen(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let keep = Expiry {
        now: Timestamp::MIN,
        until: Timestamp::MAX,
    };
    let put = async |from: Option<&str>, to| store.put_note("n", from, to, keep).await.unwrap();
    assert_eq!(store.note("n").await.unwrap(), None);
    assert_eq!(put(Some(""), "a").await, CasResult::Conflict(None));
    assert_eq!(put(None, "a").await, CasResult::Done);
    assert_eq!(put(None, "b").await, CasResult::Conflict(Some("a".into())));
    assert_eq!(
        put(Some("b"), "c").await,
        CasResult::Conflict(Some("a".into()))
    );
    assert_eq!(put(Some("a"), "").await, CasResult::Done);
    assert_eq!(
        put(None, "b").await,
        CasResult::Conflict(Some(String::new()))
    );
    assert_eq!(put(Some(""), "b").await, CasResult::Done);
    assert_eq!(store.note("n").await.unwrap().as_deref(), Some("b"));
    assert_eq!(store.note("m").await.unwrap(), None);

    let writers = (0..20).map(|number| {
        let store = Arc::clone(&opened.store);
        let text = number.to_string();
        tokio::spawn(async move { store.put_note("race", None, &text, keep).await.unwrap() })
    });
    let mut done = 0;
    for put in writers.collect::<Vec<_>>() {
        done += usize::from(put.await.unwrap() == CasResult::Done);
    }
    assert_eq!(done, 1);
}

/// Lists one state to its end, a few at a time.
async fn listed(store: &dyn Store, state: &'static str, from: i64) -> Vec<String> {
    let mut after = ListingEntry {
        created_ms: at(1000).as_millisecond(),
        name: String::new(),
    };
    let mut names = Vec::new();
    loop {
        let listing = Listing {
            state,
            from: at(from),
            after: after.clone(),
            limit: 3,
        };
        let found = store.list(&listing).await.unwrap();
        names.extend(found.iter().map(|entry| entry.name.clone()));
        match found.last() {
            Some(last) => after = last.clone(),
            None => return names,
        }
    }
}

async fn a_listing_has_every_transaction_of_its_state_newest_first(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    // Several at the same moment, so that a page ends between two of them.
    let begin_at = |number: u128, seconds| {
        let (intent, order) = wish(&format!("reference-{number:02}"), "PULSA10");
        let token = AttemptToken::new(uuid::Uuid::from_u128(number));
        Transaction::begin(intent, order, arming(token, seconds), RULES, &schedule())
    };
    for number in 0..20 {
        let seconds = i64::try_from(number).unwrap() / 5;
        let first = begin_at(number, seconds);
        done(store, &first).await;
        if number % 2 == 0 {
            done(store, &pending(&first.transaction, 500)).await;
        }
    }
    let names = |numbers: &mut dyn Iterator<Item = u32>| -> Vec<String> {
        numbers
            .map(|number| format!("reference{number:02}"))
            .collect()
    };
    let even = names(&mut (0..20).rev().filter(|number| number % 2 == 0));
    assert_eq!(listed(store, "PENDING", 0).await, even);
    let odd = names(&mut (0..20).rev().filter(|number| number % 2 == 1));
    assert_eq!(listed(store, "SENDING", 0).await, odd);
    let late = names(&mut (10..20).rev().filter(|number| number % 2 == 1));
    assert_eq!(listed(store, "SENDING", 2).await, late);
    assert_eq!(listed(store, "SENDING", 2000).await, Vec::<String>::new());
    assert_eq!(listed(store, "FAILED", 0).await, Vec::<String>::new());
}

async fn next(store: &dyn Store, cursor: &Cursor) -> Vec<Event> {
    match store.events_after(cursor).await.unwrap() {
        Events::Next(events) => events,
        Events::OutOfRange => panic!("everything is kept"),
    }
}

async fn a_cursor_sees_every_event_once_and_each_transaction_in_order(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    done(store, &begin(1000)).await;
    let mut cursor = store.events_head().await.unwrap();
    assert!(
        next(store, &cursor).await.is_empty(),
        "it begins at the end"
    );
    let count = 300;
    for number in 0..count {
        let first = begin(number);
        done(store, &first).await;
        done(store, &pending(&first.transaction, 1)).await;
        // Bookkeeping is no event.
        let checked =
            pending(&first.transaction, 1)
                .transaction
                .observe_check(None, at(500), &schedule());
        assert!(!checked.is_event);
        done(store, &checked).await;
    }
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    loop {
        let events = next(store, &cursor).await;
        if events.is_empty() {
            break;
        }
        // Resumed in the middle of what was read, from a written cursor.
        for event in events.iter().take(7) {
            cursor.advance(event);
            let key = event.transaction.key().to_string();
            seen.entry(key)
                .or_default()
                .push(event.transaction.revision());
        }
        cursor = Cursor::decode(&cursor.encode()).unwrap();
    }
    assert_eq!(seen.len(), usize::try_from(count).unwrap());
    assert!(seen.values().all(|revisions| *revisions == [1, 2]));
    assert_eq!(cursor, store.events_head().await.unwrap());

    let mut elsewhere = cursor.clone();
    elsewhere.epoch.push('x');
    let mut ahead = cursor.clone();
    ahead
        .positions
        .iter_mut()
        .for_each(|position| position.number += 1);
    let mut other_shape = cursor;
    other_shape.positions.push(other_shape.positions[0]);
    for cursor in [elsewhere, ahead, other_shape] {
        let events = store.events_after(&cursor).await.unwrap();
        assert!(matches!(events, Events::OutOfRange), "{cursor:?}");
    }
}

async fn events_are_read_of_the_asked_partitions_only(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let start = store.events_head().await.unwrap();
    let changes: Vec<Change> = (1..=40).map(begin).collect();
    let mut written: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for change in &changes {
        done(store, change).await;
        let key = change.transaction.key();
        let partition = store.partition_of(&key);
        assert!(partition < start.positions.len());
        written.entry(partition).or_default().push(key.to_string());
    }
    for (partition, keys) in &written {
        let mut cursor = start.clone();
        let mut read = Vec::new();
        loop {
            let Events::Next(events) = store.events_in(&cursor, &[*partition]).await.unwrap()
            else {
                panic!("everything is kept")
            };
            if events.is_empty() {
                break;
            }
            for event in &events {
                assert_eq!(event.partition, *partition);
                cursor.advance(event);
                read.push(event.transaction.key().to_string());
            }
        }
        assert_eq!(&read, keys);
    }
    let Events::Next(none) = store.events_in(&start, &[]).await.unwrap() else {
        panic!("nothing is asked")
    };
    assert!(none.is_empty());
}

async fn subscription_is_reported_before_the_first_change(kind: StoreKind) {
    let opened = open(kind).await;
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let store = Arc::clone(&opened.store);
    let listening = tokio::spawn(async move {
        let wake = |news: Notification| tell.send(news).unwrap();
        store.listen(&wake).await
    });
    assert_eq!(heard.recv().await, Some(Notification::Listening));
    let first = begin(1);
    done(&*opened.store, &first).await;
    if kind == StoreKind::Redis {
        let key = first.transaction.key();
        assert_eq!(heard.recv().await, Some(Notification::Change(key, 1)));
    }
    listening.abort();
}

/// Behind the same address there may be another server by now.
#[tokio::test]
async fn a_server_that_refuses_writes_is_left_with_its_subscription_at_most_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let store = Arc::new(store);
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listener = Arc::clone(&store);
    let listening = tokio::spawn(async move {
        let wake = |news: Notification| drop(tell.send(news));
        listener.listen(&wake).await
    });
    assert_eq!(heard.recv().await, Some(Notification::Listening));
    let mut connection = redis.connection().await;
    let mut connections = async || {
        let mut info = redis::cmd("INFO");
        info.arg("stats");
        let stats: String = info.query_async(&mut connection).await.unwrap();
        let count = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    };
    let refuse = ["CONFIG", "SET", "min-replicas-to-write", "1"];
    redis.command(&refuse).await;
    let (before, began) = (connections().await, Instant::now());
    let refused = async || {
        let error = store.verify().await.unwrap_err();
        assert!(error.to_string().contains("NOREPLICAS"), "{error}");
    };
    let left = async {
        while !listening.is_finished() {
            refused().await;
        }
    };
    tokio::time::timeout(PATIENCE, left)
        .await
        .expect("the subscription stays with it");
    listening.await.unwrap().unwrap();
    for _ in 0..300 {
        refused().await;
    }
    let made = connections().await - before;
    let seconds = began.elapsed().as_secs();
    assert!(made >= 1, "the connection was not left");
    assert!(made <= seconds + 2, "{made} connections in {seconds} s");

    let accept = ["CONFIG", "SET", "min-replicas-to-write", "0"];
    redis.command(&accept).await;
    store.verify().await.unwrap();
}

async fn an_orphan_is_checked_by_one_and_again_only_if_that_brought_nothing(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let reference = |text| ReferenceCode::parse(text).unwrap();
    let (code, spelt) = (reference("ORDER-0001"), reference("order0001"));
    let claim = async |code: &ReferenceCode, seconds| {
        inbox::claim_orphan_check(store, &account(), code, at(seconds))
            .await
            .unwrap()
    };
    let keep = async |claim: &str, check: &OrphanCheck| {
        inbox::keep_orphan_check(store, &account(), &code, claim, check)
            .await
            .unwrap();
    };
    let orphan = Orphan {
        account: account(),
        reference_code: "Order-0001".into(),
        status: "000".into(),
        at: at(0),
    };
    let known = async || inbox::orphan_check(store, &orphan).await.unwrap();
    let first = claim(&code, 0).await.expect("nobody asked before");
    assert_eq!(known().await, None, "it is being asked");
    assert_eq!(claim(&spelt, 1).await, None, "in any spelling");
    let nothing = OrphanCheck {
        at: at(2),
        status: None,
        problem: Some("timed_out".into()),
    };
    keep(&first, &nothing).await;
    assert_eq!(known().await, Some(nothing));
    assert_eq!(claim(&code, 61).await, None, "not at once");
    let second = claim(&code, 62).await.expect("the first brought nothing");
    let answered = OrphanCheck {
        at: at(63),
        status: Some("000".into()),
        problem: None,
    };
    keep(&second, &answered).await;
    // The one that was overtaken changes nothing.
    keep(
        &first,
        &OrphanCheck {
            at: at(64),
            ..answered.clone()
        },
    )
    .await;
    assert_eq!(known().await, Some(answered));
    assert_eq!(claim(&code, 100_000).await, None, "it is known");
}

#[tokio::test]
async fn a_cursor_before_what_is_kept_is_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await;
    let start = store.events_head().await.unwrap();
    let first = begin(1);
    done(&store, &first).await;
    let middle = store.events_head().await.unwrap();
    done(&store, &pending(&first.transaction, 1)).await;
    let trimmed = async |length: usize| {
        let client = redis::Client::open(redis.url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        for partition in 0..8 {
            let mut trim = redis::cmd("XTRIM");
            trim.arg(format!("okb:{{{partition}}}:events"))
                .arg("MAXLEN")
                .arg(length);
            trim.query_async::<i64>(&mut connection).await.unwrap();
        }
    };
    trimmed(1).await;
    let events = store.events_after(&start).await.unwrap();
    assert!(matches!(events, Events::OutOfRange));
    assert_eq!(next(&store, &middle).await.len(), 1, "that one is kept");
    trimmed(0).await;
    let events = store.events_after(&middle).await.unwrap();
    assert!(matches!(events, Events::OutOfRange));
    let end = store.events_head().await.unwrap();
    assert!(next(&store, &end).await.is_empty());
}

#[tokio::test]
async fn notes_past_their_time_make_room_in_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_redb(folder.path()).await;
    let keep = |now, until| Expiry {
        now: at(now),
        until: at(until),
    };
    store.put_note("old", None, "a", keep(0, 10)).await.unwrap();
    store
        .put_note("new", None, "b", keep(5, 100))
        .await
        .unwrap();
    assert_eq!(store.note("old").await.unwrap().as_deref(), Some("a"));
    store
        .put_note("third", None, "c", keep(11, 100))
        .await
        .unwrap();
    assert_eq!(store.note("old").await.unwrap(), None);
    assert_eq!(store.note("new").await.unwrap().as_deref(), Some("b"));
}

#[tokio::test]
async fn the_embedded_store_keeps_everything_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second);
    {
        let store = open_redb(folder.path()).await;
        first = begin(1);
        second = pending(&first.transaction, 1);
        done(&store, &first).await;
        done(&store, &second).await;
    }
    let store = open_redb(folder.path()).await;
    let key = first.transaction.key();
    assert_eq!(store.load(&key).await.unwrap().unwrap(), second.transaction);
    assert_eq!(
        due(&store, Timestamp::MAX).await,
        std::slice::from_ref(&key)
    );
    assert!(
        matches!(store.history(&key, 0).await.unwrap(), History::Complete(all) if all.len() == 2)
    );
}

#[tokio::test]
async fn a_trimmed_history_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await;
    let first = begin(1);
    done(&store, &first).await;
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for partition in 0..8 {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(format!("okb:{{{partition}}}:events"))
            .arg("MAXLEN")
            .arg(0);
        trim.query_async::<i64>(&mut connection).await.unwrap();
    }
    let second = pending(&first.transaction, 1);
    done(&store, &second).await;
    let key = first.transaction.key();
    assert!(matches!(
        store.history(&key, 0).await.unwrap(),
        History::Trimmed
    ));
    assert!(
        matches!(store.history(&key, 1).await.unwrap(), History::Complete(all) if all.len() == 1)
    );
}

#[tokio::test]
async fn every_key_of_one_commit_lies_in_one_slot() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let first = begin(1);
    done(&store, &first).await;
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("okb:{*")
        .query_async(&mut connection)
        .await
        .unwrap();
    let tag = |key: &String| key.split_once('}').map(|(tag, _)| tag.to_owned());
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert!(keys.iter().all(|key| tag(key) == tag(&keys[0])), "{keys:?}");
    // The partition is fixed by design: SHA-256(reference) mod 8.
    let digest = <sha2::Sha256 as sha2::Digest>::digest(b"reference1");
    let partition = u64::from_be_bytes(digest[..8].try_into().unwrap()) % 8;
    assert_eq!(tag(&keys[0]).unwrap(), format!("okb:{{{partition}"));
}

#[tokio::test]
async fn a_cursor_of_the_old_partitioning_is_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let now = store.events_head().await.unwrap();
    let read = store.events_after(&now).await.unwrap();
    assert!(matches!(read, Events::Next(_)));
    // Schema 2 named its epoch by the replication id alone.
    let replication_id = now.epoch.strip_prefix("3:").unwrap().to_owned();
    let old = Cursor {
        epoch: replication_id,
        ..now
    };
    let read = store.events_after(&old).await.unwrap();
    assert!(matches!(read, Events::OutOfRange));
}

on_both_stores!(
    a_change_is_stored_only_over_the_version_it_was_made_from,
    a_change_is_not_stored_over_another_attempt,
    one_of_many_claims_wins,
    history_is_complete_and_in_order,
    due_is_what_has_come_and_nobody_has_leased,
    a_lease_ends_by_its_holder_or_by_time_and_by_no_other_commit,
    what_was_asked_for_is_due_before_what_was_scheduled,
    a_gateway_without_the_account_meets_no_backlog_of_it,
    a_trace_code_finds_its_transaction,
    orphans_are_bounded_newest_first,
    a_note_is_written_only_over_what_was_seen,
    a_listing_has_every_transaction_of_its_state_newest_first,
    a_cursor_sees_every_event_once_and_each_transaction_in_order,
    events_are_read_of_the_asked_partitions_only,
    subscription_is_reported_before_the_first_change,
    an_orphan_is_checked_by_one_and_again_only_if_that_brought_nothing,
);
