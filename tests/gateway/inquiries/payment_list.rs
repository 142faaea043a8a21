//! The bounded list of the payments of one bill.

use okebayar_gateway::{
    grpc::v1::{TransactionReason, TransactionState},
    inquiries::bill_list,
    transaction::Verbatim,
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    bills::{
        ANNA, MANY, assert_open, key, list_without_record, pay_beside, store_of,
        world_with_repeatable_payments,
    },
    on_both_stores,
    payments::SandboxProxy,
    world::{
        PENDING_FOR_EVER, RESET_AND_CALLBACK_LOST, StoreKind, WATER, World, assert_refused, pay,
        reference,
    },
};

/// A reader of a full list may replace an entry without a record; a claim that it did not see must
/// prevent that.
#[tokio::test]
async fn rearmed_claim_moves_to_end_of_full_list() {
    let mut world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    let mut proxy = SandboxProxy::to_sandbox(&mut world);
    proxy.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = reference();
    proxy.close().await;
    let unsent = pay(&mut client, &code, &inquiry).await;
    assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    for _ in 1..64 {
        list_without_record(&world, ANNA, &reference()).await;
    }
    let listed = async || {
        let store = store_of(&world).await;
        let customer = Verbatim::new(format!("{ANNA}/"));
        bill_list::of_bill(&store, &customer).await.unwrap()
    };
    let before = listed().await;
    assert!(before.is_full());
    assert_eq!(before.keys().first(), Some(&key(&code)));
    proxy.open().await;
    pay(&mut client, &code, &inquiry).await.unwrap();
    let after = listed().await;
    assert_eq!(after.keys().last(), Some(&key(&code)));
    assert_eq!(after.keys().len(), 64);
}

/// The retention removes an unsent payment that a call arms again meanwhile.
#[tokio::test]
async fn rearmed_claim_stays_in_list_from_which_it_is_being_removed() {
    let mut world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    let mut proxy = SandboxProxy::to_sandbox(&mut world);
    proxy.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = reference();
    proxy.close().await;
    let unsent = pay(&mut client, &code, &inquiry).await;
    assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    let (store, customer) = (store_of(&world).await, Verbatim::new(format!("{ANNA}/")));
    let listed = bill_list::of_bill(&store, &customer).await.unwrap();
    assert_eq!(listed.keys(), [key(&code)]);
    let (id, now) = (
        uuid::Uuid::from_u128(1),
        (okebayar_gateway::ambient::Ambient::system().now)(),
    );
    let marked = bill_list::mark(&store, &customer, listed, id, now).await;
    let marked = marked.unwrap().unwrap();
    proxy.open().await;
    pay(&mut client, &code, &inquiry).await.unwrap();
    let removed = [key(&code)];
    let removing = bill_list::remove(&store, &customer, &marked, &removed, now);
    assert!(!removing.await.unwrap(), "the claim wrote the list");
    let listed = bill_list::of_bill(&store, &customer).await.unwrap();
    assert_eq!(listed.keys(), [key(&code)]);
    assert!(!listed.is_marked());
}

async fn rejected_calls_do_not_evict_open_payment_from_list(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, RESET_AND_CALLBACK_LOST).await;
    let second = gateway.bill(WATER, RESET_AND_CALLBACK_LOST).await;
    let open = reference();
    pay(&mut client, &open, &inquiry).await.unwrap();
    for _ in 0..MANY {
        let refused = pay(&mut client, &reference(), &inquiry).await;
        let used = "INQUIRY_ALREADY_USED";
        let status = assert_refused(refused, Code::FailedPrecondition, used, "no");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["other_reference_code"], open);
        assert!(!status.message().contains("inquire again"), "{status}");
    }
    // Only one process can open the embedded store.
    if kind == StoreKind::Redis {
        let store = store_of(&world).await;
        let customer = Verbatim::new(format!("{RESET_AND_CALLBACK_LOST}/"));
        let listed = bill_list::of_bill(&store, &customer).await.unwrap();
        assert_eq!(
            listed.keys(),
            [key(&open)],
            "a rejected call must not be listed"
        );
    }
    let contested = reference();
    let answer = pay_beside(&mut client, &contested, &second, &[&open]).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status_code, "401");
    assert_eq!(
        (answer.state(), answer.reason()),
        (
            TransactionState::NeedsReview,
            TransactionReason::PaidMeanwhile
        )
    );
}

async fn full_list_evicts_only_settled_payments(kind: StoreKind) {
    let mut world = world_with_repeatable_payments(kind, "json").await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, PENDING_FOR_EVER).await;
    let again = gateway.bill(WATER, PENDING_FOR_EVER).await;
    let open = reference();
    pay(&mut client, &open, &inquiry).await.unwrap();
    let declined = r#"{"responsecode":"203"}"#;
    world.misprint(PENDING_FOR_EVER, declined).await;
    let mut last = String::new();
    for _ in 0..MANY {
        last = reference();
        let failed = pay_beside(&mut client, &last, &again, &[&open]).await;
        assert_eq!(failed.unwrap().state(), TransactionState::Failed);
    }
    world.misprint(PENDING_FOR_EVER, "{}").await;
    let code = reference();
    let around = (&world, &mut client);
    let refused = pay(around.1, &code, &again).await;
    assert_open(around, refused, &code, &open).await;
    assert_eq!(world.ledger(&last).await.received, 1);
}

#[tokio::test]
async fn payment_is_rejected_when_list_is_full_of_open_payments() {
    let mut world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut open: Vec<String> = Vec::new();
    let mut pay_one = async |code: &str| {
        let inquiry = gateway.bill(WATER, PENDING_FOR_EVER).await;
        let known: Vec<&str> = open.iter().map(String::as_str).collect();
        let paid = pay_beside(&mut client, code, &inquiry, &known).await;
        open.push(code.to_owned());
        paid
    };
    for _ in 0..64 {
        pay_one(&reference()).await.unwrap();
    }
    let code = reference();
    let refused = pay_one(&code).await;
    let reason = "BILL_PAYMENT_OPEN";
    assert_refused(refused, Code::FailedPrecondition, reason, "no");
    assert_eq!(world.ledger(&code).await.received, 0);
}

on_both_stores!(
    rejected_calls_do_not_evict_open_payment_from_list,
    full_list_evicts_only_settled_payments,
);
