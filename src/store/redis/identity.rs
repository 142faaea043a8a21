//! The identity, which is adopted, restored and changed by compare-and-set of all its facts.

use std::sync::Arc;

use redis::Cmd;

use super::store::RedisStore;
use crate::store::{
    Identity, KnownAccounts, SCHEMA, SCHEMA_BEFORE, StoreError, UserIdBefore, UserIdChange,
    identity::{self, Adoption, Facts, SeenIdentity, is_unshared, schema_of},
};

/// The key of the identity.
pub(super) const IDENTITY_KEY: &str = "okb:identity";

impl RedisStore {
    /// Adopts the store for `identity`.
    pub(super) async fn adopt_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let is_new = schema_of(&self.read_identity().await?).is_none();
        // A Redis that was emptied during a rollout: the release before goes on using it.
        let is_shared = is_new && self.count_earlier_listeners().await? > 0;
        let new_schema = if is_shared { SCHEMA_BEFORE } else { SCHEMA };
        let adoption = self.adoption(identity, new_schema);
        let adopt = |stored: &Facts| {
            let adopted = adoption.facts(stored)?;
            Ok((with(stored, &adopted), adopted))
        };
        let seen = self.amend_identity(adopt).await?;
        self.learn_schema(&seen);
        *self.seen() = Some(SeenIdentity {
            identity: identity.clone(),
            keys: Arc::clone(self.codec.keys()),
            seen,
        });
        Ok(())
    }

    /// Returns the adoption of the store by a gateway of `identity`, which creates a store of
    /// `new_schema`.
    pub(super) fn adoption<'a>(&'a self, identity: &'a Identity, new_schema: u32) -> Adoption<'a> {
        Adoption {
            identity,
            keys: self.codec.keys(),
            partitions: Some(self.settings.partitions),
            new_schema,
        }
    }

    /// Restores the missing facts that this process saw, and remembers new ones.
    pub(super) async fn restore_identity(&self) -> Result<(), StoreError> {
        let partitions = Some(self.settings.partitions);
        let restore = |stored: &Facts| {
            let gone = match &*self.seen() {
                Some(seen) => seen.restore(partitions, stored)?,
                None => Facts::new(),
            };
            Ok((with(stored, &gone), gone))
        };
        let stored = self.amend_identity(restore).await?;
        self.learn_schema(&stored);
        if let Some(seen) = &mut *self.seen() {
            seen.seen.extend(stored);
        }
        Ok(())
    }

    /// Learns the schema of the store.
    pub(super) fn learn_schema(&self, stored: &Facts) {
        if let Some(schema) = identity::schema_of(stored) {
            self.codec.learn(schema);
        }
        if is_unshared(stored) {
            self.codec.learn_unshared();
        }
    }

    /// Raises the store to the schema of this release, and returns the schema before. Without
    /// `is_confirmed` nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the store has no schema that this release knows, or a gateway
    /// of an earlier release is connected.
    pub async fn upgrade_schema(&self, is_confirmed: bool) -> Result<u32, StoreError> {
        let earlier = self.count_earlier_listeners().await?;
        if earlier > 0 {
            return Err(StoreError::Unsuitable(format!(
                "{earlier} gateways of an earlier release, or other subscribers of okb:wake, are \
                 connected to it: they could not read what is written afterwards; finish the \
                 rollout of this release first"
            )));
        }
        let upgrade = |stored: &Facts| {
            let facts = identity::upgraded(stored)?;
            let before = identity::schema_of(stored).unwrap_or_default();
            Ok((before, if is_confirmed { facts } else { Facts::new() }))
        };
        self.amend_identity(upgrade).await
    }

    /// Changes the user id of an account, and returns what the store held before. Without
    /// `is_confirmed` nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the change is rejected.
    pub async fn change_user_id(
        &self,
        change: &UserIdChange,
        is_confirmed: bool,
    ) -> Result<UserIdBefore, StoreError> {
        let plan = |stored: &Facts| {
            let (before, facts) = change.plan(stored)?;
            Ok((before, if is_confirmed { facts } else { Facts::new() }))
        };
        self.amend_identity(plan).await
    }

    /// Writes the facts that `amend` derives from the stored ones; retries while another gateway
    /// writes first.
    pub(in crate::store) async fn amend_identity<T>(
        &self,
        amend: impl Fn(&Facts) -> Result<(T, Facts), StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            let stored = self.read_identity().await?;
            let (amended, facts) = amend(&stored)?;
            if facts.is_empty() {
                return Ok(amended);
            }
            let mut call = self.scripts.identity.key(IDENTITY_KEY);
            call.arg(stored.len());
            for (fact, value) in stored.iter().chain(&facts) {
                call.arg(fact).arg(value);
            }
            if self.invoke(&call).await? {
                return Ok(amended);
            }
        }
    }

    pub(in crate::store) async fn read_identity(&self) -> Result<Facts, StoreError> {
        self.query(&Cmd::hgetall(IDENTITY_KEY)).await
    }

    /// Reads every account name that the store has been used with.
    pub(super) async fn read_account_names(&self) -> Result<KnownAccounts, StoreError> {
        let stored = self.read_identity().await?;
        let is_torn = self
            .seen()
            .as_ref()
            .is_some_and(|seen| seen.is_torn(&stored));
        Ok(KnownAccounts {
            names: identity::account_names(&stored),
            is_whole: !is_torn,
        })
    }
}

/// Returns the stored facts, overwritten by others.
fn with(stored: &Facts, written: &Facts) -> Facts {
    let mut facts = stored.clone();
    facts.extend(written.clone());
    facts
}
