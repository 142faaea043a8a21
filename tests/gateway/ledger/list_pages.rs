//! The views of `ListTransactions` and the size of its pages.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use okebayar_gateway::{
    grpc::v1::{ListTransactionsRequest, PurchasePrepaidRequest, Transaction, TransactionView},
    ledger::ListQuery,
    transaction::Labels,
};
use prost::Message;
use serde_json::json;

use crate::support::{
    bench::{bench, buy as buy_at},
    core::wish,
    on_both_stores,
    process::PATIENCE,
    world::{Client, PLAIN, StoreKind, WATER, World, bought, get, order, pay, reference},
};

/// Pages of large transactions, in the order of the listing.
struct Pages {
    codes: Vec<String>,
    sizes: Vec<usize>,
    transactions: Vec<Transaction>,
}

/// Reads every page by a client with the default limits of a message: 4 MiB.
async fn pages(client: &mut Client, view: TransactionView) -> Pages {
    let mut request = ListTransactionsRequest {
        view: view.into(),
        page_size: 200,
        ..ListTransactionsRequest::default()
    };
    let mut pages = Pages {
        codes: Vec::new(),
        sizes: Vec::new(),
        transactions: Vec::new(),
    };
    loop {
        let page = client.list_transactions(request.clone()).await.unwrap();
        let page = page.into_inner();
        pages.sizes.push(page.encoded_len());
        let codes = page.transactions.iter();
        pages
            .codes
            .extend(codes.map(|one| one.reference_code.clone()));
        pages.transactions.extend(page.transactions);
        if page.next_page_token.is_empty() {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

async fn page_of_full_view_fits_default_limit_of_clients(kind: StoreKind) {
    const COUNT: usize = 210;
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // As many bytes as a record keeps of one answer, of characters of four bytes.
    let fields = json!({
        "info": "\u{1f4e3}".repeat(1024),
        "serialnumber": "\u{20000}".repeat(512),
        "additionaldata": format!("<a>{}</a>", "\u{1f9fe}".repeat(250)).repeat(16),
    });
    world.misprint(PLAIN, fields.to_string()).await;
    let with: HashMap<String, String> = (0..16)
        .map(|number| (format!("{number:064}"), "v".repeat(64)))
        .collect();
    let mut expected = BTreeSet::new();
    for _ in 0..COUNT {
        let request = PurchasePrepaidRequest {
            labels: with.clone(),
            ..order(&reference(), PLAIN)
        };
        let answer = client.purchase_prepaid(request).await.unwrap();
        expected.insert(bought(answer.into_inner()).reference_code);
    }
    // Callbacks arrive shortly after the answers.
    let unchanging = async {
        let mut last = pages(&mut client, TransactionView::Full).await;
        loop {
            let full = pages(&mut client, TransactionView::Full).await;
            if full.transactions == last.transactions {
                return full;
            }
            last = full;
        }
    };
    let unchanging = tokio::time::timeout(PATIENCE, unchanging).await;
    let full = unchanging.expect("the transactions never came to rest");
    assert_eq!(full.codes.len(), COUNT);
    assert_eq!(
        full.codes.iter().cloned().collect::<BTreeSet<_>>(),
        expected
    );
    assert!(full.sizes.iter().all(|size| *size <= MESSAGE_BYTES_MAX));
    let total: usize = full.sizes.iter().sum();
    // A page of 200 of them would be too long, so that the first page ends at its last that fits.
    assert!(total / COUNT * 200 > MESSAGE_BYTES_MAX, "{:?}", full.sizes);
    assert!(
        full.sizes[0] > MESSAGE_BYTES_MAX - 2 * (total / COUNT),
        "{:?}",
        full.sizes
    );
    for (one, code) in full.transactions.iter().zip(&full.codes).take(3) {
        assert_eq!(*one, get(&mut client, code).await.unwrap());
        assert!(!one.timeline.is_empty() && !one.fields.is_empty());
    }

    // The default is BASIC, whose page of 200 fits.
    for view in [TransactionView::Unspecified, TransactionView::Basic] {
        let basic = pages(&mut client, view).await;
        assert_eq!((basic.codes.len(), basic.sizes.len()), (COUNT, 2));
        for (one, in_full) in basic.transactions.into_iter().zip(&full.transactions) {
            let without = Transaction {
                timeline: Vec::new(),
                fields: Vec::new(),
                ..in_full.clone()
            };
            assert_eq!(one, without);
        }
    }
}

/// Bills in which OKEBAYAR answers a number of any length: the gateway sends it back, and returns
/// it in every view.
#[tokio::test]
async fn page_of_long_bills_fits_default_limit_of_clients() {
    const COUNT: usize = 25;
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let fields = json!({ "contactnumber": "9".repeat(200 * 1024) });
    let mut expected = BTreeSet::new();
    for number in 0..COUNT {
        let customer = format!("71000{number:02}");
        world.misprint(&customer, fields.to_string()).await;
        let inquiry = gateway.bill(WATER, &customer).await;
        let code = reference();
        pay(&mut client, &code, &inquiry).await.unwrap();
        expected.insert(code);
    }
    for view in [TransactionView::Basic, TransactionView::Full] {
        let pages = pages(&mut client, view).await;
        assert_eq!(pages.codes.len(), COUNT);
        assert_eq!(
            pages.codes.iter().cloned().collect::<BTreeSet<_>>(),
            expected
        );
        assert!(pages.sizes.len() > 1);
        assert!(pages.sizes.iter().all(|size| *size <= MESSAGE_BYTES_MAX));
    }
}

on_both_stores!(page_of_full_view_fits_default_limit_of_clients);

/// A caller with a short deadline must receive the token of what a slow store has read, or every
/// retry would read the same entries again.
#[tokio::test]
async fn page_of_slow_store_ends_with_token_of_what_was_read() {
    let bench = bench(&[], &[]).await;
    for number in 0..3 {
        buy_at(
            &bench.gateway,
            wish(&format!("reference-{number}"), "PULSA10").0,
        )
        .await
        .unwrap();
    }
    bench.settle().await;
    let query = |after| ListQuery {
        states: Vec::new(),
        accounts: Vec::new(),
        from: None,
        to: None,
        product_codes: Vec::new(),
        account_number: None,
        labels: Labels::default(),
        updated_from: None,
        updated_to: None,
        page_size: 1,
        after,
    };
    *bench.store.late.lock().unwrap() = Some("load");
    let ledger = Arc::clone(&bench.gateway.ledger);
    let listing = tokio::spawn(async move { ledger.list(&query(None), |_| false).await });
    bench.store.waiting.notified().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(1)).await;
    tokio::time::resume();
    bench.store.go_on.notify_one();
    let page = listing.await.unwrap().unwrap();
    assert!(page.transactions.is_empty());
    let next = page.next.expect("the rest was not read");
    // The next page begins after what was read, and a fast store reads all of it.
    let rest = bench
        .gateway
        .ledger
        .list(&query(Some(next)), |_| true)
        .await;
    assert_eq!(rest.unwrap().transactions.len(), 1);
    let rest = bench.gateway.ledger.list(&query(None), |_| false).await;
    assert!(rest.unwrap().next.is_none());
}
