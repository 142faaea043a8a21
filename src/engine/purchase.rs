//! A purchase or payment: admission, claim, send, and what the caller is told.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};
use tracing::{Instrument, info_span, warn};

use super::{Engine, Wait, bill::Ordered};
use crate::{
    okebayar::client::Outcome,
    store::{Claim, SendPermit, StoreError, claim},
    transaction::{
        Arming, AttemptToken, Change, Finding, Intent, NotPayable, NotSent, Order, Source, State,
        Statement, Transaction,
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

/// Why a purchase call has no transaction to show. Only `OutcomeUnreadable` and
/// `MayBeForgotten` leave open whether something was sent.
#[derive(Debug, thiserror::Error)]
pub enum PurchaseError {
    /// The account is not configured.
    #[error("there is no account {0:?}")]
    NoSuchAccount(String),
    /// The reference code was used with other contents (promise 5).
    #[error("the reference code was used before with another {0}")]
    OtherContents(&'static str),
    /// The inquiry is not known here, or was forgotten since it expired.
    #[error("there is no such inquiry; inquire again")]
    NoSuchInquiry,
    /// The inquiry does not fit the request, or has expired.
    #[error(transparent)]
    NotPayable(#[from] NotPayable),
    /// The inquiry belongs to another reference code.
    #[error("the inquiry was used under another reference code; use that one, or inquire again")]
    InquiryAlreadyUsed,
    /// The inquiry cannot be used, and an earlier call may have been sent: the store
    /// may have forgotten it.
    #[error("{0}; but the store may have forgotten an earlier call, which may have been sent")]
    MayBeForgotten(String),
    /// Too many purchases at once.
    #[error("too many purchases are waiting to be sent")]
    Overloaded,
    /// The attempt provably sent nothing.
    #[error("nothing was sent to OKEBAYAR: {}", not_sent_text(*.0))]
    NothingSent(NotSent),
    /// The store could not take the claim, so nothing was sent.
    #[error("nothing was sent to OKEBAYAR: {0}")]
    NotClaimed(StoreError),
    /// The gateway is shutting down.
    #[error("nothing was sent to OKEBAYAR: the gateway is stopping")]
    Stopping,
    /// Something may have been sent, and the outcome cannot be read.
    #[error("the outcome cannot be read: {0}")]
    OutcomeUnreadable(String),
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
        if !self.has_account(&intent.account) {
            return Err(PurchaseError::NoSuchAccount(intent.account.to_string()));
        }
        let mut updates = self.hub.subscribe(&intent.key());
        let beginning = self.begin(intent);
        let begun = match wait.deadline() {
            Some(deadline) => tokio::time::timeout_at(deadline, beginning)
                .await
                .map_err(|_| {
                    PurchaseError::OutcomeUnreadable("the store has not answered yet".to_owned())
                })??,
            None => beginning.await?,
        };
        let (transaction, replayed) = match begun {
            Begun::Ours(transaction) => (transaction, false),
            Begun::Theirs(transaction) => (transaction, true),
        };
        let transaction = self.wait(&mut updates, transaction, wait).await?;
        match transaction.standing().state {
            State::NotSent(why) => Err(PurchaseError::NothingSent(why)),
            _ => Ok(Purchase {
                transaction,
                replayed,
            }),
        }
    }

    /// Admission comes before the claim; a replay needs none.
    async fn begin(self: &Arc<Self>, intent: Intent) -> Result<Begun, PurchaseError> {
        if self.stopping.is_cancelled() {
            return Err(PurchaseError::Stopping);
        }
        let Ok(slot) = Arc::clone(&self.queue).try_acquire_owned() else {
            return self.replay_only(&intent).await;
        };
        let (tell, told) = oneshot::channel();
        let engine = Arc::clone(self);
        let task = async move { engine.claim_and_send(intent, slot, tell).await };
        self.tasks.spawn(task.in_current_span());
        told.await.unwrap_or_else(|_| {
            Err(PurchaseError::OutcomeUnreadable(
                "the purchase was interrupted".to_owned(),
            ))
        })
    }

    async fn replay_only(&self, intent: &Intent) -> Result<Begun, PurchaseError> {
        let Ok(Some(stored)) = self.store.load(&intent.key()).await else {
            return Err(PurchaseError::Overloaded);
        };
        verify_same(&stored, intent)?;
        match stored.standing().state {
            State::NotSent(_) => Err(PurchaseError::Overloaded),
            _ => Ok(Begun::Theirs(stored)),
        }
    }

    async fn claim_and_send(
        self: Arc<Self>,
        intent: Intent,
        slot: OwnedSemaphorePermit,
        tell: oneshot::Sender<Result<Begun, PurchaseError>>,
    ) {
        let key = intent.key();
        let claimed_at = Instant::now();
        let Some(place) = self.unfinished.place() else {
            drop(slot);
            let _ = tell.send(self.replay_only(&intent).await);
            return;
        };
        match self.claim(intent).instrument(info_span!("claim")).await {
            Ok(Claimed::Won(permit)) => {
                let transaction = Arc::clone(permit.transaction());
                // A caller that has gone does not matter from here on.
                let _ = tell.send(Ok(Begun::Ours(transaction)));
                let (claimed, statement) = self.send(permit, claimed_at).await;
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
        let order = match self.order(&intent).await {
            Ok(Ordered::Taken(stored)) => return Ok(Claimed::Taken(stored)),
            Ok(Ordered::Order(order)) => *order,
            Err(error) => return Err(ClaimFault::Refused(self.doubted(&intent, error).await)),
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
                is_held_back: self.must_hold_back(&guard, &intent, &order, stored.as_deref()),
            };
            let Some(change) = self.arm(&intent, &order, stored.as_deref(), arming) else {
                return stored.map(Claimed::Taken).ok_or_else(overtaken);
            };
            let claimed = claim(&*self.store, change, guard.history()).await;
            match claimed.map_err(not_claimed)? {
                Claim::Won(permit) => {
                    self.hub.publish(permit.transaction());
                    return if self.still_bound(&intent).await.map_err(not_claimed)? {
                        Ok(Claimed::Won(permit))
                    } else {
                        Err(unconfirmed(PurchaseError::InquiryAlreadyUsed))
                    };
                }
                Claim::HeldBack(transaction) => {
                    self.hub.publish(&transaction);
                    warn!(key = %intent.key(), "a purchase is held back by the failover guard");
                    return Ok(Claimed::HeldBack(transaction));
                }
                Claim::Taken(found) => {
                    verify_same(&found, &intent).map_err(ClaimFault::Refused)?;
                    stored = Some(found);
                }
                Claim::OtherHistory => {
                    guard = self.refresh_guard().await.map_err(unread)?;
                    stored = None;
                }
            }
        }
        Err(overtaken())
    }

    /// A refusal, or the doubt whether an earlier call was sent that the store forgot:
    /// nobody may conclude from a lost inquiry that nothing was paid.
    async fn doubted(&self, intent: &Intent, refusal: PurchaseError) -> PurchaseError {
        let is_about_inquiry = matches!(
            refusal,
            PurchaseError::NoSuchInquiry
                | PurchaseError::NotPayable(_)
                | PurchaseError::InquiryAlreadyUsed
        );
        if is_about_inquiry && self.may_have_forgotten(Some(&intent.key())).await {
            PurchaseError::MayBeForgotten(refusal.to_string())
        } else {
            refusal
        }
    }

    /// What is stored to begin, or to begin again where nothing was sent; `None` where
    /// the reference code is taken.
    fn arm(
        &self,
        intent: &Intent,
        order: &Order,
        stored: Option<&Transaction>,
        arming: Arming,
    ) -> Option<Change> {
        let (intent, order, schedule) = (intent.clone(), order.clone(), self.schedule());
        match stored {
            None => {
                let rules = self.settings.rules;
                Some(Transaction::begin(intent, order, arming, rules, schedule))
            }
            Some(stored) => stored.arm_again(order, arming, schedule).ok(),
        }
    }

    /// Sends what was claimed, once, and returns what became of it. The sending slot is
    /// free again when it returns.
    async fn send(&self, permit: SendPermit, claimed_at: Instant) -> (Arc<Transaction>, Statement) {
        let claimed = Arc::clone(permit.transaction());
        let queue_ends = claimed_at + self.settings.limits.queue_timeout;
        let slot = tokio::time::timeout_at(queue_ends, self.sending.acquire()).await;
        let upstream = self.upstreams.get(claimed.account());
        let (Ok(Ok(_slot)), Some(upstream)) = (slot, upstream) else {
            let finding = Finding::NotSent {
                attempt: claimed.attempt(),
                why: NotSent::Overloaded,
            };
            drop(permit);
            return (claimed, Statement::bare(Source::Gateway, finding));
        };
        let sending = upstream.client.send(permit).instrument(info_span!("send"));
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

/// What became of the claim of a reference code.
enum Claimed {
    Won(SendPermit),
    HeldBack(Arc<Transaction>),
    Taken(Arc<Transaction>),
}

/// Others were faster every time.
fn overtaken() -> ClaimFault {
    ClaimFault::Refused(PurchaseError::Overloaded)
}

enum ClaimFault {
    Refused(PurchaseError),
    Unconfirmed {
        token: AttemptToken,
        error: PurchaseError,
    },
}

/// The same contents under the same spelling (promise 5).
pub(super) fn verify_same(stored: &Transaction, intent: &Intent) -> Result<(), PurchaseError> {
    let other = if *stored.reference_code() == intent.reference_code {
        stored.contents().difference(&intent.contents)
    } else {
        Some("spelling of the reference code")
    };
    other.map_or(Ok(()), |other| Err(PurchaseError::OtherContents(other)))
}
