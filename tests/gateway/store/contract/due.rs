//! The contract of due checks and their leases.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    store::Store,
    transaction::{AccountName, Change, FailureReason, Finding, Source, Statement},
};

use super::{LONG, account, check_of, done, due, lease, on_each_store, open, open_redis, pending};
use crate::support::{
    core::{at, begin, schedule},
    process::PATIENCE,
    redis::Redis,
    world::StoreKind,
};

async fn due_lists_only_due_unleased_checks(kind: StoreKind) {
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
    let others = store.due(due_at, &[other], 7).await.unwrap();
    assert_eq!((others.count, others.is_any_due), (0, true));
    let of_none = store.due(due_at, &[], 7).await.unwrap();
    assert_eq!((of_none.count, of_none.is_any_due), (0, true));
    assert!(few.is_any_due);
    assert!(!store.due(before, &[account()], 7).await.unwrap().is_any_due);

    let acquire = async |now, lease| store.lease_check(&check, now, lease).await.unwrap();
    assert!(acquire(before, lease(1, LONG)).await.is_none(), "not due");
    assert_eq!(acquire(due_at, lease(1, LONG)).await.unwrap(), *first);
    assert!(acquire(due_at, lease(2, LONG)).await.is_none(), "leased");
    assert!(!due(store, due_at).await.contains(&check.key));

    let said = Statement::bare(Source::Answer, Finding::Failed(FailureReason::Cancelled));
    let settled = first.observe([said], at(1), &schedule()).unwrap();
    done(store, &settled).await;
    assert!(
        !due(store, Timestamp::MAX).await.contains(&check.key),
        "a final one is never due"
    );
}

async fn lease_ends_only_by_its_holder_or_by_expiry(kind: StoreKind) {
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

async fn requested_checks_are_due_before_scheduled_ones(kind: StoreKind) {
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

async fn due_omits_checks_of_unconfigured_accounts(kind: StoreKind) {
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
async fn lease_of_fast_clock_expires_after_failover() {
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
async fn records_and_leases_of_earlier_release_are_found() {
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

on_each_store!(
    due_lists_only_due_unleased_checks,
    lease_ends_only_by_its_holder_or_by_expiry,
    requested_checks_are_due_before_scheduled_ones,
    due_omits_checks_of_unconfigured_accounts,
);
