//! Callbacks about reference codes that the store does not know, while it may have lost
//! records.
//!
//! Such a callback may be the only trace of a purchase that was sent. A status check
//! finds out, and what it says is kept with the callback for an operator. It never makes
//! a transaction (promise 7): nobody here knows what was ordered, for whom, and whether
//! the caller still wants it.

use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, warn};

use crate::{
    callbacks::callback_recorder::CallbackRecorder,
    notices::orphans::{self, Orphan, OrphanCheck},
    okebayar::{client::NothingLearnt, verdict},
    store::StoreError,
    transaction::{AccountName, ReferenceCode, StatusCode, TransactionKey},
};

/// From one check to the next, so that a flood of callbacks asks little of OKEBAYAR.
const CHECK_PAUSE: Duration = Duration::from_secs(1);

impl CallbackRecorder {
    /// Has OKEBAYAR asked about the reference code of an orphan, where that is needed.
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

    /// Asks OKEBAYAR about the reference codes of orphans, one at a time, until the
    /// gateway stops.
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
                            "an orphan callback could not be checked");
                    }
                }
            }
        };
        self.stopping.run_until_cancelled(checking).await;
    }

    /// Returns true when a reference code tells that it is young enough to be asked about:
    /// a check past `checks.age_max` may become a new sale, and a callback may name any
    /// reference code, however old.
    fn is_young(&self, reference: &ReferenceCode, now: Timestamp) -> bool {
        let skew = self.failover.clock_skew();
        reference.minted_at().is_some_and(|minted| {
            let age = now.duration_since(minted);
            -skew <= age && age.saturating_add(skew) <= self.schedule.age_max
        })
    }

    /// Asks OKEBAYAR, if the store may have lost this reference code and nobody asked
    /// before. Returns true when it was asked.
    async fn check_orphan(
        &self,
        account: &AccountName,
        reference: &ReferenceCode,
    ) -> Result<bool, StoreError> {
        let now = (self.ambient.now)();
        if !self.is_young(reference, now) {
            return Ok(false);
        }
        // Read anew: the callback may come before anybody noticed the loss.
        let epoch = self.failover.refresh().await?;
        let upstream = self.upstreams.get(account);
        let Some(upstream) = upstream.filter(|_| self.failover.is_on(&epoch)) else {
            return Ok(false);
        };
        let key = TransactionKey::new(reference);
        let store = &*self.store;
        if store.load(&key).await?.is_some() {
            // It was written again meanwhile, or belongs to another account.
            return Ok(false);
        }
        let Some(claim) = orphans::claim_orphan_check(store, account, reference, now).await? else {
            return Ok(false);
        };
        let said = upstream.client.check_unknown(reference).await;
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

fn log(account: &AccountName, reference: &ReferenceCode, said: &Result<StatusCode, NothingLearnt>) {
    match said {
        Ok(code) if matches!(verdict::class(*code), "success" | "pending") => warn!(
            %account,
            reference_code = %reference,
            status_code = %code,
            "a purchase that the store does not know is known to OKEBAYAR; the store has lost \
             its record"
        ),
        Ok(code) => warn!(
            %account,
            reference_code = %reference,
            status_code = %code,
            "OKEBAYAR was asked about a reference code that the store does not know"
        ),
        Err(nothing) => {
            debug!(%account, reference_code = %reference, %nothing,
                "the check of an orphan callback brought nothing");
        }
    }
}
