//! The contract of the listing and the trace index.

use std::collections::BTreeSet;

use okebayar_gateway::{
    store::{Listing, ListingEntry, Store},
    transaction::{AccountName, AttemptToken, TraceCode, Transaction},
};

use super::{account, done, on_each_store, open, pending};
use crate::support::{
    core::{RULES, arming, at, begin, schedule, wish},
    world::StoreKind,
};

async fn trace_code_finds_its_transaction(kind: StoreKind) {
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

async fn list_returns_every_transaction_of_state_newest_first(kind: StoreKind) {
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

/// Begins transactions, `count` of them in one partition of the store and one in each other one,
/// which is the oldest of all, and returns their names, newest first.
async fn skewed(store: &dyn Store, count: usize) -> Vec<String> {
    let (mut full, mut others, mut number) = (0, BTreeSet::new(), 0_u32);
    let mut names = Vec::new();
    // Of a store with one partition, all are in the full one.
    while full < count || number < 400 {
        let (intent, order) = wish(&format!("skewed-{number:06}"), "PULSA10");
        number += 1;
        let partition = store.partition_of(&intent.key());
        let is_wanted = if partition == 0 {
            full += 1;
            full <= count
        } else {
            others.insert(partition)
        };
        if is_wanted {
            let seconds = if partition == 0 { 100 } else { 0 } + i64::from(number % 3);
            let token = AttemptToken::new(uuid::Uuid::from_u128(u128::from(number)));
            let arming = arming(token, seconds);
            let begun = Transaction::begin(intent, order, arming, RULES, &schedule());
            done(store, &begun).await;
            names.push((
                begun.transaction.created_at(),
                begun.transaction.key().to_string(),
            ));
        }
    }
    names.sort_unstable_by(|one, other| other.cmp(one));
    names.into_iter().map(|(_, name)| name).collect()
}

async fn list_keeps_order_when_one_partition_has_most(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let all = skewed(store, 150).await;
    assert_eq!(listed(store, "SENDING", 0).await, all);
    for limit in [1, 2, 7, 8, 149, 150, 151, 1000] {
        let listing = Listing {
            state: "SENDING",
            from: at(0),
            after: ListingEntry {
                created_ms: ListingEntry::MS_MAX,
                name: String::new(),
            },
            limit,
        };
        let found = store.list(&listing).await.unwrap();
        let found: Vec<String> = found.into_iter().map(|entry| entry.name).collect();
        assert_eq!(found, all[..limit.min(all.len())], "{limit}");
    }
}

on_each_store!(
    list_keeps_order_when_one_partition_has_most,
    trace_code_finds_its_transaction,
    list_returns_every_transaction_of_state_newest_first,
);
