//! The release of quarantined transactions, once an operator has ended the failover guard.
//!
//! Each step is one commit of one transaction, so the release is idempotent and may be interrupted
//! anywhere: a released transaction is NOT_SENT, and no longer listed.

use std::{collections::HashSet, fmt, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use crate::{
    ambient::Ambient,
    failover::known_epoch::GuardSettings,
    notices::orphans::{self, Orphan},
    store::{Commit, LIST_MAX, Listing, ListingEntry, Store, StoreError},
    transaction::{NotReleased, Release, Schedule, Transaction, TransactionKey},
};

/// The number of transactions in one listing.
const PAGE: usize = 256;

/// The result of releasing quarantined transactions.
#[derive(Debug, Default)]
pub(crate) struct ReleaseReport {
    /// The number of transactions that are NOT_SENT now.
    count: usize,
    /// The transactions that stay quarantined and whose checks continue, each with the reason.
    kept: Vec<(String, String)>,
}

impl fmt::Display for ReleaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} quarantined transactions are NOT_SENT now: the next call with the same reference \
             code buys",
            self.count
        )?;
        if !self.kept.is_empty() {
            write!(
                f,
                "\n{} stay quarantined; status checks continue:",
                self.kept.len()
            )?;
        }
        for (key, why) in &self.kept {
            write!(f, "\n  {key}: {why}")?;
        }
        Ok(())
    }
}

/// Releases the quarantined transactions that provably no callback named and OKEBAYAR does not
/// know.
///
/// # Errors
/// [`StoreError`] when the store does not answer; safe to retry.
pub(crate) async fn release(
    store: &dyn Store,
    settings: GuardSettings,
    orphans_kept: SignedDuration,
    schedule: &Schedule,
    by: &Release,
    ambient: Ambient,
) -> Result<ReleaseReport, StoreError> {
    let entries = confirming(store).await?;
    // Read after the listing: a callback about a listed transaction is not an orphan.
    let orphans = orphans::orphans(store, 0, LIST_MAX).await;
    let orphans = orphans.map_err(of_unreadable_orphan)?;
    let called_back = CallbackReferences::of(&orphans, settings, orphans_kept, (ambient.now)());
    let mut released = ReleaseReport::default();
    for entry in entries {
        match release_one(store, schedule, by, ambient, &entry, &called_back).await {
            Ok(Ok(())) => released.count += 1,
            // One that was settled meanwhile, and retired.
            Ok(Err(NotReleased::NotQuarantined)) | Err(StoreError::Retired(_)) => {}
            Ok(Err(kept)) => released.kept.push((entry.name, kept.to_string())),
            Err(error) if error.is_of_record() => {
                released.kept.push((entry.name, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(released)
}

/// Builds the error of an orphan that cannot be read. It may name any quarantined transaction, so none
/// is released.
fn of_unreadable_orphan(error: StoreError) -> StoreError {
    if !error.is_of_record() {
        return error;
    }
    StoreError::Unsuitable(format!(
        "an orphan callback cannot be read and may name any quarantined transaction, so none is \
         released; configure its key of encryption, or settle them one by one (ResolveTransaction): \
         {error}"
    ))
}

/// Lists all transactions in CONFIRMING, the state of quarantined ones.
async fn confirming(store: &dyn Store) -> Result<Vec<ListingEntry>, StoreError> {
    let mut entries: Vec<ListingEntry> = Vec::new();
    loop {
        let newest = ListingEntry {
            created_ms: ListingEntry::MS_MAX,
            name: String::new(),
        };
        let listing = Listing {
            state: "CONFIRMING",
            from: Timestamp::UNIX_EPOCH,
            after: entries.last().cloned().unwrap_or(newest),
            limit: PAGE,
        };
        let found = store.list(&listing).await?;
        let is_end = found.len() < PAGE;
        entries.extend(found);
        if is_end {
            return Ok(entries);
        }
    }
}

/// Releases one transaction.
async fn release_one(
    store: &dyn Store,
    schedule: &Schedule,
    by: &Release,
    ambient: Ambient,
    entry: &ListingEntry,
    called_back: &CallbackReferences,
) -> Result<Result<(), NotReleased>, StoreError> {
    let key: TransactionKey = entry.key()?;
    let mut current: Option<Arc<Transaction>> = store.load(&key).await?;
    // Retries with the stored record as long as another process committed first.
    while let Some(transaction) = current {
        let change = match transaction.release(by, (ambient.now)(), schedule) {
            Ok(_) if called_back.may_contain(&transaction) => {
                return Ok(Err(NotReleased::CalledBack));
            }
            Ok(change) => change,
            Err(kept) => return Ok(Err(kept)),
        };
        match store.commit(&change, None).await? {
            Commit::Done => return Ok(Ok(())),
            Commit::Conflict(stored) => current = stored,
            Commit::OtherEpoch => break,
        }
    }
    Ok(Err(NotReleased::NotQuarantined))
}

/// The reference codes of orphan callbacks.
struct CallbackReferences {
    references: HashSet<String>,
    /// The time since which the list is complete: a full one has dropped its oldest items, and items
    /// end. `None` when nothing can be missing.
    complete_since: Option<Timestamp>,
    settings: GuardSettings,
}

impl CallbackReferences {
    /// Builds them from the list, whose items may have been removed `kept` after their receipt.
    fn of(
        orphans: &[Orphan],
        settings: GuardSettings,
        kept: SignedDuration,
        now: Timestamp,
    ) -> Self {
        let is_full = orphans.len() >= LIST_MAX;
        let oldest = orphans.iter().map(|orphan| orphan.at).min();
        let ended = now.checked_sub(kept).ok();
        let references = orphans
            .iter()
            .map(|orphan| normalize(&orphan.reference_code))
            .collect();
        Self {
            references,
            complete_since: oldest.filter(|_| is_full).max(ended),
            settings,
        }
    }

    /// Returns true when a callback named the transaction at any account's address, or may have
    /// done so between the loss and the quarantine, which is at most as long as the guard lasts.
    fn may_contain(&self, transaction: &Transaction) -> bool {
        let is_complete = self.complete_since.is_none_or(|since| {
            let window = self.settings.lasts.saturating_add(self.settings.clock_skew);
            transaction.armed_at().duration_since(since) > window
        });
        !is_complete
            || self
                .references
                .contains(&normalize(transaction.reference_code().as_str()))
    }
}

/// Returns a reference code without case and hyphens, which OKEBAYAR may drop.
fn normalize(reference: &str) -> String {
    let kept = reference.chars().filter(|one| *one != '-');
    kept.map(|one| one.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::AccountName;

    #[test]
    fn callback_references_are_incomplete_before_oldest_orphan_of_full_list() {
        let at = |hours: i64| Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap();
        let orphan = |number: i64| Orphan {
            account: AccountName::parse("main").unwrap(),
            reference_code: format!("OTHER-{number}"),
            status: "000".to_owned(),
            at: at(number),
        };
        let settings = GuardSettings {
            lasts: SignedDuration::from_hours(24),
            clock_skew: SignedDuration::from_mins(1),
        };
        let kept = SignedDuration::from_hours(1000);
        let of = |orphans: &[Orphan], now| CallbackReferences::of(orphans, settings, kept, at(now));
        let few = of(&[orphan(0)], 10);
        // Items that have ended may be missing from a list that is not full.
        assert_eq!(few.complete_since, Some(at(10 - 1000)));
        assert!(few.references.contains("other0"));
        let most = i64::try_from(LIST_MAX).unwrap();
        let orphans: Vec<Orphan> = (5..5 + most).map(orphan).collect();
        let full = of(&orphans, 1000);
        assert_eq!(full.complete_since, Some(at(5)));
        assert_eq!(of(&orphans, 1010).complete_since, Some(at(10)));
    }
}
