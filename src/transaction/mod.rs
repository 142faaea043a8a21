//! The core: what a transaction is, and what evidence makes of it. Pure: no
//! async, no clock, no log, no store; time is an argument.
//!
//! ```text
//! Intent -> Transaction --observe(statements)--> fold(evidence) -> Standing
//!                                            \-> Schedule -> next check
//! ```

mod account_names;
mod amount;
mod attempt;
mod codes;
mod evidence;
mod fold;
mod inquiries;
mod inquiry;
mod intent;
mod order;
mod release;
mod resolution;
mod schedule;
mod state;
mod statement;
mod status_codes;
mod unrecognized;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use account_names::AccountNames;
pub use amount::{Amount, BadAmount, Quoted};
use attempt::Attempt;
pub use attempt::{Arming, AttemptToken, Base, HeldBack, LeaseToken};
pub use codes::{
    AccountName, AccountNumber, BadCode, InquiryCode, Named, ProductCode, ReferenceCode,
    SerialNumber, StatusCode, TraceCode, TransactionKey,
};
pub use evidence::{Added, EvidenceSet, Seen};
pub use fold::{About, Rules, fold};
pub use inquiries::{Inquiries, Meant, Numbered, TooManyUnderCode};
pub use inquiry::{InquiriesMade, Inquiry, NotPayable};
pub use intent::{BillGuards, Contents, Intent, Operation, TraceContext};
pub use order::{Bill, Inquired, Order, Verbatim};
pub use release::{Kept, Release};
pub use resolution::{CannotResolve, Resolution, Ruling, Verdict};
use schedule::later;
pub use schedule::{Next, Past, Phase, Schedule};
pub use state::{Doubt, ReviewCause, SerialNumberStatus, Standing, State};
pub use statement::{
    Details, Extra, ExtraKeeper, FailureReason, Finding, NotSent, Source, Statement, Unknown,
};
pub use status_codes::{AsCheck, AsNotReceived, AsPurchase, AsQuestion, Refusal, StatusCodeEntry};
pub use unrecognized::Unrecognized;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Checks {
    phase: Phase,
    phase_since: Timestamp,
    /// Scheduled checks made in this phase.
    made: u32,
    last_at: Option<Timestamp>,
    /// When the schedule wants the next one.
    next_at: Option<Timestamp>,
    /// When a callback wants one, out of turn.
    asked_at: Option<Timestamp>,
    /// Until when the schedule goes on without checks: no gateway had the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passed_over_until: Option<Timestamp>,
    /// The latest attempt of which OKEBAYAR answered a check without any sign of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absent_attempt: Option<u32>,
    /// Counts the callbacks that asked for one. A release that does not know it leaves
    /// it out, which reads as a new request.
    #[serde(default, skip_serializing_if = "is_zero")]
    asks: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One purchase, from intent to end. The evidence is what it is; everything
/// else about its state is derived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    account: AccountName,
    reference_code: ReferenceCode,
    contents: Contents,
    order: Order,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<TraceContext>,
    created_at: Timestamp,
    updated_at: Timestamp,
    attempt: Attempt,
    /// The attempts that were held back, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held_back: Vec<HeldBack>,
    /// The store lost the record, and it was written again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_rewritten: bool,
    rules: Rules,
    evidence: EvidenceSet,
    checks: Checks,
    /// Counts the changes that a reader can see; each is one event.
    revision: u64,
    /// Counts every save, those of the bookkeeping included.
    version: u64,
    /// What a later release stored with it.
    #[serde(skip)]
    unrecognized: Unrecognized,
}

/// The next version of a transaction.
#[derive(Clone, Debug)]
pub struct Change {
    /// What it becomes.
    pub transaction: Arc<Transaction>,
    /// The version it was made from; `None` for the first.
    pub from: Option<Base>,
    /// True when a reader can see the change, so that it is an event.
    pub is_event: bool,
    /// The lease on a status check that ends with this change.
    pub releases: Option<LeaseToken>,
}

impl Change {
    /// Returns the change as the first version of a record that the store has lost. What else it
    /// held of the reference code is lost as well.
    #[must_use]
    pub fn rewritten(&self) -> Self {
        let transaction = Transaction {
            is_rewritten: true,
            ..(*self.transaction).clone()
        };
        Self {
            transaction: Arc::new(transaction),
            from: None,
            is_event: true,
            releases: self.releases,
        }
    }

    /// Returns the change that also ends a lease, if its caller still holds it.
    #[must_use]
    pub fn releasing(self, lease: LeaseToken) -> Self {
        Self {
            releases: Some(lease),
            ..self
        }
    }
}

/// A stored transaction that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored transaction contradicts itself: {0}")]
pub struct Contradiction(&'static str);

/// A transaction that may not be armed again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a transaction that is {state} cannot be armed again: only NOT_SENT can")]
pub struct CannotArm {
    state: &'static str,
}

/// Builds the statement that a transaction was still SENDING when its POST was certainly over.
fn sender_lost() -> Statement {
    Statement::bare(Source::Gateway, Finding::Unknown(Unknown::SenderLost))
}

impl Transaction {
    /// Builds the first version of what a caller wants: SENDING, with attempt 1 armed; or
    /// CONFIRMING, if that is held back.
    #[must_use]
    pub fn begin(
        intent: Intent,
        order: Order,
        arming: Arming,
        rules: Rules,
        schedule: &Schedule,
    ) -> Change {
        let now = arming.at;
        let mut transaction = Self {
            account: intent.account,
            reference_code: intent.reference_code,
            contents: intent.contents,
            order,
            trace: intent.trace,
            created_at: now,
            updated_at: now,
            attempt: Attempt::new(1, arming, schedule, rules.clock_skew),
            held_back: Vec::new(),
            is_rewritten: false,
            rules,
            evidence: EvidenceSet::default(),
            checks: Checks {
                phase: Phase::Sending,
                phase_since: now,
                made: 0,
                last_at: None,
                next_at: None,
                asked_at: None,
                passed_over_until: None,
                absent_attempt: None,
                asks: 0,
            },
            revision: 1,
            version: 1,
            unrecognized: Unrecognized::default(),
        };
        transaction.note_held_back(arming);
        let transaction = Arc::new(transaction.rescheduled(now, schedule));
        Change {
            transaction,
            from: None,
            is_event: true,
            releases: None,
        }
    }

    /// Arms a transaction of which nothing was sent for another attempt.
    ///
    /// # Errors
    /// [`CannotArm`] in any state but NOT_SENT (promise 1).
    pub fn arm_again(
        &self,
        order: Order,
        arming: Arming,
        schedule: &Schedule,
    ) -> Result<Change, CannotArm> {
        let state = self.standing().state;
        if !matches!(state, State::NotSent(_)) {
            return Err(CannotArm {
                state: state.name(),
            });
        }
        let mut next = self.clone();
        next.order = order;
        // What was seen before is about an earlier attempt, whichever clock it was seen by.
        let arming = Arming {
            at: self.seen_at(arming.at),
            ..arming
        };
        next.attempt = Attempt::new(
            self.attempt.number + 1,
            arming,
            schedule,
            self.rules.clock_skew,
        );
        next.unrecognized.forget_attempt();
        next.note_held_back(arming);
        Ok(next.changed(self, arming.at, schedule, true))
    }

    /// Returns the latest time in the record, by whichever clock.
    fn last_known_at(&self) -> Timestamp {
        let known = [
            Some(self.updated_at),
            Some(self.attempt.armed_at),
            self.checks.last_at,
            self.evidence.last_seen(),
        ];
        known.into_iter().flatten().max().unwrap_or(self.updated_at)
    }

    /// Returns the time at which something is seen: later than everything seen before. A clock
    /// that goes back would else stretch the time between two observations, and settle a
    /// transaction early.
    fn seen_at(&self, now: Timestamp) -> Timestamp {
        now.max(later(self.last_known_at(), SignedDuration::from_micros(1)))
    }

    fn note_held_back(&mut self, arming: Arming) {
        if arming.is_held_back {
            self.held_back.push(HeldBack {
                attempt: self.attempt.number,
                at: arming.at,
            });
        }
    }

    /// Adds what was said; `None` when nothing at all changes.
    #[must_use]
    pub fn observe(
        &self,
        statements: impl IntoIterator<Item = Statement>,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Option<Change> {
        let mut next = self.clone();
        let mut is_event = false;
        let at = self.seen_at(now);
        for statement in statements {
            let statement = next.evidence.place(statement);
            is_event |= next.evidence.add(statement, at) == Added::New;
        }
        is_event |= next.standing() != self.standing();
        (is_event || next.evidence != self.evidence)
            .then(|| next.changed(self, now, schedule, is_event))
    }

    /// Adds what a status check said, which may be nothing, and moves the
    /// schedule on. A scheduled check of a transaction that is still SENDING means
    /// that its sender is lost.
    #[must_use]
    pub fn observe_check(
        &self,
        said: Option<Statement>,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_check_since(self, said, now, schedule)
    }

    /// Adds what a status check said that began when the transaction was `began`. A
    /// check that a callback asked for meanwhile is still to be made.
    #[must_use]
    pub fn observe_check_since(
        &self,
        began: &Self,
        said: Option<Statement>,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_checked(began, said, false, now, schedule)
    }

    /// Adds what a check showed that OKEBAYAR answered without any sign of the transaction: it
    /// proves nothing, but an operator may rest a decision on it.
    #[must_use]
    pub fn observe_absence_since(
        &self,
        began: &Self,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_checked(began, None, true, now, schedule)
    }

    fn observe_checked(
        &self,
        began: &Self,
        said: Option<Statement>,
        is_absent: bool,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        // What a check said of one attempt says nothing of a later one, which may be in
        // flight now; but a success is money spent, whichever attempt spent it.
        let is_of_this = began.token() == self.token();
        let said = said.filter(|said| is_of_this || said.finding == Finding::Succeeded);
        let mut checked = self.clone();
        if is_absent && is_of_this {
            checked.checks.absent_attempt = Some(self.attempt.number);
        }
        let due = checked.checks.next_at.is_some_and(|next| next <= now);
        checked.checks.last_at = Some(now);
        checked.checks.asked_at = None;
        checked.checks.passed_over_until = None;
        // SUBTLE: 1. the check begins; 2. a callback asks for one, which changes no time
        // if one is asked for already; 3. the check ends. Its answer may be older than
        // what the callback reports, so the request of 2 stands.
        if self.checks.asked_at.is_some() && self.checks.asks != began.checks.asks {
            checked.checks.asked_at = Some(schedule.after_callback(Some(now), now));
        }
        if due {
            checked.checks.made += 1;
        }
        let sender_lost = (due && self.checks.phase == Phase::Sending).then(sender_lost);
        let change = checked.observe(said.into_iter().chain(sender_lost), now, schedule);
        let is_event = change.as_ref().is_some_and(|change| change.is_event);
        let next = change.map_or(checked, |change| (*change.transaction).clone());
        // A check that left the state open may have been the last of its schedule.
        let given_up = match (next.next(schedule), next.checks.phase) {
            (Next::GiveUp, Phase::SerialNumber) => Some(Finding::SerialNumberGivenUp),
            (Next::GiveUp, _) => Some(Finding::ChecksExhausted),
            _ => None,
        };
        let mut next = next;
        if let Some(finding) = given_up {
            let at = next.seen_at(now);
            next.evidence
                .add(Statement::bare(Source::Gateway, finding), at);
        }
        next.revision = self.revision;
        next.changed(self, now, schedule, is_event || given_up.is_some())
    }

    /// Moves the schedule on without a check, because no gateway has the account: this
    /// counts as no check made, so that only time ends the schedule. Checks go on when the
    /// account returns. `None` when nothing is due.
    #[must_use]
    pub fn pass_over(&self, now: Timestamp, schedule: &Schedule) -> Option<Change> {
        if self.due_at().is_none_or(|due| due > now) {
            return None;
        }
        let Checks {
            phase, phase_since, ..
        } = self.checks;
        let armed_at = self.attempt.armed_at;
        if schedule.has_run_out(phase, armed_at, phase_since, now) {
            return self.give_up(now, schedule);
        }
        let is_lost =
            phase == Phase::Sending && self.checks.next_at.is_some_and(|next| next <= now);
        let change = self.observe(is_lost.then(sender_lost), now, schedule);
        let is_event = change.as_ref().is_some_and(|change| change.is_event);
        let mut next = change.map_or_else(|| self.clone(), |made| (*made.transaction).clone());
        next.checks.asked_at = None;
        next.checks.passed_over_until = Some(schedule.after_passing_over(armed_at, now));
        next.revision = self.revision;
        Some(next.changed(self, now, schedule, is_event))
    }

    /// Gives up without a check: the transaction is too old for one. `None` when
    /// there is nothing to give up.
    #[must_use]
    pub fn give_up(&self, now: Timestamp, schedule: &Schedule) -> Option<Change> {
        let finding = match Phase::of(&self.standing().state) {
            Phase::SerialNumber => Some(Finding::SerialNumberGivenUp),
            Phase::Sending | Phase::Open => Some(Finding::ChecksExhausted),
            Phase::Over => None,
        };
        let mut given_up = self.clone();
        given_up.checks.asked_at = None;
        if let Some(finding) = finding {
            let said = Statement::bare(Source::Gateway, finding);
            given_up.evidence.add(said, self.seen_at(now));
        }
        (given_up != *self).then(|| given_up.changed(self, now, schedule, finding.is_some()))
    }

    /// Adds what an unconfirmed callback reported and asks for a check. A report
    /// that agrees with a settled state asks for none.
    #[must_use]
    pub fn observe_report(
        &self,
        report: Statement,
        agrees: bool,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Option<Change> {
        let mut next = self.clone();
        let is_repeated = agrees && self.standing().state.is_final();
        if !is_repeated && !self.is_too_old(now, schedule) {
            next.ask(now, schedule);
            next.checks.asks += 1;
        }
        let is_event = next.evidence.add(report, self.seen_at(now)) == Added::New;
        (next != *self).then(|| next.changed(self, now, schedule, is_event))
    }

    /// Asks for a check at the earliest allowed moment; `None` when one is asked
    /// for already.
    #[must_use]
    pub fn ask_check(&self, now: Timestamp, schedule: &Schedule) -> Option<Change> {
        let mut next = self.clone();
        next.ask(now, schedule);
        (next != *self).then(|| next.changed(self, now, schedule, false))
    }

    fn ask(&mut self, now: Timestamp, schedule: &Schedule) {
        let earliest = self.earliest_check(now, schedule);
        let asked = self
            .checks
            .asked_at
            .map_or(earliest, |asked| asked.min(earliest));
        self.checks.asked_at = Some(asked);
    }

    /// Returns the earliest moment for a check out of turn: none overtakes the POST.
    fn earliest_check(&self, now: Timestamp, schedule: &Schedule) -> Timestamp {
        let earliest = schedule.after_callback(self.checks.last_at, now);
        let sending_until = self.sending_until(schedule);
        sending_until.map_or(earliest, |until| earliest.max(until))
    }

    /// Returns the time until which the POST may be in flight; `None` when it has been
    /// answered, or is known not to be answered.
    #[must_use]
    pub fn sending_until(&self, schedule: &Schedule) -> Option<Timestamp> {
        let until = schedule.post_over_at(self.attempt.armed_at, self.rules.clock_skew);
        let until = until.max(self.attempt.post_over_at.unwrap_or(until));
        (self.standing().state == State::Sending).then_some(until)
    }

    /// True when OKEBAYAR may be asked about it out of turn: the POST is over, and
    /// not too long ago.
    #[must_use]
    pub fn may_be_checked(&self, now: Timestamp, schedule: &Schedule) -> bool {
        let was_sent = !matches!(self.standing().state, State::Sending | State::NotSent(_));
        was_sent && !self.is_too_old(now, schedule)
    }

    /// Returns true when it is, or may be, too old for any check, whichever gateway armed it.
    #[must_use]
    pub fn is_too_old(&self, now: Timestamp, schedule: &Schedule) -> bool {
        let at_most = later(self.seen_at(now), self.rules.clock_skew);
        schedule.is_too_old(self.attempt.armed_at, at_most)
    }

    /// When the last status check was made, whatever it brought.
    #[must_use]
    pub fn last_checked_at(&self) -> Option<Timestamp> {
        self.checks.last_at
    }

    fn changed(
        mut self,
        from: &Self,
        now: Timestamp,
        schedule: &Schedule,
        is_event: bool,
    ) -> Change {
        self.version = from.version + 1;
        if is_event {
            self.revision = from.revision + 1;
            self.updated_at = now.max(from.updated_at);
        }
        Change {
            transaction: Arc::new(self.rescheduled(now, schedule)),
            from: Some(from.base()),
            is_event,
            releases: None,
        }
    }

    fn rescheduled(mut self, now: Timestamp, schedule: &Schedule) -> Self {
        let phase = Phase::of(&self.standing().state);
        if phase == Phase::Sending {
            // What was asked for under an earlier attempt waits for this one's POST.
            let earliest = self.earliest_check(now, schedule);
            self.checks.asked_at = self.checks.asked_at.map(|asked| asked.max(earliest));
        } else if self.checks.phase == Phase::Sending {
            // What waited for the POST waits no longer than any other check.
            let earliest = self.earliest_check(now, schedule);
            self.checks.asked_at = self.checks.asked_at.map(|asked| asked.min(earliest));
        }
        if phase != self.checks.phase {
            self.checks = Checks {
                phase,
                phase_since: now,
                made: 0,
                passed_over_until: None,
                ..self.checks
            };
        }
        let at = match self.next(schedule) {
            Next::CheckAt(at) => Some(at),
            Next::GiveUp => Some(now),
            Next::Nothing => None,
        };
        self.checks.next_at = at.max(at.and(self.checks.passed_over_until));
        self
    }

    fn next(&self, schedule: &Schedule) -> Next {
        if let Some(until) = self.sending_until(schedule) {
            return Next::CheckAt(until);
        }
        let past = Past {
            armed_at: self.attempt.armed_at,
            phase_since: self.checks.phase_since,
            made: self.checks.made,
            last_at: self.checks.last_at,
            clock_skew: self.rules.clock_skew,
            seed: self.attempt.token.0.as_u64_pair().1,
        };
        schedule.next(&self.standing().state, &past)
    }

    /// What the evidence amounts to.
    #[must_use]
    pub fn standing(&self) -> Standing {
        fold(&self.evidence, self.about(), &self.rules)
    }

    fn about(&self) -> About {
        About {
            operation: self.contents.operation(),
            attempt: self.attempt.number,
            armed_at: self.attempt.armed_at,
            is_held_back: self.is_held_back(),
        }
    }

    /// When it was last learnt that the latest attempt sent nothing; `None` when that
    /// is not known.
    #[must_use]
    pub fn not_sent_at(&self) -> Option<Timestamp> {
        fold::not_sent_at(&self.evidence, self.about(), &self.rules)
    }

    /// Returns the contents with the total that is paid, which an earlier release did not want
    /// stated.
    #[must_use]
    pub fn stated_contents(&self) -> Contents {
        match &self.contents {
            Contents::PayPostpaid {
                inquiry_code,
                total: None,
            } => Contents::PayPostpaid {
                inquiry_code: inquiry_code.clone(),
                total: self.order.bill().and_then(Bill::total),
            },
            stated => stated.clone(),
        }
    }

    /// Returns when the success was learnt that stands, at the latest; `None` in any other state.
    #[must_use]
    pub fn succeeded_at(&self) -> Option<Timestamp> {
        if !matches!(self.standing().state, State::Succeeded { .. }) {
            return None;
        }
        let is_success = |finding| {
            matches!(
                finding,
                Finding::Succeeded | Finding::Resolved(Verdict::Succeeded)
            )
        };
        let entries = self.evidence.iter();
        let times = entries.filter(|(said, _)| is_success(said.finding));
        let learnt = times.map(|(_, seen)| seen.first).max();
        Some(learnt.unwrap_or(self.updated_at))
    }

    /// The statements that settle something by themselves, and the resolutions.
    fn proofs(&self) -> impl Iterator<Item = &Statement> {
        fold::proofs(&self.evidence, self.about(), &self.rules)
    }

    /// Verifies a transaction that was read from a store.
    ///
    /// # Errors
    /// [`Contradiction`] when it cannot have been written by this program.
    pub fn verified(self) -> Result<Self, Contradiction> {
        if self.revision == 0 || self.revision > self.version {
            return Err(Contradiction("its revision does not fit its version"));
        }
        if self.attempt.number == 0 {
            return Err(Contradiction("it has no attempt"));
        }
        if self.created_at > self.updated_at {
            return Err(Contradiction("it was changed before it was made"));
        }
        if self
            .held_back
            .iter()
            .any(|held| held.attempt > self.attempt.number)
        {
            return Err(Contradiction("it held back an attempt that was never made"));
        }
        let future_attempt = |(said, _): (&Statement, &Seen)| matches!(said.finding, Finding::NotSent { attempt, .. } if attempt > self.attempt.number);
        if self.evidence.iter().any(future_attempt) {
            return Err(Contradiction("it knows of an attempt that was never made"));
        }
        Ok(self)
    }

    /// Builds the transaction of a record that holds more than this release knows.
    #[must_use]
    pub fn with_unrecognized(self, unrecognized: Unrecognized) -> Self {
        Self {
            unrecognized,
            ..self
        }
    }

    /// Returns what a later release stored with it, to be stored again.
    #[must_use]
    pub fn unrecognized(&self) -> &Unrecognized {
        &self.unrecognized
    }

    /// The key under which it is stored.
    #[must_use]
    pub fn key(&self) -> TransactionKey {
        TransactionKey::new(&self.reference_code)
    }

    /// When the next check is due; `None` when none is.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        self.checks
            .next_at
            .into_iter()
            .chain(self.checks.asked_at)
            .min()
    }

    /// Returns the time at which a check is due that a callback or a caller asked for; `None`
    /// when none is.
    #[must_use]
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.checks.asked_at
    }

    /// The configured account that pays.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// The caller's reference code, as first given.
    #[must_use]
    pub fn reference_code(&self) -> &ReferenceCode {
        &self.reference_code
    }

    /// What the caller asked for.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What is bought.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The trace in which it was first wanted.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// The token of the latest attempt.
    #[must_use]
    pub fn token(&self) -> AttemptToken {
        self.attempt.token
    }

    /// The number of the latest attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt.number
    }

    /// The attempts that were held back, oldest first.
    #[must_use]
    pub fn held_back(&self) -> &[HeldBack] {
        &self.held_back
    }

    /// Returns true when the store may have lost what it held of the reference code before this
    /// record, such as the inquiries made under it.
    #[must_use]
    pub fn follows_loss(&self) -> bool {
        self.is_rewritten || !self.held_back.is_empty()
    }

    /// Returns true when another version of the record, or another record under its reference
    /// code, is for the same order paid by the same account.
    #[must_use]
    pub fn is_same_order(&self, other: &Self) -> bool {
        (&self.account, &self.contents, &self.order)
            == (&other.account, &other.contents, &other.order)
    }

    /// True when the latest attempt was held back: it must not be sent.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        let last = self.held_back.last();
        last.is_some_and(|held| held.attempt == self.attempt.number)
    }

    /// When the latest attempt was armed.
    #[must_use]
    pub fn armed_at(&self) -> Timestamp {
        self.attempt.armed_at
    }

    /// When the purchase was first accepted.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When its revision was made.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// Everything that was said about it.
    #[must_use]
    pub fn evidence(&self) -> &EvidenceSet {
        &self.evidence
    }

    /// Counts the changes that a reader can see.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// This version, as a change is made from it.
    #[must_use]
    pub fn base(&self) -> Base {
        Base {
            version: self.version,
            token: self.attempt.token,
        }
    }

    /// Counts every save.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
}
