//! The commits of this process that are in flight: the store may notify this process of its own
//! commit before the commit returns.
//!
//! Subscribers who were woken by such a notification would read from the store what this process
//! publishes a moment later. So a notification of a version that is being committed here waits for
//! the end of the commit.
//!
//! SUBTLE: another process may have committed that version:
//! 1. this process begins a commit of version 2;
//! 2. another process commits its version 2, and this process receives the notification;
//! 3. the commit of this process conflicts, or its result is indeterminate.
//!
//! Nothing is published here then, so the end of the last commit of that version notifies the
//! subscribers after all. A notification of any other version never waits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::transaction::TransactionKey;

/// A version of a transaction.
type Version = (TransactionKey, u64);

/// The commits in flight of one version.
#[derive(Default)]
struct InFlight {
    /// The number of commits: two calls may compete for one version.
    commits: usize,
    /// A notification of the version has arrived.
    was_notified: bool,
}

/// The versions that this process is committing.
#[derive(Clone, Default)]
pub(super) struct CommitsInFlight(Arc<Mutex<HashMap<Version, InFlight>>>);

impl CommitsInFlight {
    /// Registers a commit of a version.
    pub(super) fn begin(&self, version: &Version) {
        self.lock().entry(version.clone()).or_default().commits += 1;
    }

    /// Returns true when a notification of a version must wait for a commit in flight.
    pub(super) fn defer(&self, version: &Version) -> bool {
        let mut in_flight = self.lock();
        let found = in_flight.get_mut(version);
        found.is_some_and(|found| {
            found.was_notified = true;
            true
        })
    }

    /// Removes a commit of a version. Returns true when a notification waited for the last one.
    pub(super) fn end(&self, version: &Version) -> bool {
        let mut in_flight = self.lock();
        let Some(found) = in_flight.get_mut(version) else {
            return false;
        };
        found.commits -= 1;
        if found.commits > 0 {
            return false;
        }
        let was_notified = found.was_notified;
        in_flight.remove(version);
        was_notified
    }

    /// Locks the versions.
    fn lock(&self) -> MutexGuard<'_, HashMap<Version, InFlight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::ReferenceCode;

    fn version(number: u64) -> Version {
        let reference = ReferenceCode::parse("reference-1").unwrap();
        (TransactionKey::new(&reference), number)
    }

    #[test]
    fn notification_waits_only_for_a_commit_of_its_own_version() {
        let commits = CommitsInFlight::default();
        assert!(!commits.defer(&version(2)), "nothing is being committed");
        commits.begin(&version(2));
        assert!(!commits.defer(&version(1)));
        assert!(!commits.defer(&version(3)), "another process is ahead");
        assert!(commits.defer(&version(2)));
        assert!(commits.end(&version(2)));
        assert!(!commits.defer(&version(2)), "the commit has ended");
    }

    #[test]
    fn notification_waits_for_the_last_of_two_commits() {
        let commits = CommitsInFlight::default();
        commits.begin(&version(2));
        commits.begin(&version(2));
        assert!(commits.defer(&version(2)));
        assert!(!commits.end(&version(2)));
        assert!(commits.end(&version(2)));
        commits.begin(&version(2));
        assert!(!commits.end(&version(2)), "no notification has arrived");
        assert!(commits.lock().is_empty());
    }
}
