//! The contract of notes and lists.

use std::sync::Arc;

use jiff::Timestamp;
use okebayar_gateway::{
    notices::orphans::{self as inbox, Orphan, OrphanCheck},
    store::{BoundedList, CasResult, Expiry, LIST_MAX, Store},
    transaction::ReferenceCode,
};

use super::{account, on_each_store, open, open_redb};
use crate::support::{core::at, world::StoreKind};

async fn orphan_list_is_bounded_newest_first(kind: StoreKind) {
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

async fn note_requires_value_it_was_read_from(kind: StoreKind) {
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

async fn orphan_check_is_leased_once_and_retried_only_without_result(kind: StoreKind) {
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
async fn expired_notes_are_evicted_from_embedded_store() {
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

on_each_store!(
    orphan_list_is_bounded_newest_first,
    note_requires_value_it_was_read_from,
    orphan_check_is_leased_once_and_retried_only_without_result,
);
