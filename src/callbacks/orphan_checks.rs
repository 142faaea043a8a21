//! Status checks of reference codes that a callback named and the store does not hold, while it may
//! have lost records.
//!
//! Such a callback may be the only trace of a purchase that was sent. A status check of the
//! reference code shows whether it was, and the result is stored with the callback for an operator.
//! It never creates a transaction (promise 7): the gateway knows neither the product nor the
//! recipient, nor whether the caller still wants the purchase.

use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, warn};

use crate::{
    callbacks::callback_recorder::CallbackRecorder,
    notices::orphans::{self, Orphan, OrphanCheck},
    okebayar::{answer_error::AnswerError, verdict},
    store::StoreError,
    transaction::{AccountName, ReferenceCode, StatusCode, TransactionKey},
};

/// The pause after a check, so that a flood of callbacks causes few calls to OKEBAYAR.
const CHECK_PAUSE: Duration = Duration::from_secs(1);

impl CallbackRecorder {
    /// Enqueues the reference code of an orphan for a status check. Drops it when the queue is
    /// full.
    pub(crate) fn enqueue_orphan_check(&self, orphan: &Orphan) {
        let Ok(reference) = ReferenceCode::parse(orphan.reference_code.as_str()) else {
            return;
        };
        let waiting = self
            .orphan_queue
            .sender
            .try_send((orphan.account.clone(), reference));
        if waiting.is_err() {
            self.metrics.orphan_check(&orphan.account, "dropped");
        }
    }

    /// Checks the enqueued reference codes, one at a time, until the gateway stops.
    pub async fn check_orphans(&self) {
        for (account, _) in self.upstreams.iter() {
            self.metrics.no_orphan_checks(account);
        }
        let mut waiting = self.orphan_queue.receiver.lock().await;
        let checking = async {
            while let Some((account, reference)) = waiting.recv().await {
                match self.check_orphan(&account, &reference).await {
                    Ok(true) => tokio::time::sleep(CHECK_PAUSE).await,
                    Ok(false) => {}
                    Err(error) => {
                        warn!(%account, reference_code = %reference, %error,
                            "orphan check failed");
                    }
                }
            }
        };
        self.stopping.run_until_cancelled(checking).await;
    }

    /// Returns true when a reference code is provably young enough to check. OKEBAYAR may take a
    /// check past `checks.age_max` for a new sale, and a callback may name any reference code,
    /// however old.
    fn is_young(&self, reference: &ReferenceCode, now: Timestamp) -> bool {
        let skew = self.failover.clock_skew();
        reference.minted_at().is_some_and(|minted| {
            let age = now.duration_since(minted);
            -skew <= age && age.saturating_add(skew) <= self.schedule.age_max
        })
    }

    /// Checks a reference code, if the store may have lost its record and no gateway has checked it
    /// yet. Returns true when OKEBAYAR was called.
    async fn check_orphan(
        &self,
        account: &AccountName,
        reference: &ReferenceCode,
    ) -> Result<bool, StoreError> {
        let now = (self.ambient.now)();
        if !self.is_young(reference, now) {
            return Ok(false);
        }
        // Observed again: the callback may arrive before any gateway notices the loss.
        let epoch = self.failover.refresh().await?;
        let upstream = self.upstreams.get(account);
        let Some(upstream) = upstream.filter(|_| self.failover.is_on(&epoch)) else {
            return Ok(false);
        };
        let key = TransactionKey::new(reference);
        let store = &*self.store;
        match store.load(&key).await {
            // It was stored again meanwhile, belongs to another account, or was retired.
            Ok(Some(_)) | Err(StoreError::Retired(_)) => return Ok(false),
            loaded => loaded?,
        };
        let Some(claim) = orphans::claim_orphan_check(store, account, reference, now).await? else {
            return Ok(false);
        };
        let said = upstream.client.check_unknown(reference.as_str()).await;
        let said = said.map(|heard| heard.code);
        let result = match &said {
            Ok(code) => verdict::class(*code),
            Err(nothing) => nothing.kind(),
        };
        self.metrics.orphan_check(account, result);
        log(account, reference, &said);
        let check = OrphanCheck {
            at: (self.ambient.now)(),
            status: said.as_ref().ok().map(ToString::to_string),
            problem: said.err().map(|nothing| nothing.kind().to_owned()),
        };
        orphans::keep_orphan_check(store, account, reference, &claim, &check).await?;
        Ok(true)
    }
}

/// Logs the result of a check.
fn log(account: &AccountName, reference: &ReferenceCode, said: &Result<StatusCode, AnswerError>) {
    match said {
        Ok(code) if matches!(verdict::class(*code), "success" | "pending") => warn!(
            %account,
            reference_code = %reference,
            status_code = %code,
            "purchase known to OKEBAYAR and not to the store: the store has lost its record; see \
             the failover guard in docs/OPERATIONS.md"
        ),
        Ok(code) => warn!(
            %account,
            reference_code = %reference,
            status_code = %code,
            "orphan check made for a reference code that the store does not know"
        ),
        Err(nothing) => {
            debug!(%account, reference_code = %reference, %nothing,
                "orphan check inconclusive");
        }
    }
}
