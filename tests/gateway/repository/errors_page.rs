//! docs/ERRORS.md, rendered from the contract and what the code does with it.

use okebayar_gateway::grpc::{ErrorReasonFacts, OutcomeFacts, error_reasons, outcomes, v1};
use prost_reflect::{DescriptorPool, EnumDescriptor};
use tonic::Code;

use super::{
    contract::{PACKAGE, linked_names, value_comment},
    markdown::{Links, table},
};

const HEAD: &str = "\
<!-- Generated from proto/ and src/grpc/ by `make docs`. Do not edit. -->

# Errors

A purchase that OKEBAYAR declined is no error: the response is OK, and its transaction is in
`TRANSACTION_STATE_FAILED`. A gRPC error is about the call itself. After any error it is safe to
call again with the same reference code: the gateway purchases at most once.

## An error's details

The details of an error hold one `google.rpc.ErrorInfo`:

- `domain` is `gateway.okebayar`.
- `reason` is one of the reasons below. Act on it, or on the code if it is unknown to you; never on
  the message, which is for people and may change.
- `metadata` holds what is dynamic:
  - `sent` is about the reference code, not about this call. It is `no` if the request is about no
    reference code, or if the gateway read its store and nothing was ever sent to OKEBAYAR under the
    reference code. Otherwise it is `maybe`: neither refund the customer nor purchase under another
    reference code.
  - `next_step` is the action that the caller of PurchasePrepaid or PayPostpaid takes next (see
    [the next steps](#the-next-steps)). While `sent` is `maybe`, it is `RETRY_SAME_REFERENCE` where
    the table has a step that begins another purchase (`BUY_AGAIN`, `INQUIRE_AGAIN`). Errors of
    other calls may have the key too, without meaning.
  - Further keys depend on the reason.

`google.rpc.RetryInfo` in the details holds the time to wait before the next try.
`google.rpc.BadRequest` (INVALID_REQUEST) lists every violation of the request.

**An error without this ErrorInfo** comes from a client library or a proxy, such as a deadline that
the client itself enforces. Treat it as `sent` = `maybe` and `next_step` = `RETRY_SAME_REFERENCE`.
An unknown `next_step` is `CONTACT_OPERATOR`. [VERSIONING.md](VERSIONING.md) lists what may be
added.

The column *repeated by a policy* answers whether a retry policy of a gRPC client, which sends the
same request again, may do so: *yes* for UNAVAILABLE and a lost race, *after the delay* where a
RetryInfo gives one, and otherwise *no*, because the same request fails again, has no time left, or
needs a decision first. The [service config](../proto/okebayar/gateway/v1/README.md) lists the codes
for each method.
";

const OUTCOMES_HEAD: &str = "\
## The next step after an outcome

What a caller does with a transaction that a call returned, by its state and reason. `next_step` of
the transaction holds it, so that no caller needs this table. The reasons are those of the enum
[TransactionReason](API.md#transactionreason), without `TRANSACTION_REASON_`.
";

/// Renders the page.
pub fn render(pool: &DescriptorPool) -> String {
    let names = linked_names(pool);
    let page = ErrorsPage {
        links: Links {
            names: &names,
            page: "API.md",
        },
        reasons: enum_of(pool, "ErrorReason"),
        steps: enum_of(pool, "NextStep"),
    };
    let (with_step, others): (Vec<_>, Vec<_>) = error_reasons()
        .into_iter()
        .partition(|facts| !facts.next_steps.is_empty());
    [
        HEAD.to_owned(),
        "## Reasons with a next step\n\nThose of purchases and payments. Other calls share some of \
         them.\n"
            .to_owned(),
        page.with_next_step(&with_step),
        "## Reasons of other calls\n\nThose of calls that purchase nothing.\n".to_owned(),
        page.without_next_step(&others),
        "## The next steps\n".to_owned(),
        page.next_steps(),
        OUTCOMES_HEAD.to_owned(),
        outcome_table(),
    ]
    .join("\n")
}

struct ErrorsPage<'a> {
    links: Links<'a>,
    reasons: EnumDescriptor,
    steps: EnumDescriptor,
}

impl ErrorsPage<'_> {
    fn with_next_step(&self, reasons: &[ErrorReasonFacts]) -> String {
        let rows: Vec<_> = reasons
            .iter()
            .map(|facts| {
                let steps: Vec<_> = facts.next_steps.iter().copied().map(step_name).collect();
                let [reason, codes, repeated, metadata, meaning] = self.row(facts);
                let step = steps.join(" or ");
                [reason, codes, step, repeated, metadata, meaning]
            })
            .collect();
        let head = [
            "reason",
            "code",
            "next step",
            "repeated by a policy",
            "metadata",
            "meaning",
        ];
        table(head, &rows)
    }

    fn without_next_step(&self, reasons: &[ErrorReasonFacts]) -> String {
        let rows: Vec<_> = reasons.iter().map(|facts| self.row(facts)).collect();
        table(
            [
                "reason",
                "code",
                "repeated by a policy",
                "metadata",
                "meaning",
            ],
            &rows,
        )
    }

    fn row(&self, facts: &ErrorReasonFacts) -> [String; 5] {
        let codes: Vec<_> = facts.codes.iter().copied().map(spelled).collect();
        let codes = if codes.len() > 2 {
            "any".to_owned()
        } else {
            codes.join(" or ")
        };
        let metadata: Vec<_> = facts
            .metadata
            .iter()
            .map(|key| format!("`{key}`"))
            .collect();
        let comment = value_comment(&self.reasons, facts.reason as i32);
        // The first words are the codes, which have a column of their own.
        let (_, meaning) = comment.split_once('.').unwrap();
        [
            format!("`{}`", facts.name),
            codes,
            repeated(facts),
            metadata.join(", "),
            self.links.cell(meaning.trim(), ""),
        ]
    }

    fn next_steps(&self) -> String {
        let values = self.steps.values().filter(|value| value.number() != 0);
        let rows: Vec<_> = values
            .map(|value| {
                let meaning = value_comment(&self.steps, value.number());
                let name = value.name().trim_start_matches("NEXT_STEP_");
                [format!("`{name}`"), self.links.cell(&meaning, "")]
            })
            .collect();
        table(["next step", "meaning"], &rows)
    }
}

/// Returns the answer whether a retry policy may repeat a call that ended with the reason.
fn repeated(facts: &ErrorReasonFacts) -> String {
    let is_unavailable = |code: &Code| *code == Code::Unavailable;
    let is_race = facts.reason == v1::ErrorReason::ReferenceCodeContended;
    if facts.has_retry_info {
        "after the delay".to_owned()
    } else if is_race || facts.codes.iter().all(is_unavailable) {
        "yes".to_owned()
    } else if facts.codes.iter().any(is_unavailable) {
        "if UNAVAILABLE".to_owned()
    } else {
        "no".to_owned()
    }
}

fn outcome_table() -> String {
    let mut groups: Vec<(OutcomeFacts, Vec<String>)> = Vec::new();
    for outcome in outcomes() {
        let reason = match outcome.reason {
            v1::TransactionReason::Unspecified => "none".to_owned(),
            reason => reason.as_str_name().replace("TRANSACTION_REASON_", ""),
        };
        let same = |(other, _): &&mut (OutcomeFacts, Vec<String>)| {
            let reason = other.reason;
            *other == OutcomeFacts { reason, ..outcome }
        };
        match groups.iter_mut().find(same) {
            Some((_, reasons)) => reasons.push(reason),
            None => groups.push((outcome, vec![reason])),
        }
    }
    let yes_or_no = |is_true| if is_true { "yes" } else { "no" }.to_owned();
    let rows: Vec<_> = groups
        .into_iter()
        .map(|(outcome, reasons)| {
            let state = outcome
                .state
                .as_str_name()
                .replace("TRANSACTION_STATE_", "");
            let mut reasons: Vec<_> = reasons;
            reasons.dedup();
            let condition = if outcome.condition.is_empty() {
                reasons.join(", ")
            } else {
                outcome.condition.to_owned()
            };
            [
                format!("`{state}`"),
                condition,
                step_name(outcome.next_step),
                yes_or_no(outcome.is_terminal),
                yes_or_no(outcome.is_safe_to_refund),
            ]
        })
        .collect();
    let head = ["state", "reason", "next step", "terminal", "safe to refund"];
    table(head, &rows)
}

fn enum_of(pool: &DescriptorPool, name: &str) -> EnumDescriptor {
    pool.get_enum_by_name(&format!("{PACKAGE}.{name}")).unwrap()
}

fn step_name(step: v1::NextStep) -> String {
    format!("`{}`", step.as_str_name().replace("NEXT_STEP_", ""))
}

/// Returns the name of a code as gRPC spells it.
fn spelled(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
