//! Callbacks about reference codes that the store does not know, while it may have lost
//! records.
//!
//! Such a callback may be the only trace of a purchase that was sent. A status check
//! finds out, and what it says is kept with the callback for an operator. It never makes
//! a transaction (promise 7): nobody here knows what was ordered, for whom, and whether
//! the caller still wants it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc};
use tracing::{debug, warn};

use super::Engine;
use crate::{
    okebayar::{answer_error::AnswerError, verdict},
    store::{
        StoreError,
        inbox::{self, Orphan, OrphanCheck},
    },
    transaction::{AccountName, ReferenceCode, StatusCode, TransactionKey},
};

/// How many wait to be asked about; further ones are not asked about.
const WAITING_MAX: usize = 256;
/// From one check to the next, so that a flood of callbacks asks little of OKEBAYAR.
const PAUSE: Duration = Duration::from_secs(1);

/// A reference code that the store does not know, and at whose account's address the
/// callback came.
type Unknown = (AccountName, ReferenceCode);

/// The queue of reference codes to be asked about.
pub(super) struct Orphans {
    sender: mpsc::Sender<Unknown>,
    receiver: Mutex<mpsc::Receiver<Unknown>>,
}

impl Default for Orphans {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Self {
            sender,
            receiver: Mutex::new(receiver),
        }
    }
}

impl Engine {
    /// Has OKEBAYAR asked about the reference code of an orphan, where that is needed.
    pub(super) fn ask_about_orphan(&self, orphan: &Orphan) {
        let Ok(reference) = ReferenceCode::parse(orphan.reference_code.as_str()) else {
            return;
        };
        let waiting = self
            .orphans
            .sender
            .try_send((orphan.account.clone(), reference));
        if waiting.is_err() {
            self.metrics().orphan_check(&orphan.account, "dropped");
        }
    }

    /// Asks OKEBAYAR about the reference codes of orphans, one at a time, until the
    /// gateway stops.
    pub async fn check_orphans(&self) {
        for account in self.upstreams.keys() {
            self.metrics().no_orphan_checks(account);
        }
        let mut waiting = self.orphans.receiver.lock().await;
        let checking = async {
            while let Some((account, reference)) = waiting.recv().await {
                match self.check_orphan(&account, &reference).await {
                    Ok(true) => tokio::time::sleep(PAUSE).await,
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

    /// Returns up to `limit` orphans after the newest `start`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn orphans(&self, start: usize, limit: usize) -> Result<Vec<Orphan>, StoreError> {
        inbox::orphans(&*self.store, start, limit).await
    }

    /// Returns the result of the check of an orphan's reference code; `None` when none was
    /// made.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn orphan_check(&self, orphan: &Orphan) -> Result<Option<OrphanCheck>, StoreError> {
        inbox::orphan_check(&*self.store, orphan).await
    }

    /// Returns true when a reference code tells that it is young enough to be asked about:
    /// a check past `checks.age_max` may become a new sale, and a callback may name any
    /// reference code, however old.
    fn is_young(&self, reference: &ReferenceCode, now: Timestamp) -> bool {
        let skew = self.settings.guard.clock_skew;
        reference.minted_at().is_some_and(|minted| {
            let age = now.duration_since(minted);
            -skew <= age && age.saturating_add(skew) <= self.schedule().age_max
        })
    }

    /// Asks OKEBAYAR, if the store may have lost this reference code and nobody asked
    /// before. Returns true when it was asked.
    async fn check_orphan(
        &self,
        account: &AccountName,
        reference: &ReferenceCode,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        if !self.is_young(reference, now) {
            return Ok(false);
        }
        // Read anew: the callback may come before anybody noticed the loss.
        let guard = self.refresh_guard().await?;
        let (Some(_), Some(upstream)) = (
            guard.on(&self.settings.guard, now),
            self.upstreams.get(account),
        ) else {
            return Ok(false);
        };
        let key = TransactionKey::new(reference);
        let store = &*self.store;
        if store.load(&key).await?.is_some() {
            // It was written again meanwhile, or belongs to another account.
            return Ok(false);
        }
        let Some(claim) = inbox::claim_orphan_check(store, account, reference, now).await? else {
            return Ok(false);
        };
        let said = upstream.client.check_unknown(reference).await;
        let said = said.map(|heard| heard.code);
        let result = match &said {
            Ok(code) => verdict::class(*code),
            Err(nothing) => nothing.kind(),
        };
        self.metrics().orphan_check(account, result);
        log(account, reference, &said);
        let check = OrphanCheck {
            at: self.now(),
            status: said.as_ref().ok().map(ToString::to_string),
            problem: said.err().map(|nothing| nothing.kind().to_owned()),
        };
        inbox::keep_orphan_check(store, account, reference, &claim, &check).await?;
        Ok(true)
    }
}

fn log(account: &AccountName, reference: &ReferenceCode, said: &Result<StatusCode, AnswerError>) {
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
