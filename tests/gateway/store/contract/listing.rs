//! The contract of the listing and the trace index.

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

on_each_store!(
    trace_code_finds_its_transaction,
    list_returns_every_transaction_of_state_newest_first,
);
