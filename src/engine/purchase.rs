//! A purchase or payment: admission, claim, send, and what the caller is told.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio::{
    sync::{OwnedSemaphorePermit, SemaphorePermit, oneshot},
    time::Instant,
};
use tracing::{Instrument, info_span, warn};

use super::{
    Engine, Wait,
    bill::{Ordered, Wanted},
    claims::Claiming,
};
use crate::{
    okebayar::{client::Outcome, send_by::SendBy},
    store::{Claim, SendPermit, StoreError, claim},
    transaction::{
        AccountName, Arming, AttemptToken, Change, Finding, Intent, NotPayable, NotSent, Source,
        State, Statement, Transaction, TransactionKey,
    },
};

/// A purchase as its caller sees it.
#[derive(Debug)]
pub struct Purchase {
    /// The durable record.
    pub transaction: Arc<Transaction>,
    /// Another call bought it, or is buying it.
    pub replayed: bool,
}

/// Whether a purchase or payment under a reference code can have gone to OKEBAYAR. It is
/// about the reference code, not about the call: an earlier call may have sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The store was read: it holds nothing under the reference code, or NOT_SENT.
    No,
    /// Anything else.
    Maybe,
}

/// Why a purchase call has no transaction to show.
#[derive(Debug, thiserror::Error)]
pub enum PurchaseError {
    /// The account is not configured.
    #[error("there is no account {name:?}")]
    NoSuchAccount {
        /// As the caller names it, or as the stored transaction does.
        name: AccountName,
        /// About the reference code.
        sent: Sent,
    },
    /// The reference code was used with other contents (promise 5).
    #[error("the reference code was used before with another {field}")]
    OtherContents {
        /// The first field that differs.
        field: &'static str,
        /// About the reference code.
        sent: Sent,
    },
    /// The inquiry is not known here, or was forgotten since it expired.
    #[error("there is no such inquiry; inquire again")]
    NoSuchInquiry,
    /// Several accounts have an inquiry with this code.
    #[error("several accounts have an inquiry with this code")]
    AmbiguousInquiry,
    /// The inquiry does not fit the request, or has expired.
    #[error(transparent)]
    NotPayable(#[from] NotPayable),
    /// The inquiry belongs to another reference code.
    #[error("the inquiry was used under the reference code {reference_code}; {}", .holder.advice())]
    InquiryAlreadyUsed {
        /// The other one.
        reference_code: String,
        /// What became of it.
        holder: Holder,
    },
    /// Another payment of the bill is open, and the caller does not acknowledge it.
    #[error(
        "the bill may be being paid under the reference code {reference_code}, whose outcome is \
         open; wait for that outcome (watch it), then use this reference code again if it FAILED. \
         Never pay under another reference code meanwhile"
    )]
    BillPaymentOpen {
        /// The other one.
        reference_code: String,
    },
    /// Another payment of the bill succeeded after the inquiry was made, or may have.
    #[error(
        "the bill was paid under the reference code {reference_code}, and the inquiry was made \
         before that, or less than {skew} after it (store.clock_skew); should the customer still \
         owe something, inquire again"
    )]
    InquiryOutdated {
        /// The other one.
        reference_code: String,
        /// By how much clocks may differ.
        skew: SignedDuration,
    },
    /// An inquiry for the same may have been sold, and nobody has settled that yet.
    #[error(
        "this call sent nothing: OKEBAYAR may have sold this product for this account number \
         already, when it answered an inquiry like a purchase; an operator must settle the \
         transaction under reference code {reference_code} first"
    )]
    SoldByInquiry {
        /// The reference code of that inquiry.
        reference_code: String,
    },
    /// The inquiry cannot be used, and an earlier call may have been sent: the store
    /// may have forgotten it.
    #[error("{0}; but the store may have forgotten an earlier call, which may have been sent")]
    MayBeForgotten(String),
    /// Too many purchases at once.
    #[error("too many purchases are waiting to be sent")]
    Overloaded(Sent),
    /// Concurrent calls armed the reference code first, every time.
    #[error("other calls with the same reference code were faster")]
    Overtaken,
    /// The attempt provably sent nothing.
    #[error("nothing was sent to OKEBAYAR: {}", not_sent_text(*.0))]
    NothingSent(NotSent),
    /// This call sent nothing: the store could not be read, or did not take the claim.
    #[error("this call sent nothing: {0}")]
    NotClaimed(StoreError),
    /// The store failed its last verification, so it takes no claim.
    #[error("this call sent nothing: the store failed its last verification")]
    StoreUnfit(Sent),
    /// The gateway is shutting down.
    #[error("this call sent nothing: the gateway is stopping")]
    Stopping(Sent),
    /// The caller's deadline came before the store answered.
    #[error("the deadline came before the store answered")]
    OutOfTime,
    /// Something may have been sent, and the outcome cannot be read.
    #[error("the outcome cannot be read: {0}")]
    OutcomeUnreadable(String),
}

/// The standing of the transaction that holds an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Its outcome is open, or may be.
    Open,
    /// It paid, or was reversed.
    Settled,
    /// It has no record: it was refused, or is about to be claimed.
    Unclaimed,
}

impl Holder {
    fn advice(self) -> &'static str {
        match self {
            Self::Open => {
                "its outcome is open: wait for that (watch it), and never pay under another \
                 reference code meanwhile"
            }
            Self::Settled => "read that transaction before you decide anything",
            Self::Unclaimed => "use that one, or inquire again",
        }
    }
}

impl PurchaseError {
    /// Returns the same error where another call may be sending under the reference code.
    fn in_doubt(self) -> Self {
        match self {
            Self::OtherContents { field, .. } => Self::OtherContents {
                field,
                sent: Sent::Maybe,
            },
            other => other,
        }
    }

    /// Returns whether something can have been sent under the reference code.
    #[must_use]
    pub fn sent(&self) -> Sent {
        match self {
            Self::NoSuchAccount { sent, .. }
            | Self::OtherContents { sent, .. }
            | Self::Overloaded(sent)
            | Self::StoreUnfit(sent)
            | Self::Stopping(sent) => *sent,
            Self::NoSuchInquiry
            | Self::AmbiguousInquiry
            | Self::NotPayable(_)
            | Self::InquiryAlreadyUsed { .. }
            | Self::BillPaymentOpen { .. }
            | Self::InquiryOutdated { .. }
            | Self::NothingSent(_) => Sent::No,
            // Not of this reference code, but the customer may have it.
            Self::SoldByInquiry { .. }
            | Self::MayBeForgotten(_)
            | Self::Overtaken
            | Self::NotClaimed(_)
            | Self::OutOfTime
            | Self::OutcomeUnreadable(_) => Sent::Maybe,
        }
    }
}

fn not_sent_text(why: NotSent) -> &'static str {
    match why {
        NotSent::Unreachable => "no connection could be made",
        NotSent::Overloaded => "it waited too long to be sent",
        NotSent::ClaimLost => "the claim could not be confirmed in the store",
        NotSent::HeldBack => "it was held back, and OKEBAYAR never received it",
    }
}

/// Whose transaction a call is about.
enum Begun {
    Ours(Arc<Transaction>),
    Theirs(Arc<Transaction>),
}

/// How often a lost race for NOT_SENT is run again.
const RACES_MAX: u32 = 8;

impl Engine {
    /// Buys, at most once, and waits as `wait` says.
    ///
    /// # Errors
    /// [`PurchaseError`]; a declined purchase is not an error.
    pub async fn purchase(
        self: &Arc<Self>,
        intent: Intent,
        wait: Wait,
    ) -> Result<Purchase, PurchaseError> {
        // A caller that cannot wait may still learn of an earlier call.
        let waiter = self.admit_waiter();
        let mut updates = self.hub.subscribe(&intent.key());
        let beginning = self.begin(intent, waiter.is_some());
        let begun = match wait.deadline() {
            Some(deadline) => tokio::time::timeout_at(deadline, beginning)
                .await
                .map_err(|_| PurchaseError::OutOfTime)??,
            None => beginning.await?,
        };
        let (transaction, replayed) = match begun {
            Begun::Ours(transaction) => (transaction, false),
            Begun::Theirs(transaction) => (transaction, true),
        };
        let transaction = if waiter.is_some() {
            let is_ours = !replayed;
            self.wait(&mut updates, transaction, wait, is_ours).await?
        } else {
            transaction
        };
        match transaction.standing().state {
            State::NotSent(why) => Err(PurchaseError::NothingSent(why)),
            _ => Ok(Purchase {
                transaction,
                replayed,
            }),
        }
    }

    /// Admission comes before the claim; a replay needs none.
    async fn begin(
        self: &Arc<Self>,
        intent: Intent,
        may_wait: bool,
    ) -> Result<Begun, PurchaseError> {
        if self.stopping.is_cancelled() {
            return self.replay_or(&intent, PurchaseError::Stopping).await;
        }
        let Some(account) = self.current_account(&intent.account) else {
            let name = intent.account.clone();
            let refusal = |sent| PurchaseError::NoSuchAccount { name, sent };
            return self.replay_or(&intent, refusal).await;
        };
        let intent = Intent { account, ..intent };
        if self.store_problem().is_some() {
            return self.replay_or(&intent, PurchaseError::StoreUnfit).await;
        }
        let slot = Arc::clone(&self.queue).try_acquire_owned();
        let Some(slot) = slot.ok().filter(|_| may_wait) else {
            return self.replay_or(&intent, PurchaseError::Overloaded).await;
        };
        let (tell, told) = oneshot::channel();
        let engine = Arc::clone(self);
        let claiming = self.claims.begin(intent.key());
        let task = async move { engine.claim_and_send(intent, slot, claiming, tell).await };
        self.tasks.spawn(task.in_current_span());
        told.await.unwrap_or_else(|_| {
            Err(PurchaseError::OutcomeUnreadable(
                "the purchase was interrupted".to_owned(),
            ))
        })
    }

    /// Returns the transaction that has the reference code already, or the refusal of a
    /// call that may begin nothing. The store is read for it, so that the refusal says
    /// whether the reference code can have been sent before.
    async fn replay_or(
        &self,
        intent: &Intent,
        refusal: impl FnOnce(Sent) -> PurchaseError,
    ) -> Result<Begun, PurchaseError> {
        let key = intent.key();
        // Before the store is read: a claim that ends in between is in one of the two.
        let is_being_claimed = self.claims.contains(&key);
        let is_unsent = match self.store.load(&key).await {
            Ok(Some(stored)) => {
                let same = self.verify_same(&stored, intent).await;
                same.map_err(|error| {
                    if is_being_claimed {
                        error.in_doubt()
                    } else {
                        error
                    }
                })?;
                if !matches!(stored.standing().state, State::NotSent(_)) {
                    return Ok(Begun::Theirs(stored));
                }
                !is_being_claimed && self.is_unsent(&stored).await
            }
            Ok(None) => !is_being_claimed && !self.may_have_forgotten(&key).await,
            Err(_) => false,
        };
        let sent = if is_unsent { Sent::No } else { Sent::Maybe };
        Err(refusal(sent))
    }

    async fn claim_and_send(
        self: Arc<Self>,
        intent: Intent,
        slot: OwnedSemaphorePermit,
        claiming: Claiming,
        tell: oneshot::Sender<Result<Begun, PurchaseError>>,
    ) {
        let key = intent.key();
        let claimed_at = Instant::now();
        let Some(place) = self.unfinished.place() else {
            drop((slot, claiming));
            let refused = self.replay_or(&intent, PurchaseError::Overloaded).await;
            let _ = tell.send(refused);
            return;
        };
        // Taken before the claim, so that no check of it can be due earlier.
        let send_by = SendBy::after(self.settings.send_within, self.ambient);
        let claimed = self.claim(intent).instrument(info_span!("claim")).await;
        drop(claiming);
        match claimed {
            Ok(Claimed::Won(permit)) => {
                let transaction = Arc::clone(permit.transaction());
                // A caller that has gone does not matter from here on.
                let _ = tell.send(Ok(Begun::Ours(transaction)));
                let (claimed, statement) = self.send(permit, claimed_at, send_by).await;
                // The POST is over: only the purchase itself waits for the store.
                drop(slot);
                self.store_outcome(claimed, statement, place).await;
            }
            Ok(Claimed::HeldBack(transaction)) => drop(tell.send(Ok(Begun::Ours(transaction)))),
            Ok(Claimed::Taken(transaction)) => drop(tell.send(Ok(Begun::Theirs(transaction)))),
            Err(ClaimFault::Refused(error)) => drop(tell.send(Err(error))),
            Err(ClaimFault::Unconfirmed { token, error }) => {
                warn!(%key, %error, "a claim could not be confirmed; nothing is sent");
                drop(slot);
                self.abandon(key, token, place);
                let _ = tell.send(Err(error));
            }
        }
    }

    /// Claims the reference code, or finds whose it is. One whose attempt ended
    /// NOT_SENT is armed again, by one winner.
    async fn claim(&self, intent: Intent) -> Result<Claimed, ClaimFault> {
        let wanted = match self.order(&intent).await {
            Ok(Ordered::Taken(stored)) => return Ok(Claimed::Taken(stored)),
            Ok(Ordered::Wanted(wanted)) => *wanted,
            Err(error) => return self.doubted(&intent, error).await,
        };
        let token = self.token();
        let unconfirmed = |error| ClaimFault::Unconfirmed { token, error };
        let not_claimed = |error| unconfirmed(PurchaseError::NotClaimed(error));
        let unread = |error| ClaimFault::Refused(PurchaseError::NotClaimed(error));
        let mut guard = self.guard().await.map_err(unread)?;
        let mut stored: Option<Arc<Transaction>> = None;
        for _ in 0..RACES_MAX {
            let arming = Arming {
                token,
                at: self.now(),
                is_held_back: self.must_hold_back(
                    &guard,
                    &intent,
                    &wanted.order,
                    stored.as_deref(),
                ),
            };
            let Some(change) = self.arm(&intent, &wanted, stored.as_deref(), arming) else {
                let known = stored.map(Claimed::Taken);
                return known.ok_or(ClaimFault::Refused(PurchaseError::Overtaken));
            };
            // Preparing a payment takes time, in which the store may have become unfit.
            if self.store_problem().is_some() {
                let refused = self.replay_or(&intent, PurchaseError::StoreUnfit).await;
                return match refused {
                    Ok(Begun::Theirs(found) | Begun::Ours(found)) => Ok(Claimed::Taken(found)),
                    Err(error) => Err(ClaimFault::Refused(error)),
                };
            }
            let outcome = claim(&*self.store, change, guard.history()).await;
            match outcome.map_err(not_claimed)? {
                Claim::Won(permit) => {
                    self.hub.publish(permit.transaction());
                    let verified = self.verify_claimed(permit.transaction(), &wanted, &intent);
                    return match verified.await.map_err(not_claimed)? {
                        Ok(()) => Ok(Claimed::Won(permit)),
                        Err(refused) => Err(unconfirmed(refused)),
                    };
                }
                Claim::Quarantined(transaction) => {
                    self.hub.publish(&transaction);
                    warn!(key = %intent.key(), "a purchase is held back by the failover guard");
                    return Ok(Claimed::HeldBack(transaction));
                }
                Claim::Taken(found) => {
                    self.verify_same(&found, &intent)
                        .await
                        .map_err(ClaimFault::Refused)?;
                    self.verify_rearmable(&found, &wanted)
                        .await
                        .map_err(ClaimFault::Refused)?;
                    stored = Some(found);
                }
                Claim::OtherEpoch => {
                    guard = self.refresh_guard().await.map_err(unread)?;
                    stored = None;
                }
            }
        }
        Err(ClaimFault::Refused(PurchaseError::Overtaken))
    }

    /// Refuses to arm a transaction again whose account is not configured, or for another bill:
    /// the inquiry code may have been given out again while two calls looked it up.
    async fn verify_rearmable(
        &self,
        stored: &Transaction,
        wanted: &Wanted,
    ) -> Result<(), PurchaseError> {
        let is_free = matches!(stored.standing().state, State::NotSent(_));
        if is_free && !stored.order().is_same_bill(&wanted.order) {
            return Err(PurchaseError::OtherContents {
                field: "account_number",
                sent: self.sent_before(&stored.key()).await,
            });
        }
        if is_free && self.upstream(stored.account()).is_none() {
            return Err(PurchaseError::NoSuchAccount {
                name: stored.account().clone(),
                sent: self.sent_before(&stored.key()).await,
            });
        }
        Ok(())
    }

    /// Verifies that a stored transaction is what the call wants: the same contents,
    /// under the same spelling, and paid by the account that it names, if it names one
    /// (promise 5).
    pub(super) async fn verify_same(
        &self,
        stored: &Transaction,
        intent: &Intent,
    ) -> Result<(), PurchaseError> {
        let difference = if *stored.reference_code() != intent.reference_code {
            Some("spelling of the reference code")
        } else if !self.is_account(stored.account(), intent.named_account()) {
            Some("account")
        } else if !is_for(stored, intent) {
            Some("account_number")
        } else {
            stored.stated_contents().difference(&intent.contents)
        };
        let Some(field) = difference else {
            return Ok(());
        };
        let sent = self.sent_before(&stored.key()).await;
        Err(PurchaseError::OtherContents { field, sent })
    }

    /// Returns whether something can have been sent under a reference code that the store holds,
    /// for a call that has begun one claim of it at most.
    async fn sent_before(&self, key: &TransactionKey) -> Sent {
        // Before the store is read: a claim that ends in between is found there.
        let is_contended = self.claims.is_contended(key);
        match self.store.load(key).await {
            Ok(Some(stored)) if !is_contended && self.is_unsent(&stored).await => Sent::No,
            _ => Sent::Maybe,
        }
    }

    /// Returns the transaction that another call has begun since under the reference code, a
    /// refusal, or the doubt whether an earlier call was sent that the store forgot: nobody may
    /// conclude from a lost inquiry that nothing was paid.
    async fn doubted(
        &self,
        intent: &Intent,
        refusal: PurchaseError,
    ) -> Result<Claimed, ClaimFault> {
        let is_about_inquiry = matches!(
            refusal,
            PurchaseError::NoSuchInquiry
                | PurchaseError::AmbiguousInquiry
                | PurchaseError::NotPayable(_)
                | PurchaseError::InquiryAlreadyUsed { .. }
                | PurchaseError::BillPaymentOpen { .. }
                | PurchaseError::InquiryOutdated { .. }
        );
        if !is_about_inquiry {
            return Err(ClaimFault::Refused(refusal));
        }
        let key = intent.key();
        // Before the store is read: a claim that ends in between is found there.
        let is_contended = self.claims.is_contended(&key);
        let refused = match self.store.load(&key).await {
            Ok(Some(stored)) if !matches!(stored.standing().state, State::NotSent(_)) => {
                self.verify_same(&stored, intent)
                    .await
                    .map_err(ClaimFault::Refused)?;
                return Ok(Claimed::Taken(stored));
            }
            _ if is_contended => PurchaseError::Overtaken,
            Ok(Some(stored)) if self.is_unsent(&stored).await => refusal,
            Ok(None) if !self.may_have_forgotten(&key).await => refusal,
            Ok(_) | Err(_) => PurchaseError::MayBeForgotten(refusal.to_string()),
        };
        Err(ClaimFault::Refused(refused))
    }

    /// Builds what is stored to begin, or to begin again where nothing was sent; `None`
    /// where the reference code is taken. A transaction keeps its account.
    fn arm(
        &self,
        intent: &Intent,
        wanted: &Wanted,
        stored: Option<&Transaction>,
        arming: Arming,
    ) -> Option<Change> {
        let (order, schedule) = (wanted.order.clone(), self.schedule());
        match stored {
            None => {
                let intent = Intent {
                    account: wanted.account.clone(),
                    ..intent.clone()
                };
                let rules = self.settings.rules;
                Some(Transaction::begin(intent, order, arming, rules, schedule))
            }
            Some(stored) => stored.arm_again(order, arming, schedule).ok(),
        }
    }

    /// Sends what was claimed, once and before its time is past, and returns what became of
    /// it. The sending slot is free again when it returns.
    async fn send(
        &self,
        permit: SendPermit,
        claimed_at: Instant,
        send_by: SendBy,
    ) -> (Arc<Transaction>, Statement) {
        let claimed = Arc::clone(permit.transaction());
        let queue_ends = claimed_at + self.settings.limits.queue_timeout;
        let slot = self.sending_slot(&claimed, queue_ends).await;
        let upstream = self.upstream(claimed.account());
        let (Some(_slot), Some(upstream)) = (slot, upstream) else {
            let finding = Finding::NotSent {
                attempt: claimed.attempt(),
                why: NotSent::Overloaded,
            };
            drop(permit);
            return (claimed, Statement::bare(Source::Gateway, finding));
        };
        let sending = upstream.client.send(permit, send_by);
        let sending = sending.instrument(info_span!("send"));
        let Outcome { statement, problem } = sending.await;
        if let Some(problem) = problem {
            warn!(
                account = %claimed.account(),
                reference_code = %claimed.reference_code(),
                problem,
                "a purchase got no usable answer"
            );
        }
        (claimed, statement)
    }
}

impl Engine {
    /// Acquires a slot to send a claimed transaction; `None` where none is free in time, or an
    /// inquiry may have bought the same while it waited: those share the slots.
    async fn sending_slot(
        &self,
        claimed: &Transaction,
        queue_ends: Instant,
    ) -> Option<SemaphorePermit<'_>> {
        if let Ok(slot) = self.sending.try_acquire() {
            return Some(slot);
        }
        let waiting = tokio::time::timeout_at(queue_ends, self.sending.acquire());
        let slot = waiting.await.ok()?.ok()?;
        let sold = self.sale_of(claimed.contents(), &claimed.key()).await;
        matches!(sold, Ok(None)).then_some(slot)
    }
}

/// Returns true when a stored transaction is for the customer that the caller names, if it names
/// one.
fn is_for(stored: &Transaction, intent: &Intent) -> bool {
    let named = intent.bill.account_number.as_ref();
    named.is_none_or(|number| stored.order().is_for(number))
}

/// What became of the claim of a reference code.
enum Claimed {
    Won(SendPermit),
    HeldBack(Arc<Transaction>),
    Taken(Arc<Transaction>),
}

enum ClaimFault {
    Refused(PurchaseError),
    Unconfirmed {
        token: AttemptToken,
        error: PurchaseError,
    },
}
