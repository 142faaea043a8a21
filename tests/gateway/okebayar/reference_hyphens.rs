//! `reference_code_hyphens`: the form of a reference code towards OKEBAYAR. A transaction keeps the
//! form of its first attempt whatever the configuration says later: OKEBAYAR may take another form
//! for another purchase.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, PurchasePrepaidRequest, Transaction, TransactionState, WaitUntil,
};
use tonic::Code;

use crate::support::{
    failover::assert_quarantined,
    on_both_stores,
    process::PATIENCE,
    world::{
        CALLBACK_LOST, FORMATS, PENDING_THEN_SUCCESS, PLAIN, StoreKind, World, assert_refused,
        assert_succeeded, bought, buy, get, order, prepaid_question, reference,
    },
};

const SETTING: &str = "accounts.main.reference_code_hyphens";

fn bare(code: &str) -> String {
    code.replace('-', "")
}

async fn hyphens_are_left_out_and_answers_match_in_either_form(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world
            .set(SETTING, "omit")
            .set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let (at_once, by_callback, by_check) = (reference(), reference(), reference());
        assert_succeeded(&buy(&mut client, &at_once, PLAIN).await);
        for (code, number) in [
            (&by_callback, PENDING_THEN_SUCCESS),
            (&by_check, CALLBACK_LOST),
        ] {
            let mut request = order(code, number);
            request.set_wait_until(WaitUntil::Terminal);
            let settled = client.purchase_prepaid(request).await.unwrap();
            let settled = bought(settled.into_inner());
            assert_succeeded(&settled);
            assert_eq!(settled.reference_code, *code, "as first given");
        }
        for code in [&at_once, &by_callback, &by_check] {
            assert_eq!(world.ledger(&bare(code)).await.received, 1, "{format}");
            assert_eq!(world.ledger(code).await.received, 0, "{format}");
        }
        // The purchase and its inquiry have the same form.
        let code = reference();
        let asked = prepaid_question(&code, "HPLNPRA20", "14234567895");
        let mut inquirer = gateway.inquirer().await;
        let inquiry = inquirer.inquire_prepaid(asked).await.unwrap().into_inner();
        let request = PurchasePrepaidRequest {
            product_code: "HPLNPRA20".into(),
            account_number: "14234567895".into(),
            inquiry_code: inquiry.inquiry.unwrap().inquiry_code,
            ..order(&code, PLAIN)
        };
        let token = client.purchase_prepaid(request).await.unwrap();
        assert_succeeded(&bought(token.into_inner()));
        assert_eq!(world.ledger(&bare(&code)).await.received, 1);
    }
}

async fn open_transaction_keeps_its_form_over_a_change_of_configuration(kind: StoreKind) {
    for (before, after) in [("keep", "omit"), ("omit", "keep")] {
        let mut world = World::new(kind).await;
        world.set(SETTING, before).check_rarely();
        let mut gateway = world.start_gateway().await;
        let code = reference();
        let mut client = gateway.client().await;
        let open = buy(&mut client, &code, CALLBACK_LOST).await;
        assert_eq!(open.state(), TransactionState::Pending);
        gateway.process.kill().await;
        world.set(SETTING, after);
        world.set("checks.pending_first", "50ms");
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let settled = async {
            loop {
                let request = CheckTransactionRequest {
                    reference_code: code.clone(),
                    ..Default::default()
                };
                let checked = client.check_transaction(request).await.unwrap();
                let found = checked.into_inner().transaction.unwrap();
                if found.terminal {
                    return found;
                }
            }
        };
        let settled = tokio::time::timeout(PATIENCE, settled).await.unwrap();
        assert_succeeded(&settled);
        let (sent, other) = match before {
            "keep" => (code.clone(), bare(&code)),
            _ => (bare(&code), code.clone()),
        };
        let (sent, other) = (world.ledger(&sent).await, world.ledger(&other).await);
        assert_eq!((sent.received, other.received), (1, 0), "{before}");
        assert!(sent.checks > 0 && other.checks == 0, "{before}");
    }
}

async fn armed_again_transaction_keeps_its_form(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    world.set(SETTING, "keep");
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    let refused = client.purchase_prepaid(order(&code, PLAIN)).await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    gateway.process.kill().await;
    world.start_sandbox().await;
    world.set(SETTING, "omit");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let stored = get(&mut client, &code).await.unwrap();
    assert_eq!(stored.state(), TransactionState::NotSent);
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    assert_eq!(world.ledger(&code).await.received, 1);
    assert_eq!(world.ledger(&bare(&code)).await.received, 0);
}

on_both_stores!(
    hyphens_are_left_out_and_answers_match_in_either_form,
    open_transaction_keeps_its_form_over_a_change_of_configuration,
    armed_again_transaction_keeps_its_form,
);

/// After a loss of the record nothing tells in which form the purchase was sent.
#[tokio::test]
async fn denial_of_one_form_does_not_release_quarantined_purchase_of_the_other() {
    for (before, after) in [("keep", "omit"), ("omit", "keep")] {
        let mut world = World::new(StoreKind::Redis).await;
        world
            .set(SETTING, before)
            .set("accounts.main.not_received_codes", "400")
            .set("limits.queue_timeout", "500ms")
            .set("store.timeout", "2s");
        let mut gateway = world.start_gateway().await;
        let (paid, unknown) = (reference(), reference());
        let mut client = gateway.client().await;
        assert_succeeded(&buy(&mut client, &paid, PLAIN).await);
        gateway.process.kill().await;
        world.set(SETTING, after);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        world.flush_redis().await;
        for code in [&paid, &unknown] {
            assert_quarantined(&buy(&mut client, code, PLAIN).await);
        }
        let is_unsent = |one: &Transaction| one.state() == TransactionState::NotSent;
        gateway.until(&unknown, is_unsent).await;
        // The other one is checked as often, in both forms, and stays quarantined.
        let checks = world.ledger(&unknown).await.checks;
        let at_least = format!("checks={}", checks + 2);
        for form in [paid.clone(), bare(&paid)] {
            world.ledger_when(&form, &at_least).await;
        }
        let held = buy(&mut client, &paid, PLAIN).await;
        assert_eq!(held.state(), TransactionState::Confirming, "{before}");
        let (given, bare) = (world.ledger(&paid).await, world.ledger(&bare(&paid)).await);
        assert_eq!(given.received + bare.received, 1, "{before}");
    }
}
