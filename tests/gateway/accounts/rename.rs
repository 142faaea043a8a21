//! Renamed accounts: nothing is bought twice (promise 1).

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, GetTransactionRequest, TransactionState, get_transaction_request::Code,
};

use crate::support::{
    accounts::{refused, replay},
    on_both_stores,
    process::PATIENCE,
    world::{
        CALLBACK_LOST, PENDING_THEN_SUCCESS, PLAIN, StoreKind, World, assert_succeeded, buy,
        reference,
    },
};

async fn renamed_account_is_rejected_without_former_name(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    gateway.process.kill().await;
    world.rename_account("main", "renamed");
    let output = refused(&world, &["serve"]).await;
    assert!(
        output.contains("accounts.renamed.formerly = [\"main\"]"),
        "{output}"
    );
    assert_eq!(world.ledger(&code).await.received, 1);
}

async fn renamed_account_keeps_its_transactions(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let settled = buy(&mut client, &reference(), PLAIN).await;
    let open = buy(&mut client, &reference(), CALLBACK_LOST).await;
    assert_succeeded(&settled);
    assert_eq!(open.state(), TransactionState::Pending);
    gateway.process.kill().await;

    world
        .rename_account("main", "renamed")
        .set("accounts.renamed.formerly", "main");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // By its present name, without a name, and by its former one.
    for account in ["renamed", "", "main"] {
        replay(&mut client, account, &settled, PLAIN).await;
        let request = GetTransactionRequest {
            account: account.to_owned(),
            code: Some(Code::TraceCode(settled.trace_code.clone())),
        };
        let found = client.get_transaction(request).await.unwrap().into_inner();
        let found = found.transaction.unwrap();
        assert_eq!(found.reference_code, settled.reference_code, "{account:?}");
    }
    assert_eq!(world.ledger(&settled.reference_code).await.received, 1);

    // Transactions open under the former name are checked with the account's credentials.
    let asked = async {
        loop {
            let request = CheckTransactionRequest {
                account: "renamed".to_owned(),
                reference_code: open.reference_code.clone(),
            };
            let answer = client.check_transaction(request).await.unwrap();
            let answer = answer.into_inner();
            assert!(answer.checked);
            let transaction = answer.transaction.unwrap();
            if transaction.terminal {
                return transaction;
            }
        }
    };
    let checked = tokio::time::timeout(PATIENCE, asked).await.unwrap();
    assert_succeeded(&checked);
    assert_eq!(world.ledger(&open.reference_code).await.received, 1);

    // The sandbox still calls /callbacks/main, and no check is due for an hour.
    let code = reference();
    let pending = buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    assert_eq!(pending.account, "renamed");
    assert_succeeded(&gateway.until_final(&code).await);
}

async fn reverted_rename_requires_former_name(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let made = buy(&mut gateway.client().await, &reference(), PLAIN).await;
    gateway.process.kill().await;
    world
        .rename_account("main", "renamed")
        .set("accounts.renamed.formerly", "main");
    let mut gateway = world.start_gateway().await;
    gateway.process.kill().await;

    world
        .rename_account("renamed", "main")
        .unset("accounts.main.formerly");
    let output = refused(&world, &["serve"]).await;
    assert!(output.contains("accounts.main.formerly"), "{output}");
    world.set("accounts.main.formerly", "renamed");
    let gateway = world.start_gateway().await;
    replay(&mut gateway.client().await, "main", &made, PLAIN).await;
    assert_eq!(world.ledger(&made.reference_code).await.received, 1);
}

on_both_stores!(
    renamed_account_is_rejected_without_former_name,
    renamed_account_keeps_its_transactions,
    reverted_rename_requires_former_name,
);
