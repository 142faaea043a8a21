//! Sales of inquiries: the bounded list, and races with a purchase (promise 1).

use std::time::Duration;

use okebayar_gateway::{
    ambient::Ambient,
    gateway::Gateway,
    purchase::{Purchase, PurchaseError},
    sales::{note as sold, note::Sold},
    store::{Store, redb::RedbStore},
    transaction::{Contents, ProductCode, State, TransactionKey},
};

use crate::support::{
    bench::{bench, buy, intent},
    core::{begin, wish},
    faulty_store::Fault,
    process::PATIENCE,
};

fn is_refused_as_sold(bought: &Result<Purchase, PurchaseError>, of: &str) -> bool {
    matches!(bought, Err(PurchaseError::SoldByInquiry { reference_code }) if reference_code == of)
}

async fn note_sold(store: &RedbStore, what: &Sold, key: &TransactionKey) {
    let noted = sold::noted(store, what).await.unwrap();
    let noting = sold::note(store, what, &noted, key, &[], (Ambient::system().now)());
    assert!(noting.await.unwrap());
}

async fn inquire(gateway: &Gateway) {
    let made = intent();
    let Contents::PurchasePrepaid {
        product_code,
        account_number,
        ..
    } = &made.contents
    else {
        unreachable!();
    };
    let reference_code = Some(made.reference_code);
    let asking = gateway.queries.inquire_prepaid(
        &made.account,
        reference_code,
        product_code,
        account_number,
    );
    assert!(asking.await.is_err());
}

#[tokio::test]
async fn full_sale_list_evicts_only_settled_sales() {
    let bench = bench(&[], &[]).await;
    let store = &bench.store.inner;
    let what = Sold::new(&ProductCode::parse("PULSA10").unwrap(), "81234567890");
    // The list holds reference codes only.
    for number in 0..64 {
        let other = wish(&format!("settled-{number}"), "PULSA20").0;
        let settled = buy(&bench.gateway, other).await.unwrap().transaction;
        note_sold(store, &what, &settled.key()).await;
    }
    inquire(&bench.gateway).await;
    let refused = buy(&bench.gateway, wish("reference-2", "PULSA10").0).await;
    assert!(is_refused_as_sold(&refused, "reference-1"), "{refused:?}");

    let bench = crate::support::bench::bench(&[], &[]).await;
    let store = &bench.store.inner;
    for number in 100..164 {
        let open = begin(number);
        store.commit(&open, None).await.unwrap();
        note_sold(store, &what, &open.transaction.key()).await;
    }
    inquire(&bench.gateway).await;
    let noted = sold::noted(store, &what).await.unwrap();
    assert_eq!(noted.keys().last(), Some(&intent().key()));
    assert_eq!(noted.keys().len(), 65);
}

#[tokio::test]
async fn purchase_is_rejected_while_sale_is_being_stored() {
    let bench = bench(&[Fault::Late], &[]).await;
    let gateway = bench.gateway.clone();
    let inquiring = tokio::spawn(async move { inquire(&gateway).await });
    let claiming = async {
        while !bench.store.commits.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, claiming).await.unwrap();
    for reference_code in ["reference-1", "reference-2"] {
        let other = wish(reference_code, "PULSA10").0;
        let refused = buy(&bench.gateway, other).await;
        assert!(is_refused_as_sold(&refused, "reference-1"), "{refused:?}");
    }
    bench.store.go_on.notify_one();
    inquiring.await.unwrap();
    let refused = buy(&bench.gateway, wish("reference-2", "PULSA10").0).await;
    assert!(is_refused_as_sold(&refused, "reference-1"), "{refused:?}");
    let other_product = buy(&bench.gateway, wish("reference-3", "PULSA20").0).await;
    assert!(other_product.is_ok(), "{other_product:?}");
    assert_eq!(bench.posts(), 2);
}

#[tokio::test]
async fn purchase_is_not_sent_when_sale_is_stored_after_its_lookup() {
    let bench = bench(&[], &[]).await;
    let buying = bench.begin_late("epoch", intent()).await;
    // Another replica stores a sale.
    let sold = begin(2);
    let store = &bench.store.inner;
    store.commit(&sold, None).await.unwrap();
    let sold = sold.transaction;
    let order = sold.order();
    let what = Sold::new(&order.product_code, "81234567890");
    note_sold(store, &what, &sold.key()).await;
    bench.store.go_on.notify_one();
    let refused = buying.await.unwrap();
    assert!(is_refused_as_sold(&refused, "reference-2"), "{refused:?}");
    bench.settle().await;
    assert_eq!(bench.posts(), 0);
    let ours = bench.stored().await.unwrap();
    assert!(matches!(ours.status().state, State::NotSent(_)));
}

#[tokio::test]
async fn purchase_is_not_sent_when_sale_of_same_process_is_stored_during_its_claim() {
    let bench = bench(&[], &[]).await;
    let other = wish("reference-2", "PULSA10").0;
    // The claim is stored, and the sales were read after it; the reply is on its way.
    let buying = bench.begin_late("commit_and_read", other).await;
    // A sale begins, and is stored.
    inquire(&bench.gateway).await;
    bench.store.go_on.notify_one();
    let refused = buying.await.unwrap();
    assert!(is_refused_as_sold(&refused, "reference-1"), "{refused:?}");
    bench.settle().await;
    assert_eq!(bench.posts(), 1, "the inquiry");
}
