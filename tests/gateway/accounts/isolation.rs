//! Several OKEBAYAR accounts in one gateway, and the proxy to OKEBAYAR.

use okebayar_gateway::grpc::v1::{
    GetTransactionRequest, TransactionState, get_transaction_request::Code,
};

use crate::support::{
    on_both_stores, ports,
    world::{
        Client, PENDING_THEN_SUCCESS, PLAIN, StoreKind, World, assert_succeeded, bought, buy,
        order, reference,
    },
};

async fn in_account(client: &mut Client, account: &str, code: &str) -> Option<TransactionState> {
    let reference_code = Some(Code::ReferenceCode(code.to_owned()));
    let request = GetTransactionRequest {
        account: account.to_owned(),
        code: reference_code,
    };
    let found = client.get_transaction(request).await.ok()?.into_inner();
    Some(found.transaction.unwrap().state())
}

async fn accounts_are_isolated_within_one_process(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let port = ports::free();
    let second = format!(
        "http://127.0.0.1:{}/callbacks/production",
        world.callbacks_port
    );
    let more = [
        "--callback-url",
        second.as_str(),
        "--callback-method",
        "get",
    ];
    let _sandbox = world.sandbox_with(port, "second-member", &more).await;
    world
        .check_rarely()
        .set("default_account", "main")
        .set(
            "accounts.production.url",
            &format!("http://127.0.0.1:{port}/"),
        )
        .set("accounts.production.userid", "second-member")
        .set(
            "accounts.production.pin",
            crate::support::process::CANARY_PIN,
        )
        .set("accounts.production.format", "xml");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (code, other) = (reference(), reference());

    // Without an account name it belongs to the default account, and is not found under another.
    let first = buy(&mut client, &code, PLAIN).await;
    assert_eq!(first.account, "main");
    for (account, expected) in [
        ("main", Some(TransactionState::Succeeded)),
        ("", Some(TransactionState::Succeeded)),
        ("production", None),
    ] {
        assert_eq!(in_account(&mut client, account, &code).await, expected);
    }

    // The other account uses XML, credentials and a callback address of its own.
    let mut request = order(&other, PENDING_THEN_SUCCESS);
    request.account = "production".into();
    let answer = client
        .purchase_prepaid(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.replayed);
    assert_eq!(bought(answer).state(), TransactionState::Pending);
    request.set_wait_until(okebayar_gateway::grpc::v1::WaitUntil::Terminal);
    let transaction = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
    assert_succeeded(&transaction);
    assert_eq!(transaction.account, "production");
    assert_eq!(transaction.price.unwrap().units, first.price.unwrap().units);
    assert_eq!(world.ledger(&code).await.received, 1);
    assert_eq!(world.ledger(&other).await.received, 0);
}

on_both_stores!(accounts_are_isolated_within_one_process,);
