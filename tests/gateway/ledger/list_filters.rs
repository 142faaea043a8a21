//! The filters of `ListTransactions`, its views and the size of its pages.

use std::collections::{BTreeSet, HashMap};

use okebayar_gateway::grpc::v1::{
    ListTransactionsRequest, PurchasePrepaidRequest, Transaction, TransactionReason,
    TransactionState, TransactionView,
};
use prost::Message;
use serde_json::json;
use tonic::Code;

use crate::support::{
    on_both_stores,
    process::PATIENCE,
    world::{
        Client, PENDING_FOR_EVER, PLAIN, StoreKind, WATER, World, bought, get, order, pay,
        reference,
    },
};

/// Rejected by OKEBAYAR with code 204.
const WRONG_NUMBER: &str = "080000009204";
/// Rejected by OKEBAYAR with code 200.
const UNAVAILABLE: &str = "080000009200";
const OTHER_PRODUCT: &str = "DATA1GB";

fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// A request for all transactions, as a base of filters.
fn all() -> ListTransactionsRequest {
    ListTransactionsRequest::default()
}

/// Returns the codes of every page, in the order of the listing.
async fn listed(client: &mut Client, mut request: ListTransactionsRequest) -> Vec<String> {
    request.page_size = 2;
    let mut codes = Vec::new();
    loop {
        let page = client.list_transactions(request.clone()).await.unwrap();
        let page = page.into_inner();
        assert!(page.transactions.len() <= 2);
        codes.extend(page.transactions.into_iter().map(|one| one.reference_code));
        if page.next_page_token.is_empty() {
            return codes;
        }
        request.page_token = page.next_page_token;
        // Another map, which may have another order.
        request.labels = request.labels.into_iter().collect();
    }
}

async fn filters_select_and_combine(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let purchases = [
        (PLAIN, "PULSA10", &[("shop", "1"), ("till", "7")][..]),
        (PLAIN, OTHER_PRODUCT, &[("shop", "1")]),
        (PENDING_FOR_EVER, "PULSA10", &[("shop", "2"), ("till", "7")]),
        (WRONG_NUMBER, "PULSA10", &[("shop", "1"), ("till", "8")]),
        (UNAVAILABLE, OTHER_PRODUCT, &[]),
    ];
    let mut made = Vec::new();
    for (number, product, with) in purchases {
        let request = PurchasePrepaidRequest {
            product_code: product.into(),
            labels: labels(with),
            ..order(&reference(), number)
        };
        let answer = client.purchase_prepaid(request).await.unwrap();
        made.push(bought(answer.into_inner()));
    }
    let codes = |numbers: &[usize]| -> Vec<String> {
        let newest_first = numbers.iter().rev();
        newest_first
            .map(|number| made[*number].reference_code.clone())
            .collect()
    };
    let products = |products: &[&str]| ListTransactionsRequest {
        product_codes: products.iter().map(|code| (*code).to_owned()).collect(),
        ..all()
    };
    let number = |number: &str| ListTransactionsRequest {
        account_number: number.into(),
        ..all()
    };
    let reasons = |reasons: &[TransactionReason]| ListTransactionsRequest {
        reasons: reasons.iter().map(|reason| (*reason).into()).collect(),
        ..all()
    };
    let with = |pairs: &[(&str, &str)]| ListTransactionsRequest {
        labels: labels(pairs),
        ..all()
    };
    let wrong = TransactionReason::WrongAccountNumber;
    let unavailable = TransactionReason::ProductUnavailable;
    let cases = [
        (all(), &[0, 1, 2, 3, 4][..]),
        (products(&["PULSA10"]), &[0, 2, 3]),
        (products(&[OTHER_PRODUCT]), &[1, 4]),
        (
            products(&[OTHER_PRODUCT, "PULSA10", OTHER_PRODUCT]),
            &[0, 1, 2, 3, 4],
        ),
        (products(&["NONE"]), &[]),
        (number(PLAIN), &[0, 1]),
        (number(WRONG_NUMBER), &[3]),
        // A part of a number is another number.
        (number(&PLAIN[..10]), &[]),
        (reasons(&[wrong]), &[3]),
        (reasons(&[wrong, unavailable, wrong]), &[3, 4]),
        (reasons(&[TransactionReason::DepositExhausted]), &[]),
        (with(&[("shop", "1")]), &[0, 1, 3]),
        (with(&[("till", "7")]), &[0, 2]),
        (with(&[("shop", "1"), ("till", "7")]), &[0]),
        (with(&[("shop", "2"), ("till", "8")]), &[]),
        (with(&[("shop", "")]), &[]),
        (with(&[("Shop", "1")]), &[]),
        // All filters must match.
        (
            ListTransactionsRequest {
                product_codes: vec!["PULSA10".into()],
                account_number: WRONG_NUMBER.into(),
                reasons: vec![wrong.into()],
                labels: labels(&[("till", "8")]),
                states: vec![TransactionState::Failed.into()],
                accounts: vec!["main".into()],
                ..all()
            },
            &[3],
        ),
        (
            ListTransactionsRequest {
                reasons: vec![wrong.into()],
                states: vec![TransactionState::Succeeded.into()],
                ..all()
            },
            &[],
        ),
        (
            ListTransactionsRequest {
                product_codes: vec!["PULSA10".into()],
                labels: labels(&[("shop", "1")]),
                ..all()
            },
            &[0, 3],
        ),
        (
            ListTransactionsRequest {
                product_codes: vec![OTHER_PRODUCT.into()],
                account_number: WRONG_NUMBER.into(),
                ..all()
            },
            &[],
        ),
    ];
    for (request, expected) in cases {
        let found = listed(&mut client, request.clone()).await;
        assert_eq!(found, codes(expected), "{request:?}");
    }

    // A change after the creation of all of them: the oldest one was updated last.
    let oldest = &made[0].reference_code;
    let middle = made[2].update_time.unwrap();
    let updated = |from, to| ListTransactionsRequest {
        update_start_time: from,
        update_end_time: to,
        ..all()
    };
    let time = |one: &Transaction| one.update_time.map(|time| (time.seconds, time.nanos));
    let split = time(&made[2]);
    let (before, after): (Vec<_>, Vec<_>) = made.iter().rev().partition(|one| time(one) < split);
    let codes_of = |found: Vec<&Transaction>| -> Vec<String> {
        found.iter().map(|one| one.reference_code.clone()).collect()
    };
    let later = updated(Some(middle), None);
    assert_eq!(listed(&mut client, later.clone()).await, codes_of(after));
    let earlier = updated(None, Some(middle));
    let found = listed(&mut client, earlier.clone()).await;
    assert_eq!(found, codes_of(before));
    assert!(found.contains(oldest));
    // The start is inclusive, to the nanosecond.
    let next = prost_types::Timestamp {
        nanos: middle.nanos + 1,
        ..middle
    };
    let only = updated(Some(middle), Some(next));
    assert_eq!(listed(&mut client, only).await, codes(&[2]));
    assert!(
        listed(&mut client, updated(Some(middle), Some(middle)))
            .await
            .is_empty()
    );

    let report = format!("{}?referencecode={oldest}&status=204", world.callback_url());
    let pending = &made[2].reference_code;
    let report_pending = report.replace(oldest, pending);
    assert_eq!(reqwest::get(report_pending).await.unwrap().status(), 200);
    let changed = gateway
        .until(pending, |one| one.revision > made[2].revision)
        .await;
    let changed = updated(changed.update_time, None);
    assert_eq!(listed(&mut client, changed).await, codes(&[2]));
    assert!(!listed(&mut client, earlier).await.contains(pending));
    assert!(listed(&mut client, later).await.contains(pending));
}

#[tokio::test]
async fn invalid_filters_are_reported_together() {
    let world = World::new(StoreKind::Embedded).await;
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let canary = "canary-of-a-label-7d1f";
    gateway.process.add_secret(canary.to_owned());
    let out_of_range = prost_types::Timestamp {
        seconds: i64::MAX,
        nanos: 0,
    };
    let wrong = ListTransactionsRequest {
        product_codes: vec!["A B".into()],
        account_number: "0812 3456".into(),
        reasons: vec![9999],
        labels: labels(&[(canary, &"x".repeat(65))]),
        update_start_time: Some(out_of_range),
        update_end_time: Some(out_of_range),
        view: 9,
        ..all()
    };
    let status = client.list_transactions(wrong).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for field in [
        "product_codes: ",
        "account_number: ",
        "reasons: 9999 is not a reason",
        "labels: ",
        "update_start_time: ",
        "update_end_time: ",
        "view: ",
    ] {
        assert!(status.message().contains(field), "{field}: {status}");
    }
    assert!(!format!("{status:?}").contains(canary));

    let many = |count: usize| ListTransactionsRequest {
        product_codes: (0..count).map(|number| number.to_string()).collect(),
        ..all()
    };
    client.list_transactions(many(100)).await.unwrap();
    let unspecified = ListTransactionsRequest {
        reasons: vec![TransactionReason::Unspecified.into()],
        ..all()
    };
    let too_many_labels = ListTransactionsRequest {
        labels: (0..17)
            .map(|key| (key.to_string(), String::new()))
            .collect(),
        ..all()
    };
    for (request, problem) in [
        (many(101), "product_codes: it has 101 entries"),
        (unspecified, "reasons: 0 is not a reason"),
        (too_many_labels, "labels: it has 17 entries"),
    ] {
        let status = client.list_transactions(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(problem), "{status}");
    }
}

#[tokio::test]
async fn page_token_is_bound_to_filters_and_view() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let request = PurchasePrepaidRequest {
            labels: labels(&[("a", "1"), ("b", "2")]),
            ..order(&reference(), PLAIN)
        };
        client.purchase_prepaid(request).await.unwrap();
    }
    let own = ListTransactionsRequest {
        page_size: 1,
        labels: labels(&[("a", "1")]),
        ..all()
    };
    let page = client.list_transactions(own.clone()).await.unwrap();
    let own = ListTransactionsRequest {
        page_token: page.into_inner().next_page_token,
        ..own
    };
    client.list_transactions(own.clone()).await.unwrap();
    let others = [
        ListTransactionsRequest {
            labels: labels(&[("a", "1"), ("b", "2")]),
            ..own.clone()
        },
        ListTransactionsRequest {
            labels: HashMap::new(),
            ..own.clone()
        },
        ListTransactionsRequest {
            product_codes: vec!["PULSA10".into()],
            ..own.clone()
        },
        ListTransactionsRequest {
            account_number: PLAIN.into(),
            ..own.clone()
        },
        ListTransactionsRequest {
            view: TransactionView::Full.into(),
            ..own.clone()
        },
        ListTransactionsRequest {
            update_start_time: Some(prost_types::Timestamp::default()),
            ..own
        },
    ];
    for other in others {
        let status = client.list_transactions(other.clone()).await.unwrap_err();
        let problem = "page_token: it belongs to another query";
        assert!(status.message().contains(problem), "{other:?}: {status}");
    }
}

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
        ..all()
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

on_both_stores!(
    filters_select_and_combine,
    page_of_full_view_fits_default_limit_of_clients,
);
