//! The mark of a store that takes part in a copy to another store (`store copy`).
//!
//! | `schema` | the store | gateways |
//! | --- | --- | --- |
//! | `copying` | the target of a copy that is not finished | refuse it |
//! | `moving` | the source of a copy that is not finished | refuse it |
//! | `moved` | the source of a finished copy | refuse it |
//!
//! The mark stands where the schema does, which `copy:schema` keeps: an earlier release knows none of
//! these schemas, so it refuses such a store as well, at its start and at its next verification.
//!
//! The source is marked `moved` before the mark of the target is removed. A crash in between leaves
//! two stores that no gateway uses, and the next run of the copy removes the mark, or copies again what
//! the target lost meanwhile.

use super::facts::{ACCOUNT, Facts, PARTITIONS_FACT, SCHEMA_FACT, USER_ID};
use crate::store::error::StoreError;

/// The fact that keeps the schema of a marked store.
const SCHEMA_KEPT: &str = "copy:schema";
const ID: &str = "copy:id";
const PEER: &str = "copy:peer";

/// The part that a store takes in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyRole {
    /// It is the target of an unfinished copy.
    Copying,
    /// It is the source of an unfinished copy.
    Moving,
    /// It is the source of a finished copy.
    Moved,
}

impl CopyRole {
    const ALL: [Self; 3] = [Self::Copying, Self::Moving, Self::Moved];

    /// Returns the text that stands for the schema.
    const fn schema(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Moving => "moving",
            Self::Moved => "moved",
        }
    }
}

/// The mark of a store that takes part in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyMark {
    /// The part of the store.
    pub role: CopyRole,
    /// The random id of the copy; empty for a target that was only created.
    pub id: String,
    /// The other store, without credentials.
    pub peer: String,
}

impl CopyMark {
    /// Returns true for the mark of a target that was only created.
    #[must_use]
    pub fn is_of_no_copy(&self) -> bool {
        self.role == CopyRole::Copying && self.id.is_empty()
    }

    /// Returns the mark of a store; `None` when it has none.
    pub(in crate::store) fn of(facts: &Facts) -> Option<Self> {
        let schema = facts.get(SCHEMA_FACT)?;
        let role = CopyRole::ALL
            .into_iter()
            .find(|role| role.schema() == schema)?;
        let text = |fact| facts.get(fact).cloned().unwrap_or_default();
        Some(Self {
            role,
            id: text(ID),
            peer: text(PEER),
        })
    }

    /// Returns the facts that mark a store.
    pub(in crate::store) fn facts(&self, stored: &Facts) -> Facts {
        let mut facts = Facts::from([
            (SCHEMA_FACT.to_owned(), self.role.schema().to_owned()),
            (ID.to_owned(), self.id.clone()),
            (PEER.to_owned(), self.peer.clone()),
        ]);
        if let Some(schema) = true_schema(stored) {
            facts.insert(SCHEMA_KEPT.to_owned(), schema.to_owned());
        }
        facts
    }

    /// Returns the facts that remove the mark of a store.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the schema of the store is not known.
    pub(in crate::store) fn removed(stored: &Facts) -> Result<Facts, StoreError> {
        let schema = true_schema(stored).ok_or_else(|| {
            StoreError::Unsuitable("the store has no schema, so it is no copy".to_owned())
        })?;
        Ok(Facts::from([
            (SCHEMA_FACT.to_owned(), schema.to_owned()),
            (ID.to_owned(), String::new()),
            (PEER.to_owned(), String::new()),
        ]))
    }

    /// Returns the facts of the target of a copy: the accounts and the schema of its source.
    /// `partitions` is its own number of partitions, and `keys` are the facts of the keys that encrypt
    /// what is copied.
    pub(in crate::store) fn target_facts(
        &self,
        source: &Facts,
        partitions: Option<u64>,
        keys: Facts,
    ) -> Facts {
        let is_copied = |fact: &String| fact.starts_with(ACCOUNT) || fact.starts_with(USER_ID);
        let mut facts = self.facts(source);
        let copied = source.iter().filter(|(fact, _)| is_copied(fact));
        facts.extend(copied.map(|(fact, value)| (fact.clone(), value.clone())));
        facts.extend(keys);
        facts.extend(partitions.map(|count| (PARTITIONS_FACT.to_owned(), count.to_string())));
        facts
    }

    /// Describes why a gateway must not use the store, and what to do.
    fn refusal(&self) -> String {
        let peer = &self.peer;
        match self.role {
            CopyRole::Copying => format!(
                "it is the target of a copy from {peer} that is not finished: run okebayar-gateway \
                 store copy again until it is, or empty this store"
            ),
            CopyRole::Moving => format!(
                "it is being moved to {peer}: finish with okebayar-gateway store copy and configure \
                 that store, or return to this one with okebayar-gateway store copy --cancel"
            ),
            CopyRole::Moved => format!(
                "it was moved to {peer}: configure that store. Purchases made there are missing \
                 here, and would be made again"
            ),
        }
    }
}

/// Returns the schema of a store, also of a marked one.
pub(in crate::store) fn true_schema(facts: &Facts) -> Option<&str> {
    let is_marked = CopyMark::of(facts).is_some();
    let fact = if is_marked { SCHEMA_KEPT } else { SCHEMA_FACT };
    facts.get(fact).map(String::as_str)
}

/// Verifies that a store does not take part in a copy.
///
/// # Errors
/// [`StoreError::Unsuitable`] with the remedy, when it does.
pub(in crate::store) fn refuse_marked(facts: &Facts) -> Result<(), StoreError> {
    match CopyMark::of(facts) {
        Some(mark) => Err(StoreError::Unsuitable(mark.refusal())),
        None => Ok(()),
    }
}
