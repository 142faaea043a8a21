//! The filters of `ListTransactions`.

use std::collections::HashMap;

use okebayar_gateway::grpc::v1::{
    ListTransactionsRequest, PurchasePrepaidRequest, TransactionReason, TransactionState,
    TransactionView,
};
use tonic::Code;

use crate::support::{
    on_both_stores,
    world::{Client, PENDING_FOR_EVER, PLAIN, StoreKind, World, bought, order, reference},
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

fn products(products: &[&str]) -> ListTransactionsRequest {
    ListTransactionsRequest {
        product_codes: products.iter().map(|code| (*code).to_owned()).collect(),
        ..all()
    }
}

fn number(number: &str) -> ListTransactionsRequest {
    ListTransactionsRequest {
        account_number: number.into(),
        ..all()
    }
}

fn reasons(reasons: &[TransactionReason]) -> ListTransactionsRequest {
    ListTransactionsRequest {
        reasons: reasons.iter().map(|reason| (*reason).into()).collect(),
        ..all()
    }
}

fn with(pairs: &[(&str, &str)]) -> ListTransactionsRequest {
    ListTransactionsRequest {
        labels: labels(pairs),
        ..all()
    }
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
    for (account_number, product, own) in purchases {
        let request = PurchasePrepaidRequest {
            product_code: product.into(),
            labels: labels(own),
            ..order(&reference(), account_number)
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
}

async fn update_times_are_those_of_the_latest_revision(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        let request = order(&reference(), PENDING_FOR_EVER);
        let answer = client.purchase_prepaid(request).await.unwrap();
        made.push(bought(answer.into_inner()));
    }
    let codes = |numbers: &[usize]| -> Vec<String> {
        let numbers = numbers.iter();
        numbers
            .map(|number| made[*number].reference_code.clone())
            .collect()
    };
    let updated = |from, to| ListTransactionsRequest {
        update_start_time: from,
        update_end_time: to,
        ..all()
    };
    let middle = made[1].update_time.unwrap();
    let (since, before) = (updated(Some(middle), None), updated(None, Some(middle)));
    assert_eq!(listed(&mut client, since.clone()).await, codes(&[3, 2, 1]));
    assert_eq!(listed(&mut client, before.clone()).await, codes(&[0]));
    // The start is inclusive and the end exclusive, to the nanosecond.
    let next = prost_types::Timestamp {
        nanos: middle.nanos + 1,
        ..middle
    };
    for (from, to, expected) in [
        (middle, next, &[1][..]),
        (middle, middle, &[]),
        (next, next, &[]),
    ] {
        let found = listed(&mut client, updated(Some(from), Some(to))).await;
        assert_eq!(found, codes(expected), "{from} {to}");
    }

    // The oldest one changes last.
    let oldest = &made[0];
    let code = &oldest.reference_code;
    let report = format!("{}?referencecode={code}&status=204", world.callback_url());
    assert_eq!(reqwest::get(report).await.unwrap().status(), 200);
    let changed = gateway
        .until(code, |one| one.revision > oldest.revision)
        .await;
    let since_change = updated(changed.update_time, None);
    assert_eq!(listed(&mut client, since_change).await, codes(&[0]));
    assert_eq!(listed(&mut client, since).await, codes(&[3, 2, 1, 0]));
    assert!(listed(&mut client, before).await.is_empty());
    // Both kinds of times apply.
    let both = ListTransactionsRequest {
        start_time: made[3].create_time,
        ..updated(Some(middle), None)
    };
    assert_eq!(listed(&mut client, both).await[0], codes(&[3])[0]);
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

on_both_stores!(
    filters_select_and_combine,
    update_times_are_those_of_the_latest_revision,
);
