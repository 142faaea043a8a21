//! From the set of evidence to the standing of the transaction (promises 4 and 8).
//!
//! The fold looks at the set, never at an order of arrival: whatever way the
//! evidence came, and however often, the standing is the same. Each rule below
//! wins over the ones after it, and a settled state can be left only towards
//! NEEDS_REVIEW, because the rules that settle come before those that do not. A
//! human's resolution comes first of all; it stands until a proof that its author
//! had not seen contradicts it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    codes::{StatusCode, TraceCode},
    evidence::{EvidenceSet, NEVER_AGREES, Seen},
    intent::Operation,
    resolution::{Resolution, Verdict},
    state::{Doubt, ReviewCause, SerialNumberStatus, Standing, State},
    statement::{Details, Extra, FailureReason, Finding, NotSent, Source, Statement, Unknown},
};

/// The times by which evidence is judged. A transaction keeps those it began
/// with, so that a change of configuration never changes a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How far apart two agreeing doubtful checks must be; 5 minutes by default.
    pub doubtful_gap: SignedDuration,
    /// How long after the POST at the earliest "never received" is believed;
    /// 10 minutes by default (API page, 3.2).
    pub not_received_after: SignedDuration,
    /// The most by which the clocks of two gateways differ; 1 minute by default. Times in
    /// one record may come from two of them, so a rule that waits waits that much longer.
    /// Zero in a record of a release that did not know it: its standing stays as it was.
    #[serde(default)]
    pub clock_skew: SignedDuration,
}

impl Rules {
    /// Returns true when `to` is at least `wait` after `from`, whichever gateways read the
    /// clock.
    fn are_apart(&self, from: Timestamp, to: Timestamp, wait: SignedDuration) -> bool {
        to.duration_since(from) >= wait.saturating_add(self.clock_skew)
    }
}

/// What the evidence is about.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What kind of transaction it is.
    pub operation: Operation,
    /// The number of the latest attempt, counted from 1.
    pub attempt: u32,
    /// When the POST of that attempt can have left at the latest.
    pub armed_at: Timestamp,
    /// That attempt was held back, so it was not sent; an earlier one may have been, of
    /// which nothing is known.
    pub is_held_back: bool,
}

impl About {
    /// False for what was said before the latest attempt: the one before it provably
    /// sent nothing, so what settled nothing then says nothing now.
    fn concerns(self, at: Timestamp) -> bool {
        self.attempt == 1 || at >= self.armed_at
    }

    /// Reads an attempt that was held back as one that was sent, once a gateway has reported a
    /// POST under its reference code whose outcome is unknown: "never received" does not free
    /// the reference code then.
    fn given(self, evidence: &EvidenceSet) -> Self {
        let was_sent = evidence.iter().any(|entry| reports_post(entry, self));
        Self {
            is_held_back: self.is_held_back && !was_sent,
            ..self
        }
    }
}

type Entry<'a> = (&'a Statement, &'a Seen);

/// Returns true when a gateway reports a POST whose outcome is unknown.
fn reports_post((said, seen): Entry<'_>, about: About) -> bool {
    matches!(said.source, Source::Gateway | Source::Answer)
        && matches!(said.finding, Finding::Unknown(_))
        && about.concerns(seen.last)
}

/// What the evidence amounts to.
#[must_use]
pub fn fold(evidence: &EvidenceSet, about: About, rules: &Rules) -> Standing {
    let about = about.given(evidence);
    let (state, code) =
        resolved(evidence, about, rules).unwrap_or_else(|| conclude(evidence, about, rules));
    let reported = latest(evidence, |said, _| {
        (said.finding == Finding::Reported).then_some(())
    });
    Standing {
        trace_code: trace_code(evidence, state.is_settled()),
        reported: reported.and_then(|((), code)| code),
        state,
        code,
    }
}

/// What a statement settles by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Success,
    Failure,
    Resolution,
}

fn proof((said, seen): Entry<'_>, about: About, rules: &Rules) -> Option<Proof> {
    match said.finding {
        Finding::Succeeded => Some(Proof::Success),
        Finding::Resolved(_) => Some(Proof::Resolution),
        _ if unsent(said, seen, about, rules).is_some() => Some(Proof::Failure),
        _ => proven_failure(said, seen, about, rules).map(|_| Proof::Failure),
    }
}

/// The statements that settle something by themselves, resolutions among them.
pub(super) fn proofs<'a>(
    evidence: &'a EvidenceSet,
    about: About,
    rules: &Rules,
) -> impl Iterator<Item = &'a Statement> {
    let about = about.given(evidence);
    let entries = evidence.iter();
    entries.filter_map(move |entry| proof(entry, about, rules).map(|_| entry.0))
}

/// When it was last learnt that the latest attempt sent nothing.
pub(super) fn not_sent_at(
    evidence: &EvidenceSet,
    about: About,
    rules: &Rules,
) -> Option<Timestamp> {
    let about = about.given(evidence);
    let entries = evidence.iter();
    let times =
        entries.filter_map(|(said, seen)| unsent(said, seen, about, rules).map(|_| seen.last));
    times.max()
}

/// What humans decided, if they did: the last word is with a resolution that no
/// other one has seen.
fn resolved(
    evidence: &EvidenceSet,
    about: About,
    rules: &Rules,
) -> Option<(State, Option<StatusCode>)> {
    let decisions: Vec<(Verdict, &Resolution, &Statement)> = evidence
        .iter()
        .filter_map(|(said, _)| match said.finding {
            Finding::Resolved(verdict) => Some((verdict, said.resolution.as_deref()?, said)),
            _ => None,
        })
        .collect();
    let is_overruled = |said: &Statement| {
        let identity = said.identity();
        decisions
            .iter()
            .any(|(_, by, _)| by.saw.contains(&identity))
    };
    let standing: Vec<_> = decisions
        .iter()
        .filter(|(_, _, said)| !is_overruled(said))
        .collect();
    let (verdict, resolution, _) = **standing.first()?;
    let mut receipt = receipt(evidence);
    receipt.serial_number = receipt
        .serial_number
        .or_else(|| resolution.serial_number.clone());
    let has_success = latest(evidence, |said, _| {
        (said.finding == Finding::Succeeded).then_some(())
    });
    let is_contradicted = standing.iter().any(|(other, _, _)| *other != verdict)
        || evidence.iter().any(|entry| {
            let contradicts = match (proof(entry, about, rules), verdict) {
                (Some(Proof::Failure), Verdict::Succeeded)
                | (Some(Proof::Success), Verdict::Failed) => true,
                (_, Verdict::Succeeded | Verdict::Failed | Verdict::Reversed) => false,
            };
            contradicts && !resolution.saw.contains(&entry.0.identity())
        });
    let state = if is_contradicted {
        State::NeedsReview {
            cause: ReviewCause::Contradicted,
            receipt: has_success.map(|_| receipt),
        }
    } else {
        match verdict {
            Verdict::Failed => State::Failed(FailureReason::Resolved),
            Verdict::Reversed => State::Reversed { receipt },
            Verdict::Succeeded => {
                let serial_number = match (&receipt.serial_number, about.operation) {
                    (Some(_), _) => SerialNumberStatus::Present,
                    (None, Operation::PayPostpaid) => SerialNumberStatus::NotDue,
                    (None, Operation::PurchasePrepaid) => SerialNumberStatus::Missing,
                };
                State::Succeeded {
                    receipt,
                    serial_number,
                }
            }
        }
    };
    Some((state, code_of(has_success)))
}

/// The state, and the status code on which it rests.
fn conclude(evidence: &EvidenceSet, about: About, rules: &Rules) -> (State, Option<StatusCode>) {
    let is = |wanted: Finding| latest(evidence, |said, _| (said.finding == wanted).then_some(()));
    let success = is(Finding::Succeeded);
    let pending = is(Finding::Pending);
    let gave_up = is(Finding::ChecksExhausted);
    let paid_meanwhile = is(Finding::PaidMeanwhile);
    let failure = latest(evidence, |said, seen| {
        proven_failure(said, seen, about, rules)
    });
    let not_sent = latest(evidence, |said, seen| unsent(said, seen, about, rules));
    let doubtful = latest(evidence, |said, seen| match said.finding {
        _ if !about.concerns(seen.last) => None,
        Finding::Doubtful(reason) => Some(reason),
        Finding::NotReceived => Some(FailureReason::NotReceived),
        _ => None,
    });
    // A check that shows OKEBAYAR's record and decides nothing leaves the state as it is.
    let unknown = latest(evidence, |said, seen| match said.finding {
        Finding::Unknown(why) if said.source != Source::Check && about.concerns(seen.last) => {
            Some(why)
        }
        _ => None,
    });
    let never_received = evidence.iter().any(|(said, seen)| {
        said.finding == Finding::NotReceived && was_never_received(seen, about, rules)
    });
    // A POST whose outcome is unknown was sent. Beside proof that nothing was, it is one of a
    // later attempt, which the store has lost.
    // One whose sender is lost may never have left.
    let is_lost = |said: &Statement| said.finding == Finding::Unknown(Unknown::SenderLost);
    let was_sent = evidence
        .iter()
        .any(|entry| reports_post(entry, about) && !is_lost(entry.0));
    let received = evidence.shows_receipt() || was_sent && not_sent.is_some();

    let review = |cause| {
        let receipt = success.map(|_| receipt(evidence));
        State::NeedsReview { cause, receipt }
    };
    let spent = success.is_some();
    if spent && (failure.is_some() || not_sent.is_some())
        || received && (not_sent.is_some() || never_received)
    {
        return (review(ReviewCause::Contradicted), code_of(success));
    }
    if gave_up.is_some() {
        let code = [
            code_of(success),
            code_of(failure),
            code_of(doubtful),
            code_of(pending),
        ];
        return (
            review(ReviewCause::ChecksExhausted),
            code.into_iter().flatten().next(),
        );
    }
    if let Some(((), code)) = paid_meanwhile {
        return (review(ReviewCause::PaidMeanwhile), code);
    }
    if let Some(((), code)) = success {
        let receipt = receipt(evidence);
        let serial_number = serial_number_status(evidence, &receipt, about.operation);
        return (
            State::Succeeded {
                receipt,
                serial_number,
            },
            code,
        );
    }
    if let Some((reason, code)) = failure {
        return (State::Failed(reason), code);
    }
    if let Some((why, code)) = not_sent {
        return (State::NotSent(why), code);
    }
    if let Some((reason, code)) = doubtful {
        return (State::Confirming(Doubt::Unproven(reason)), code);
    }
    if let Some(((), code)) = pending {
        return (State::Pending, code);
    }
    match unknown {
        Some((why, code)) => (State::Confirming(Doubt::Unknown(why)), code),
        None if about.is_held_back => (State::Confirming(Doubt::HeldBack), None),
        None => (State::Sending, None),
    }
}

fn code_of<T>(found: Option<(T, Option<StatusCode>)>) -> Option<StatusCode> {
    found?.1
}

/// What `read` makes of the latest statement of which it makes anything, and that
/// statement's status code.
fn latest<T>(
    evidence: &EvidenceSet,
    read: impl Fn(&Statement, &Seen) -> Option<T>,
) -> Option<(T, Option<StatusCode>)> {
    let found = evidence
        .iter()
        .filter_map(|entry| Some((entry, read(entry.0, entry.1)?)));
    let (entry, value) = found.max_by_key(|(entry, _)| rank(entry))?;
    Some((value, entry.0.code))
}

/// Which of several statements of one kind is shown: the one seen last, and the
/// greater one of two seen at the same time.
fn rank<'a>(entry: &Entry<'a>) -> (Timestamp, &'a Statement) {
    (entry.1.last, entry.0)
}

/// Why this statement proves a failure, if it does.
fn proven_failure(
    said: &Statement,
    seen: &Seen,
    about: About,
    rules: &Rules,
) -> Option<FailureReason> {
    match said.finding {
        Finding::Failed(reason) => Some(reason),
        Finding::Doubtful(reason) => {
            let may_agree = said.source == Source::Check && said.after != Some(NEVER_AGREES);
            let agree = rules.are_apart(seen.first, seen.last, rules.doubtful_gap);
            (may_agree && agree && about.concerns(seen.first)).then_some(reason)
        }
        Finding::NotReceived if !about.is_held_back => {
            was_never_received(seen, about, rules).then_some(FailureReason::NotReceived)
        }
        _ => None,
    }
}

/// Why this statement proves that nothing was sent, if it does. For an attempt that
/// was held back OKEBAYAR's "never received" does: the reference code is unused.
fn unsent(said: &Statement, seen: &Seen, about: About, rules: &Rules) -> Option<NotSent> {
    match said.finding {
        Finding::NotSent { attempt, why } => (attempt == about.attempt).then_some(why),
        Finding::NotReceived if about.is_held_back => {
            was_never_received(seen, about, rules).then_some(NotSent::HeldBack)
        }
        _ => None,
    }
}

/// "Never received" was said long enough after the attempt.
fn was_never_received(seen: &Seen, about: About, rules: &Rules) -> bool {
    rules.are_apart(about.armed_at, seen.last, rules.not_received_after)
}

/// Each detail from the success seen last that has it: an answer without a
/// serial number and the check that brings it make one receipt.
fn receipt(evidence: &EvidenceSet) -> Details {
    let mut successes: Vec<Entry<'_>> = evidence
        .iter()
        .filter(|(said, _)| said.finding == Finding::Succeeded)
        .collect();
    successes.sort_by_key(|entry| std::cmp::Reverse(rank(entry)));
    let mut receipt = Details::default();
    for (Statement { details, .. }, _) in successes {
        receipt.serial_number = receipt
            .serial_number
            .or_else(|| details.serial_number.clone());
        receipt.price = receipt.price.or(details.price);
        receipt.balance = receipt.balance.or(details.balance);
        receipt.time = receipt.time.or(details.time);
        receipt.info = receipt.info.or_else(|| details.info.clone());
        if receipt.extra == Extra::default() {
            receipt.extra = details.extra.clone();
        }
    }
    receipt
}

/// A success with code 000 and no serial number has none to come (000 means
/// "serial number present", API page section 5, yet some products have none):
/// it is awaited all the same, as after 001, until the schedule ends. A payment's
/// answer has none (section 3), so after 000 nothing is awaited.
fn serial_number_status(
    evidence: &EvidenceSet,
    receipt: &Details,
    operation: Operation,
) -> SerialNumberStatus {
    let is_complete = |said: &Statement| {
        said.finding == Finding::Succeeded && said.code == Some(StatusCode::SUCCESS)
    };
    if receipt.serial_number.is_some() {
        SerialNumberStatus::Present
    } else if operation == Operation::PayPostpaid
        && evidence.iter().any(|(said, _)| is_complete(said))
    {
        SerialNumberStatus::NotDue
    } else if evidence
        .iter()
        .any(|(said, _)| said.finding == Finding::SerialNumberGivenUp)
    {
        SerialNumberStatus::Missing
    } else {
        SerialNumberStatus::Pending
    }
}

/// Returns the trace code of the POST's own answer, else that of a callback once the outcome is
/// settled; never one first seen in a check (API page, 3.2), or that of an inquiry.
fn trace_code(evidence: &EvidenceSet, settled: bool) -> Option<TraceCode> {
    let from = |source: Source| {
        evidence
            .iter()
            .filter(|(said, _)| said.source == source && said.details.trace_code.is_some())
            .filter(|(said, _)| !said.is_about_inquiry())
            .max_by_key(rank)
            .and_then(|(said, _)| said.details.trace_code.clone())
    };
    from(Source::Answer).or_else(|| {
        if settled {
            from(Source::Callback)
        } else {
            None
        }
    })
}
