//! The identity and the epoch, in one table of facts.

use redb::{ReadableTable, WriteTransaction};

use super::{error::failure, store::RedbStore, tables::IDENTITY};
use crate::store::{
    EncryptionKeys, Identity, KnownAccounts, SCHEMA, StoreError, UserIdBefore, UserIdChange,
    identity::{self, Adoption, Facts},
};

impl RedbStore {
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
        let change = change.clone();
        self.write(move |write| {
            let (before, facts) = change.plan(&read_identity(write).map_err(failure)?)?;
            if is_confirmed {
                write_identity(write, &facts).map_err(failure)?;
            }
            Ok(before)
        })
        .await
    }

    /// Raises the store to the schema of this release, and returns the schema before. Without
    /// `is_confirmed` nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the store has no schema that this release knows.
    pub async fn upgrade_schema(&self, is_confirmed: bool) -> Result<u32, StoreError> {
        let before = self
            .write(move |write| {
                let stored = read_identity(write).map_err(failure)?;
                let facts = identity::upgraded(&stored)?;
                if is_confirmed {
                    write_identity(write, &facts).map_err(failure)?;
                }
                Ok(identity::schema_of(&stored).unwrap_or_default())
            })
            .await?;
        if is_confirmed {
            self.codec.learn(SCHEMA);
        }
        Ok(before)
    }

    /// Reads every account name that the store has been used with.
    pub(super) async fn read_account_names(&self) -> Result<KnownAccounts, StoreError> {
        self.read(|read| {
            let table = read.open_table(IDENTITY).map_err(failure)?;
            let facts = read_facts(&table).map_err(failure)?;
            Ok(KnownAccounts {
                names: identity::account_names(&facts),
                is_whole: true,
            })
        })
        .await
    }
}

/// Adopts the store for `identity`, and returns its schema.
pub(super) fn adopt_identity(
    write: &WriteTransaction,
    identity: &Identity,
    keys: &EncryptionKeys,
) -> Result<Option<u32>, StoreError> {
    let adoption = Adoption {
        identity,
        keys,
        partitions: None,
        new_schema: SCHEMA,
    };
    let facts = adoption.facts(&read_identity(write).map_err(failure)?)?;
    write_identity(write, &facts).map_err(failure)?;
    let stored = read_identity(write).map_err(failure)?;
    Ok(identity::schema_of(&stored))
}

pub(super) fn read_identity(write: &WriteTransaction) -> Result<Facts, redb::Error> {
    read_facts(&write.open_table(IDENTITY)?)
}

pub(super) fn read_facts(
    table: &impl ReadableTable<&'static str, &'static str>,
) -> Result<Facts, redb::Error> {
    let mut facts = Facts::new();
    for entry in table.iter()? {
        let (fact, value) = entry?;
        facts.insert(fact.value().to_owned(), value.value().to_owned());
    }
    Ok(facts)
}

pub(super) fn write_identity(write: &WriteTransaction, facts: &Facts) -> Result<(), redb::Error> {
    let mut table = write.open_table(IDENTITY)?;
    for (fact, value) in facts {
        table.insert(fact.as_str(), value.as_str())?;
    }
    Ok(())
}

/// Returns the epoch of the store. Sets it to `ours` if it has none, or was restored.
pub(super) fn set_epoch(
    write: &WriteTransaction,
    ours: &str,
    is_restored: bool,
) -> Result<String, redb::Error> {
    let mut table = write.open_table(IDENTITY)?;
    if let Some(known) = table.get("epoch")?
        && !is_restored
    {
        return Ok(known.value().to_owned());
    }
    table.insert("epoch", ours)?;
    Ok(ours.to_owned())
}
