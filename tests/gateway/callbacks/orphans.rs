//! Callbacks about unknown reference codes (orphans): stored, listed, and checked while the store
//! may have lost records. They never create a transaction (promise 7).

use okebayar_gateway::grpc::v1::{
    ListOrphanCallbacksRequest, ListOrphanCallbacksResponse, OrphanCallback,
    notice_service_client::NoticeServiceClient,
};
use tonic::{Code, Status};

use crate::support::{
    on_both_stores,
    process::{PATIENCE, Process},
    world::{
        BINARY, Gateway, PLAIN, StoreKind, World, assert_refused, assert_succeeded, buy, get,
        minted, reference,
    },
};

async fn list(
    gateway: &Gateway,
    request: ListOrphanCallbacksRequest,
) -> Result<ListOrphanCallbacksResponse, Status> {
    let url = format!("http://{}", gateway.grpc);
    let mut client = NoticeServiceClient::connect(url).await.unwrap();
    Ok(client.list_orphan_callbacks(request).await?.into_inner())
}

async fn orphans(gateway: &Gateway) -> Vec<OrphanCallback> {
    let page = list(gateway, ListOrphanCallbacksRequest::default()).await;
    page.unwrap().orphan_callbacks
}

/// Waits until the newest orphan was checked.
async fn until_checked(gateway: &Gateway) -> Vec<OrphanCallback> {
    let checked = async {
        loop {
            let all = orphans(gateway).await;
            if all[0].check.is_some() {
                return all;
            }
        }
    };
    let checked = tokio::time::timeout(PATIENCE, checked).await;
    checked.expect("the orphan was never checked")
}

async fn call_back(world: &World, code: &str, status: &str) {
    let url = format!(
        "{}?referencecode={code}&status={status}&serialnumber=98765-43210",
        world.callback_url()
    );
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
}

async fn stop(mut gateway: Gateway) {
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
}

/// Turns the failover guard on.
async fn start_guard(world: &World) {
    let environment = world.environment();
    let mut process = Process::start(BINARY, &["guard", "start"], &environment, world.path());
    assert!(process.ended().await.success(), "{}", process.text());
}

/// Erases the store; no gateway runs.
async fn lose_everything(world: &World) {
    match &world.redis {
        Some(redis) => redis.command(&["FLUSHALL"]).await,
        None => std::fs::remove_file(world.store_file()).unwrap(),
    }
    // A new store, and an operator who knows that there was another one.
    stop(world.start_gateway().await).await;
    start_guard(world).await;
}

async fn orphan_of_lost_record_is_checked_once_and_creates_no_transaction(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = minted(0);
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    stop(gateway).await;
    lose_everything(&world).await;

    let mut gateway = world.start_gateway().await;
    call_back(&world, &code, "001").await;
    let all = until_checked(&gateway).await;
    assert_eq!(all.len(), 1);
    let orphan = &all[0];
    assert_eq!(
        (orphan.account.as_str(), &orphan.reference_code),
        ("main", &code)
    );
    assert_eq!(orphan.status_code, "001");
    assert!(orphan.time.is_some());
    let check = orphan.check.as_ref().unwrap();
    assert_eq!(
        (check.status_code.as_str(), check.problem.as_str()),
        ("000", "")
    );
    assert!(!check.status_meaning.is_empty() && check.time.is_some());
    gateway
        .process
        .line(|line| line.contains("the store has lost its record").then_some(()))
        .await;
    let mut client = gateway.client().await;
    let gone = get(&mut client, &code).await;
    assert_refused(gone, Code::NotFound, "TRANSACTION_NOT_FOUND", "maybe");

    // The same orphan in another spelling, and one that OKEBAYAR does not know either.
    call_back(&world, &code.replace('-', "").to_ascii_uppercase(), "000").await;
    let unknown = minted(0);
    call_back(&world, &unknown, "000").await;
    let all = until_checked(&gateway).await;
    let codes: Vec<&str> = all.iter().map(|one| one.reference_code.as_str()).collect();
    assert_eq!(
        (codes.len(), codes[0], codes[2]),
        (3, unknown.as_str(), code.as_str())
    );
    assert_eq!(all[0].check.as_ref().unwrap().status_code, "400");
    assert_eq!(all[1].check, all[2].check);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.checks), (1, 1));
    let said = gateway.process.text() + &format!("{all:?}");
    assert!(
        !said.contains("98765-43210"),
        "the notice contains a serial number"
    );
}

#[tokio::test]
async fn orphan_is_not_checked_while_guard_is_off() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let (before, after) = (minted(0), minted(0));
    call_back(&world, &before, "000").await;
    call_back(&world, "no reference code!", "000").await;
    start_guard(&world).await;
    // In order: once this one was checked, the others were skipped.
    call_back(&world, &after, "000").await;
    let all = until_checked(&gateway).await;
    let checked: Vec<bool> = all.iter().map(|one| one.check.is_some()).collect();
    assert_eq!(checked, [true, false, false], "{all:#?}");
    assert_eq!(world.ledger(&after).await.checks, 1);
    assert_eq!(world.ledger(&before).await.checks, 0);
}

async fn orphans_are_listed_in_pages_per_account(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let codes: Vec<String> = (0..5).map(|_| minted(0)).collect();
    for code in &codes {
        call_back(&world, code, "203").await;
    }
    let mut request = ListOrphanCallbacksRequest {
        accounts: vec!["main".into()],
        page_size: 2,
        ..ListOrphanCallbacksRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page = list(&gateway, request.clone()).await.unwrap();
        assert!(page.orphan_callbacks.len() <= 2);
        found.extend(page.orphan_callbacks);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let found: Vec<&str> = found
        .iter()
        .map(|one| one.reference_code.as_str())
        .collect();
    let newest_first: Vec<&str> = codes.iter().rev().map(String::as_str).collect();
    assert_eq!(found, newest_first);
    request.accounts = vec!["nobody".into()];
    let status = list(&gateway, request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for field in ["accounts: ", "page_token: "] {
        assert!(status.message().contains(field), "{status}");
    }
}

/// A check of a very old purchase may become a new sale.
#[tokio::test]
async fn orphan_that_may_be_old_is_kept_unchecked() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.age_max", "1h");
    start_guard(&world).await;
    let gateway = world.start_gateway().await;
    let hours = 3_600_000;
    let (undated, old, ahead) = (reference(), minted(-2 * hours), minted(hours));
    let young = minted(0);
    for code in [&undated, &old, &ahead, &young] {
        call_back(&world, code, "000").await;
    }
    // Orphans are checked in order, so the check of the last one shows that the others were
    // skipped.
    let all = until_checked(&gateway).await;
    assert_eq!(all[0].reference_code, young);
    assert!(all[1..].iter().all(|one| one.check.is_none()), "{all:#?}");
    assert_eq!(world.ledger(&old).await.checks, 0);
}

on_both_stores!(
    orphan_of_lost_record_is_checked_once_and_creates_no_transaction,
    orphans_are_listed_in_pages_per_account,
);
