//! The binding of an inquiry to one reference code.

use std::time::Duration;

use okebayar_gateway::grpc::v1::{
    Inquiry, PurchasePrepaidRequest, PurchasePrepaidResponse, Transaction, TransactionReason,
    TransactionState,
};
use tonic::Code;

use crate::support::{
    on_both_stores,
    payments::{SandboxProxy, assert_verbatim},
    process::PATIENCE,
    world::{
        PENDING_FOR_EVER, PLAIN, SLOW, StoreKind, USER_ID, WATER, World, assert_refused,
        assert_succeeded, bought, error_info, get, order, pay, payment, prepaid_question,
        reference,
    },
};

async fn inquiry_is_paid_once_by_racing_reference_codes(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let client = gateway.client().await;
    for account_number in [SLOW, PENDING_FOR_EVER] {
        let inquiry = gateway.bill(WATER, account_number).await;
        let calls = (0..20).map(|_| {
            let (mut client, code, inquiry) = (client.clone(), reference(), inquiry.clone());
            tokio::spawn(async move { (pay(&mut client, &code, &inquiry).await, code) })
        });
        let mut paid = 0;
        let mut executed = 0;
        for call in calls.collect::<Vec<_>>() {
            let (answer, code) = call.await.unwrap();
            executed += world.ledger(&code).await.executed;
            if answer.is_ok() {
                paid += 1;
            } else {
                assert_refused(
                    answer,
                    Code::FailedPrecondition,
                    "INQUIRY_ALREADY_USED",
                    "no",
                );
                assert_eq!(world.ledger(&code).await.received, 0);
            }
        }
        assert_eq!((paid, executed), (1, 1), "{account_number}");
    }
}

async fn concurrent_duplicates_pay_once(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let client = gateway.client().await;
    let inquiry = gateway.bill(WATER, SLOW).await;
    let code = reference();
    let calls = (0..200).map(|_| {
        let (mut client, request) = (client.clone(), payment(&code, &inquiry));
        tokio::spawn(async move { client.pay_postpaid(request).await })
    });
    let mut firsts = 0;
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap().unwrap().into_inner();
        firsts += usize::from(!answer.replayed);
        assert_eq!(
            answer.transaction.unwrap().state(),
            TransactionState::Succeeded
        );
    }
    assert_eq!(firsts, 1);
    assert_verbatim(&world, &code, &inquiry, &[]).await;
}

fn expires_in(inquiry: &Inquiry) -> Duration {
    let expires = inquiry.expire_time.unwrap();
    let expires = Duration::new(
        u64::try_from(expires.seconds).unwrap(),
        u32::try_from(expires.nanos).unwrap(),
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    expires.saturating_sub(now.unwrap()) + Duration::from_millis(20)
}

async fn payment_is_replayed_after_inquiry_expired(kind: StoreKind) {
    let world = World::without_sandbox(kind).await;
    let short = ["--inquiry-valid", "1500ms"];
    let _sandbox = world
        .sandbox_with(world.sandbox_port, USER_ID, &short)
        .await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, "1111111").await;
    let code = reference();
    let paid = pay(&mut client, &code, &inquiry).await.unwrap();
    assert_eq!(paid.state(), TransactionState::Succeeded);
    let unused = gateway.bill(WATER, "2222222").await;
    tokio::time::sleep(expires_in(&unused)).await;
    let again = client.pay_postpaid(payment(&code, &inquiry)).await.unwrap();
    let again = again.into_inner();
    assert!(again.replayed);
    assert_eq!(again.transaction.unwrap().trace_code, paid.trace_code);
    assert_eq!(world.ledger(&code).await.received, 1);

    let late = reference();
    let refused = pay(&mut client, &late, &unused).await;
    assert_refused(refused, Code::FailedPrecondition, "INQUIRY_EXPIRED", "no");
    assert_eq!(world.ledger(&late).await.received, 0);
    assert_eq!(
        get(&mut client, &late).await.unwrap_err().code(),
        Code::NotFound
    );
}

async fn inquiry_is_released_after_payment_failed(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, "080000009203").await;
    for _ in 0..2 {
        let code = reference();
        let failed = pay(&mut client, &code, &inquiry).await.unwrap();
        assert_eq!(failed.state(), TransactionState::Failed);
        assert_eq!(failed.reason(), TransactionReason::DepositExhausted);
        assert_eq!(world.ledger(&code).await.received, 1);
    }
}

const ROUNDS: usize = 25;

async fn released_inquiry_is_paid_once_by_racing_reference_codes(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut proxy = SandboxProxy::to_sandbox(&mut world);
    proxy.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for round in 0..ROUNDS {
        let inquiry = gateway.bill(WATER, &format!("77{round:05}")).await;
        let codes = [reference(), reference()];
        proxy.close().await;
        let refused = pay(&mut client, &codes[0], &inquiry).await;
        assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
        proxy.open().await;
        // Concurrently, several times each: the first code may be re-armed, and the second may take
        // the inquiry over.
        let calls = (0..8).map(|call| {
            let (mut client, inquiry) = (client.clone(), inquiry.clone());
            let code = codes[call % 2].clone();
            tokio::spawn(async move { pay(&mut client, &code, &inquiry).await })
        });
        for call in calls.collect::<Vec<_>>() {
            match call.await.unwrap() {
                Ok(paid) => assert_eq!(paid.state(), TransactionState::Succeeded),
                // A duplicate may be in flight.
                Err(status) if status.code() == Code::Aborted => {
                    let info = ("REFERENCE_CODE_CONTENDED".to_owned(), "maybe".to_owned());
                    assert_eq!(error_info(&status), info);
                }
                Err(status) => assert_eq!(error_info(&status).1, "no", "{status}"),
            }
        }
        // If each yielded to the other, a retry acquires the inquiry.
        let paid = async {
            loop {
                for code in &codes {
                    if pay(&mut client, code, &inquiry).await.is_ok() {
                        return;
                    }
                }
            }
        };
        let paid = tokio::time::timeout(PATIENCE, paid).await;
        paid.expect("no reference code got the inquiry");
        let mut executed = 0;
        for code in &codes {
            executed += world.ledger(code).await.executed;
        }
        assert_eq!(executed, 1, "round {round}");
    }
}

/// Two reference codes exchanged an inquiry unsent, one of them was sent, and a late write of the
/// other then bound the inquiry to itself.
#[tokio::test]
async fn bought_inquiry_is_not_taken_over_from_unsent_reference_code() {
    let mut world = World::new(StoreKind::Redis).await;
    let mut proxy = SandboxProxy::to_sandbox(&mut world);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    proxy.open().await;
    let question = prepaid_question("", "PULSA10", PLAIN);
    let inquiry = gateway.inquirer().await.inquire_prepaid(question).await;
    let inquiry_code = inquiry.unwrap().into_inner().inquiry.unwrap().inquiry_code;
    let wanted = |code: &str| PurchasePrepaidRequest {
        inquiry_code: inquiry_code.clone(),
        ..order(code, PLAIN)
    };
    proxy.close().await;
    let [bought, loser, third] = [reference(), reference(), reference()];
    for code in [&bought, &loser, &bought] {
        let refused = client.purchase_prepaid(wanted(code)).await;
        assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    }
    proxy.open().await;
    assert_succeeded(&bought_now(client.purchase_prepaid(wanted(&bought)).await));

    let mut redis = world.redis.as_ref().unwrap().connection().await;
    let mut find = redis::cmd("KEYS");
    let find = find.arg(format!("okb:*:note:bound:main:{inquiry_code}"));
    let found: Vec<String> = find.query_async(&mut redis).await.unwrap();
    let late = [&loser, &bought]
        .map(|code| code.replace('-', ""))
        .join(" ");
    let mut write = redis::cmd("SET");
    write
        .arg(&found[0])
        .arg(late)
        .exec_async(&mut redis)
        .await
        .unwrap();
    let refused = client.purchase_prepaid(wanted(&third)).await;
    assert_refused(
        refused,
        Code::FailedPrecondition,
        "INQUIRY_ALREADY_USED",
        "no",
    );
    assert_eq!(world.ledger(&third).await.received, 0);
}

fn bought_now(
    answer: Result<tonic::Response<PurchasePrepaidResponse>, tonic::Status>,
) -> Transaction {
    bought(answer.unwrap().into_inner())
}

on_both_stores!(
    inquiry_is_paid_once_by_racing_reference_codes,
    concurrent_duplicates_pay_once,
    payment_is_replayed_after_inquiry_expired,
    inquiry_is_released_after_payment_failed,
    released_inquiry_is_paid_once_by_racing_reference_codes,
);
