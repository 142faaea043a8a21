//! Resolution by an operator (promise 8).

use std::sync::Arc;

use okebayar_gateway::transaction::{
    FailureReason, Finding, Source, Statement, Transaction, Verdict,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::support::{
    core::{at, schedule, transaction},
    evidence::{any_finding, ruling, statement, success},
};

#[test]
fn resolution_settles_only_review_and_reverses_only_success() {
    let open = transaction(12);
    let cannot = |from: &Transaction, verdict| {
        let ruling = ruling(verdict, from.revision());
        from.resolve(&ruling, at(2), &schedule()).is_err()
    };
    for verdict in [Verdict::Succeeded, Verdict::Failed, Verdict::Reversed] {
        assert!(
            cannot(&open, verdict),
            "a SENDING transaction must not be resolved"
        );
    }
    let bought = open.observe([success(Source::Answer, Some("1"))], at(1), &schedule());
    let bought = bought.unwrap().transaction;
    assert!(cannot(&bought, Verdict::Succeeded) && cannot(&bought, Verdict::Failed));
    let late = ruling(Verdict::Reversed, bought.revision() - 1);
    assert!(
        bought.resolve(&late, at(2), &schedule()).is_err(),
        "a stale resolution must be rejected"
    );
    let taken_back = ruling(Verdict::Reversed, bought.revision());
    let reversed = bought
        .resolve(&taken_back, at(2), &schedule())
        .unwrap()
        .unwrap();
    let state = reversed.transaction.status().state;
    assert_eq!(state.name(), "REVERSED");
    assert!(state.is_terminal() && state.safe_to_refund() && state.next_step().allows_purchase());
    let again = reversed
        .transaction
        .resolve(&taken_back, at(3), &schedule());
    assert!(
        again.unwrap().is_none(),
        "a repeated resolution must change nothing"
    );
    // OKEBAYAR's repeated statements are no new evidence; a failure agrees.
    let failed = Finding::Failed(FailureReason::Cancelled);
    let later = [
        success(Source::Check, Some("1")),
        Statement::bare(Source::Check, failed),
    ];
    let later = reversed
        .transaction
        .observe(later, at(4), &schedule())
        .unwrap();
    assert_eq!(later.transaction.status().state.name(), "REVERSED");
}

proptest! {
    #[test]
    fn resolution_stands_until_newer_proof_contradicts_it(
        said in vec(statement(any_finding()), 0..6),
        more in vec(statement(any_finding()), 0..6),
        verdict in select(vec![Verdict::Succeeded, Verdict::Failed]),
    ) {
        let open = transaction(11);
        let exhausted = Statement::bare(Source::Gateway, Finding::ChecksExhausted);
        let said = said.into_iter().map(|(statement, _)| statement).chain([exhausted]);
        let open = open.observe(said, at(1), &schedule()).unwrap().transaction;
        prop_assert_eq!(open.status().state.name(), "NEEDS_REVIEW");
        let ruling = ruling(verdict, open.revision());
        let change = open.resolve(&ruling, at(2), &schedule()).unwrap().unwrap();
        let settled = change.transaction;
        let expected = if verdict == Verdict::Succeeded { "SUCCEEDED" } else { "FAILED" };
        prop_assert_eq!(settled.status().state.name(), expected);
        prop_assert!(settled.status().state.is_terminal() && settled.due_at().is_none());
        // Repeated evidence of any kind changes nothing.
        let again: Vec<Statement> = settled.evidence().iter().map(|(one, _)| one.clone()).collect();
        let repeated = settled
            .observe(again.clone(), at(3), &schedule())
            .map_or_else(|| Arc::clone(&settled), |change| change.transaction);
        prop_assert_eq!(repeated.status().state.name(), expected);
        // Newer evidence keeps the resolution or escalates to review again.
        let known: Vec<Statement> = again.iter().map(Statement::identity).collect();
        let contradicts = more.iter().any(|(one, _)| {
            let proves = match (verdict, one.finding) {
                (Verdict::Failed, Finding::Succeeded)
                | (Verdict::Succeeded, Finding::Failed(_)) => true,
                (Verdict::Succeeded, Finding::NotSent { attempt, .. }) => attempt == 1,
                _ => false,
            };
            proves && !known.contains(&one.identity())
        });
        let may_contradict = more.iter().any(|(one, _)| {
            matches!(one.finding, Finding::Doubtful(_) | Finding::NotReceived)
        });
        let newer = more.into_iter().map(|(statement, _)| statement);
        let after = settled
            .observe(newer, at(1500), &schedule())
            .map_or_else(|| Arc::clone(&settled), |change| change.transaction);
        let name = after.status().state.name();
        if contradicts {
            prop_assert_eq!(name, "NEEDS_REVIEW");
        } else if !may_contradict {
            prop_assert_eq!(name, expected);
        }
        prop_assert!([expected, "NEEDS_REVIEW"].contains(&name));
    }
}
