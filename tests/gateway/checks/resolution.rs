//! Promise 8: `ResolveTransaction`, the only way out of NEEDS_REVIEW.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, EvidenceSource, ResolveTransactionRequest, Transaction,
    TransactionReason, TransactionResolution, TransactionState,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{
    on_both_stores,
    process::PATIENCE,
    world::{
        Client, Gateway, PENDING_FOR_EVER, PLAIN, StoreKind, World, assert_refused,
        assert_succeeded, buy, get, reference,
    },
};

fn ruling(
    code: &str,
    revision: i64,
    resolution: TransactionResolution,
) -> ResolveTransactionRequest {
    ResolveTransactionRequest {
        reference_code: code.to_owned(),
        revision,
        resolution: resolution.into(),
        operator: "siti@example".into(),
        note: "ticket 4711: customer service looked it up".into(),
        ..ResolveTransactionRequest::default()
    }
}

async fn resolve(
    client: &mut Client,
    request: ResolveTransactionRequest,
) -> Result<Transaction, Status> {
    let resolved = client.resolve_transaction(request).await?.into_inner();
    Ok(resolved.transaction.unwrap())
}

/// Creates a transaction whose checks are exhausted, so that it is in review.
async fn undecided(gateway: &Gateway) -> Transaction {
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    gateway
        .until(&code, |one| one.state() == TransactionState::NeedsReview)
        .await
}

async fn world(kind: StoreKind) -> (World, Gateway) {
    let mut world = World::new(kind).await;
    world.set("checks.give_up_after", "300ms");
    let gateway = world.start_gateway().await;
    (world, gateway)
}

async fn resolution_settles_transaction_in_review(kind: StoreKind) {
    let (_world, gateway) = world(kind).await;
    let mut client = gateway.client().await;
    for (resolution, state, refund) in [
        (
            TransactionResolution::Succeeded,
            TransactionState::Succeeded,
            false,
        ),
        (
            TransactionResolution::Failed,
            TransactionState::Failed,
            true,
        ),
    ] {
        let open = undecided(&gateway).await;
        let code = &open.reference_code;
        let mut request = ruling(code, open.revision, resolution);
        if resolution == TransactionResolution::Succeeded {
            request.serial_number = "5555 6666".into();
        }
        let settled = resolve(&mut client, request.clone()).await.unwrap();
        assert_eq!((settled.state(), settled.terminal), (state, true));
        assert_eq!(
            (
                settled.safe_to_refund,
                settled.next_step().allows_purchase()
            ),
            (refund, refund)
        );
        let (reason, serial) = if refund {
            (TransactionReason::Resolved, "")
        } else {
            (TransactionReason::Unspecified, "5555 6666")
        };
        assert_eq!(
            (settled.reason(), settled.serial_number.as_str()),
            (reason, serial)
        );
        let entry = settled
            .timeline
            .iter()
            .find(|entry| entry.source() == EvidenceSource::Operator);
        let entry = entry.unwrap();
        assert_eq!(
            (entry.operator.as_str(), &entry.note),
            ("siti@example", &request.note)
        );
        assert_eq!(settled.revision, open.revision + 1);
        // A repeated resolution changes nothing; a different one is stale.
        assert_eq!(
            resolve(&mut client, request.clone()).await.unwrap(),
            settled
        );
        request.note = "something else".into();
        let status = assert_refused(
            resolve(&mut client, request.clone()).await,
            Code::Aborted,
            "REVISION_CHANGED",
            "maybe",
        );
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["revision"], settled.revision.to_string());
        request.revision = settled.revision;
        let refused = resolve(&mut client, request).await;
        assert_refused(refused, Code::FailedPrecondition, "NOT_RESOLVABLE", "maybe");
        assert_eq!(get(&mut client, code).await.unwrap(), settled);
    }
}

async fn only_success_can_be_reversed(kind: StoreKind) {
    let (_world, gateway) = world(kind).await;
    let mut client = gateway.client().await;
    let code = reference();
    let bought = buy(&mut client, &code, PLAIN).await;
    assert_succeeded(&bought);
    for resolution in [
        TransactionResolution::Succeeded,
        TransactionResolution::Failed,
    ] {
        let refused = resolve(&mut client, ruling(&code, bought.revision, resolution)).await;
        let status = assert_refused(refused, Code::FailedPrecondition, "NOT_RESOLVABLE", "maybe");
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["state"], "SUCCEEDED");
    }
    let request = ruling(&code, bought.revision, TransactionResolution::Reversed);
    let reversed = resolve(&mut client, request).await.unwrap();
    assert_eq!(
        (reversed.state(), reversed.terminal),
        (TransactionState::Reversed, true)
    );
    assert!(reversed.safe_to_refund && reversed.next_step().allows_purchase());
    assert_eq!(
        reversed.serial_number, bought.serial_number,
        "the receipt must be kept"
    );
    // OKEBAYAR still reports success: that is no new evidence.
    let request = CheckTransactionRequest {
        account: String::new(),
        reference_code: code.clone(),
    };
    let checked = client
        .check_transaction(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        checked.transaction.unwrap().state(),
        TransactionState::Reversed
    );

    let open = undecided(&gateway).await;
    let request = ruling(
        &open.reference_code,
        open.revision,
        TransactionResolution::Reversed,
    );
    let refused = resolve(&mut client, request).await;
    assert_refused(refused, Code::FailedPrecondition, "NOT_RESOLVABLE", "maybe");
}

#[tokio::test]
async fn newer_proof_against_resolution_reopens_transaction() {
    let mut world = World::new(StoreKind::Embedded).await;
    // The schedule ends with the third check, whenever the machine makes the others.
    world
        .set("checks.give_up_after", "300ms")
        .set("checks.delays", "200ms,400ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    // Its checks are reset three times, which lasts longer than the purchase waits; later checks
    // report the success.
    let open = {
        buy(&mut client, &code, "080000000023").await;
        gateway
            .until(&code, |one| one.state() == TransactionState::NeedsReview)
            .await
    };
    let request = ruling(&code, open.revision, TransactionResolution::Failed);
    let failed = resolve(&mut client, request).await.unwrap();
    assert_eq!(
        (failed.state(), failed.safe_to_refund),
        (TransactionState::Failed, true)
    );
    let request = CheckTransactionRequest {
        account: String::new(),
        reference_code: code.clone(),
    };
    let reopening = async {
        loop {
            let checked = client.check_transaction(request.clone()).await.unwrap();
            let found = checked.into_inner().transaction.unwrap();
            if found.state() != TransactionState::Failed {
                return found;
            }
        }
    };
    let reopened = tokio::time::timeout(PATIENCE, reopening).await;
    let reopened = reopened.expect("the transaction was never reopened");
    assert_eq!(
        (reopened.state(), reopened.reason(), reopened.contradicted),
        (
            TransactionState::NeedsReview,
            TransactionReason::Contradicted,
            true
        )
    );
    assert!(!reopened.safe_to_refund && !reopened.terminal);
    // Having seen the new evidence, the operator resolves again.
    let request = ruling(&code, reopened.revision, TransactionResolution::Succeeded);
    let settled = resolve(&mut client, request).await.unwrap();
    assert_succeeded(&settled);
}

#[tokio::test]
async fn resolution_reports_all_violations() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let wrong = ResolveTransactionRequest {
        account: "NOBODY".into(),
        reference_code: "x".into(),
        note: "x".repeat(1025),
        ..ResolveTransactionRequest::default()
    };
    let status = resolve(&mut client, wrong).await.unwrap_err();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
    let all = [
        "account",
        "reference_code",
        "revision",
        "resolution",
        "operator",
        "note",
    ];
    assert_eq!(fields, all);
    let unknown = ruling(&reference(), 1, TransactionResolution::Failed);
    let refused = resolve(&mut client, unknown).await;
    assert_refused(refused, Code::NotFound, "TRANSACTION_NOT_FOUND", "no");
}

#[tokio::test]
async fn resolution_with_control_characters_is_rejected() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for hidden in [
        "a\nb",
        "a\tb",
        "a\u{1b}[2Jb",
        "a\u{85}b",
        "a\u{2028}b",
        "a\u{202e}b",
    ] {
        let mut request = ruling(&reference(), 1, TransactionResolution::Failed);
        request.operator = hidden.to_owned();
        request.note = hidden.to_owned();
        let status = resolve(&mut client, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{hidden:?}: {status}");
        let violations = status.get_details_bad_request().unwrap().field_violations;
        let fields: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["operator", "note"], "{hidden:?}");
    }
    // Any other text is permitted.
    let mut request = ruling(&reference(), 1, TransactionResolution::Failed);
    request.operator = "Siti Nurhaliza \u{2013} 山田".into();
    let refused = resolve(&mut client, request).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
}

on_both_stores!(
    resolution_settles_transaction_in_review,
    only_success_can_be_reversed,
);
