//! The POST of a claimed purchase.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, SemaphorePermit, oneshot},
    time::Instant,
};
use tracing::{Instrument, info_span, warn};

use super::{
    admission::Admission,
    claim::{ClaimFault, Claimed},
    claims_in_flight::ClaimInFlight,
    error::PurchaseError,
    purchases::Purchases,
};
use crate::{
    okebayar::{operations::SendOutcome, send_by::SendBy},
    store::SendPermit,
    transaction::{Finding, Intent, NotSent, Source, Statement, Transaction},
};

/// The time by which a wait for a slot outlasts the deadline to send, so that the clock is past the
/// `expire_time` when the attempt is given up.
const EXPIRY_MARGIN: Duration = Duration::from_millis(5);

impl Purchases {
    /// Claims, sends and stores the outcome. `reply` receives the transaction once it is claimed.
    pub(super) async fn claim_and_send(
        self: Arc<Self>,
        intent: Intent,
        slot: OwnedSemaphorePermit,
        claiming: ClaimInFlight,
        reply: oneshot::Sender<Result<Admission, PurchaseError>>,
    ) {
        let key = intent.key();
        let claimed_at = Instant::now();
        let Some(reservation) = self.unfinished.reserve() else {
            drop((slot, claiming));
            // The room is a multiple of the queue.
            let limit = "limits.queue";
            let refusal = |sent| PurchaseError::Overloaded { limit, sent };
            let refused = self.replay_or(&intent, refusal).await;
            let _ = reply.send(refused);
            return;
        };
        // Measured from before the claim, so that no status check is due before the POST ends.
        let send_by = SendBy::after(self.settings.send_within, self.ambient);
        let send_by = match intent.guards.expire_at {
            Some(expire_at) => send_by.and_before(expire_at),
            None => send_by,
        };
        let claimed = self.claim(intent).instrument(info_span!("claim")).await;
        drop(claiming);
        match claimed {
            Ok(Claimed::Won(permit)) => {
                let transaction = Arc::clone(permit.transaction());
                // The caller may have disconnected; the purchase continues in this task.
                let _ = reply.send(Ok(Admission::Ours(transaction)));
                let (claimed, statement) = self.send(permit, claimed_at, send_by).await;
                // The POST has ended: waiting for the store must not hold a slot of the queue.
                drop(slot);
                self.store_outcome(claimed, statement, reservation).await;
            }
            Ok(Claimed::Quarantined(transaction)) => {
                drop(reply.send(Ok(Admission::Ours(transaction))));
            }
            Ok(Claimed::Taken(transaction)) => drop(reply.send(Ok(Admission::Theirs(transaction)))),
            Err(ClaimFault::Refused(error)) => drop(reply.send(Err(error))),
            Err(ClaimFault::Unconfirmed { token, error }) => {
                warn!(%key, %error, "claim unconfirmed; nothing is sent; abandoning it");
                drop(slot);
                self.abandon(key, token, reservation);
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Sends a claimed purchase once, before `send_by`, and returns the outcome. Releases the
    /// sending slot before it returns.
    async fn send(
        &self,
        permit: SendPermit,
        claimed_at: Instant,
        send_by: SendBy,
    ) -> (Arc<Transaction>, Statement) {
        let claimed = Arc::clone(permit.transaction());
        let queue_ends = claimed_at + self.settings.queue_timeout;
        let queue_ends = queue_ends.min(Instant::now() + send_by.remaining() + EXPIRY_MARGIN);
        let slot = self.sending_slot(&claimed, queue_ends).await;
        let upstream = self.upstreams.get(claimed.account());
        let (_slot, upstream) = match (slot, upstream) {
            (Ok(slot), Some(upstream)) => (slot, upstream),
            (refused, _) => {
                let finding = Finding::NotSent {
                    attempt: claimed.attempt(),
                    why: refused.err().unwrap_or(NotSent::Overloaded),
                };
                drop(permit);
                return (claimed, Statement::bare(Source::Gateway, finding));
            }
        };
        let sending = upstream.client.send(permit, send_by);
        let sending = sending.instrument(info_span!("send"));
        let SendOutcome { statement, problem } = sending.await;
        if let Some(problem) = problem {
            warn!(
                account = %claimed.account(),
                reference_code = %claimed.reference_code(),
                problem,
                "purchase without a usable answer; status checks settle it"
            );
        }
        (claimed, statement)
    }

    /// Acquires a slot to send a claimed transaction. Returns the reason not to send when none is
    /// free in time, or OKEBAYAR may have sold the product in response to an inquiry meanwhile:
    /// inquiries share the slots.
    async fn sending_slot(
        &self,
        claimed: &Transaction,
        queue_ends: Instant,
    ) -> Result<SemaphorePermit<'_>, NotSent> {
        if let Some(slot) = self.slots.try_acquire() {
            return Ok(slot);
        }
        let slot = self.slots.acquire_before(queue_ends).await;
        let slot = slot.ok_or(NotSent::Overloaded)?;
        let sold = self
            .sales
            .open_sale_of(claimed.contents(), &claimed.key())
            .await;
        match sold {
            Ok(None) => Ok(slot),
            Ok(Some(_)) | Err(_) => Err(NotSent::ClaimLost),
        }
    }
}
