//! `ListTransactions` and `ListNotices`.

use std::collections::BTreeSet;

use okebayar_gateway::grpc::v1::{
    ListNoticesRequest, ListOrphanCallbacksRequest, ListTransactionsRequest, Transaction,
    TransactionState, notice_service_client::NoticeServiceClient,
};
use tonic::{Code, Status};

use crate::support::{
    on_both_stores,
    world::{Client, PENDING_FOR_EVER, PLAIN, StoreKind, World, bought, buy, order, reference},
};

/// Returns every page of a listing.
async fn list(
    client: &mut Client,
    mut request: ListTransactionsRequest,
) -> Result<Vec<Transaction>, Status> {
    let mut all = Vec::new();
    loop {
        let page = client
            .list_transactions(request.clone())
            .await?
            .into_inner();
        assert!(page.transactions.len() <= usize::try_from(request.page_size).unwrap().max(100));
        all.extend(page.transactions);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        request.page_token = page.next_page_token;
    }
}

fn in_state(state: TransactionState, page_size: i32) -> ListTransactionsRequest {
    ListTransactionsRequest {
        states: vec![state.into()],
        page_size,
        ..ListTransactionsRequest::default()
    }
}

fn codes(list: &[Transaction]) -> Vec<&str> {
    list.iter().map(|one| one.reference_code.as_str()).collect()
}

async fn transactions_are_listed_by_state_and_time_newest_first(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (mut succeeded, mut pending) = (Vec::new(), Vec::new());
    let mut bought = Vec::new();
    for _ in 0..12 {
        for (account_number, list) in [(PLAIN, &mut succeeded), (PENDING_FOR_EVER, &mut pending)] {
            let code = reference();
            bought.push(buy(&mut client, &code, account_number).await);
            list.insert(0, code);
        }
    }
    for page_size in [1, 5, 12, 0] {
        let found = list(&mut client, in_state(TransactionState::Pending, page_size))
            .await
            .unwrap();
        assert_eq!(codes(&found), pending, "pages of {page_size}");
        assert!(
            found
                .iter()
                .all(|one| one.state() == TransactionState::Pending)
        );
    }
    let found = list(&mut client, in_state(TransactionState::Succeeded, 7))
        .await
        .unwrap();
    assert_eq!(codes(&found), succeeded);
    assert!(
        list(&mut client, in_state(TransactionState::Failed, 7))
            .await
            .unwrap()
            .is_empty()
    );
    let both = ListTransactionsRequest {
        states: vec![
            TransactionState::Succeeded.into(),
            TransactionState::Pending.into(),
        ],
        page_size: 5,
        ..ListTransactionsRequest::default()
    };
    let newest_first: Vec<&str> = codes(&bought).into_iter().rev().collect();
    assert_eq!(
        codes(&list(&mut client, both.clone()).await.unwrap()),
        newest_first
    );
    let all = ListTransactionsRequest::default();
    assert_eq!(codes(&list(&mut client, all).await.unwrap()), newest_first);

    // Half open, to the millisecond: from the tenth, before the twentieth.
    let middle = ListTransactionsRequest {
        start_time: bought[9].create_time,
        end_time: bought[19].create_time,
        page_size: 3,
        ..both.clone()
    };
    let found = list(&mut client, middle).await.unwrap();
    let found: BTreeSet<&str> = codes(&found).into_iter().collect();
    let ms = |one: &Transaction| {
        let time = one.create_time.unwrap();
        time.seconds * 1000 + i64::from(time.nanos) / 1_000_000
    };
    let expected = bought
        .iter()
        .filter(|one| ms(one) >= ms(&bought[9]) && ms(one) < ms(&bought[19]));
    let expected: Vec<Transaction> = expected.cloned().collect();
    assert_eq!(found, codes(&expected).into_iter().collect());
}

async fn page_token_is_rejected_for_other_query(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for _ in 0..4 {
        buy(&mut client, &reference(), PLAIN).await;
    }
    let mut page = ListTransactionsRequest {
        states: vec![
            TransactionState::Succeeded.into(),
            TransactionState::Pending.into(),
        ],
        page_size: 1,
        ..ListTransactionsRequest::default()
    };
    let first = client
        .list_transactions(page.clone())
        .await
        .unwrap()
        .into_inner();
    page.page_token = first.next_page_token;
    page.page_size = 2;
    client
        .list_transactions(page.clone())
        .await
        .expect("a page token must be valid with another page size");
    page.states.pop();
    let status = client.list_transactions(page).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status
            .message()
            .contains("page_token: it belongs to another query")
    );
    let wrong = ListTransactionsRequest {
        accounts: vec!["nobody".into()],
        states: vec![99],
        page_size: -1,
        page_token: "x".into(),
        start_time: Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        }),
        ..ListTransactionsRequest::default()
    };
    let status = client.list_transactions(wrong).await.unwrap_err();
    for field in [
        "accounts",
        "states",
        "page_size",
        "page_token",
        "start_time",
    ] {
        assert!(status.message().contains(&format!("{field}: ")), "{status}");
    }
}

#[tokio::test]
async fn page_token_is_rejected_for_other_list() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        buy(&mut client, &reference(), PLAIN).await;
    }
    // The requests of the three lists share one encoding.
    let accounts = vec!["main".to_owned()];
    let request = ListTransactionsRequest {
        accounts: accounts.clone(),
        page_size: 1,
        ..ListTransactionsRequest::default()
    };
    let page = client.list_transactions(request).await.unwrap();
    let page_token = page.into_inner().next_page_token;
    assert!(!page_token.is_empty());
    let url = format!("http://{}", gateway.grpc);
    let mut client = NoticeServiceClient::connect(url).await.unwrap();
    let request = ListNoticesRequest {
        accounts: accounts.clone(),
        page_token: page_token.clone(),
        ..ListNoticesRequest::default()
    };
    let notices = client.list_notices(request).await.map(drop);
    let request = ListOrphanCallbacksRequest {
        accounts,
        page_token,
        ..ListOrphanCallbacksRequest::default()
    };
    let orphans = client.list_orphan_callbacks(request).await.map(drop);
    for refused in [notices, orphans] {
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let problem = "page_token: it belongs to another query";
        assert!(status.message().contains(problem), "{status}");
    }
}

#[tokio::test]
async fn transactions_are_listed_for_selected_accounts() {
    let mut world = World::new(StoreKind::Redis).await;
    let _sandbox = world.add_account("second").await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for number in 0..30 {
        let mut request = order(&reference(), PLAIN);
        // One in ten: whole pages may belong to the other account.
        if number % 10 == 0 {
            request.account = "second".into();
        }
        bought(client.purchase_prepaid(request).await.unwrap().into_inner());
    }
    for (account, count) in [("second", 3), ("main", 27)] {
        let request = ListTransactionsRequest {
            accounts: vec![account.into()],
            page_size: 2,
            ..ListTransactionsRequest::default()
        };
        let found = list(&mut client, request).await.unwrap();
        assert_eq!(found.len(), count);
        assert!(found.iter().all(|one| one.account == account));
    }
}

on_both_stores!(
    transactions_are_listed_by_state_and_time_newest_first,
    page_token_is_rejected_for_other_query,
);
