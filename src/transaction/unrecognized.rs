//! Parts of a stored record that this release does not know.
//!
//! During a rollout two releases share a store. A field that release N added to a record must
//! survive a save by N-1, which ignores it on reading: it is kept verbatim beside the transaction
//! and restored on writing (`docs/decisions/0010-what-a-later-release-stored.md`).

use std::{collections::BTreeMap, fmt};

use serde_json::{Error, value::RawValue};

use super::{attempt::QuarantinedAttempt, evidence::EvidenceSet, statement::Statement};

/// Members and entries of a record that this release does not know, by their place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Unrecognized {
    /// The unknown members of this object, as JSON.
    members: BTreeMap<String, String>,
    /// The known members that contain unknown parts.
    within: BTreeMap<String, Self>,
    /// The entries of this list that contain unknown parts, by identity.
    entries: BTreeMap<String, Self>,
    /// The entries of this list that are repetitions of others to this release, as JSON.
    repeated: Vec<String>,
}

impl fmt::Debug for Unrecognized {
    /// Omits the texts, which may name a customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "Unrecognized(nothing)"
        } else {
            "Unrecognized(hidden)"
        })
    }
}

/// The members of a JSON object, unparsed.
type JsonMembers = BTreeMap<String, Box<RawValue>>;

impl Unrecognized {
    /// Finds the parts of `read` that `ours` lacks, the same record as this release writes it.
    ///
    /// # Errors
    /// Fails when either text is not a JSON object.
    pub fn find(read: &str, ours: &str) -> Result<Self, Error> {
        Self::of_object(read, ours)
    }

    /// Returns true when this release knows the whole record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Restores the unknown parts in the record as this release writes it. Where both have a part,
    /// that of this release prevails.
    ///
    /// # Errors
    /// Fails when `ours` is not a JSON object.
    pub fn put_back(&self, ours: &str) -> Result<String, Error> {
        self.merge_object(ours)
            .map(|merged| merged.get().to_owned())
    }

    /// Drops the unknown parts of the attempt and its order, because another attempt is armed.
    pub(super) fn forget_attempt(&mut self) {
        if let Some(transaction) = self.within.get_mut("transaction") {
            transaction.within.remove("attempt");
            transaction.within.remove("order");
        }
    }

    fn of_object(read: &str, ours: &str) -> Result<Self, Error> {
        let (stored, known): (JsonMembers, JsonMembers) =
            (serde_json::from_str(read)?, serde_json::from_str(ours)?);
        let mut found = Self::default();
        for (name, value) in stored {
            let Some(counterpart) = known.get(&name) else {
                found.members.insert(name, value.get().to_owned());
                continue;
            };
            let within = match (first(&value), first(counterpart)) {
                (Some('{'), Some('{')) => Self::of_object(value.get(), counterpart.get())?,
                (Some('['), Some('[')) => Self::of_list(&name, value.get(), counterpart.get())?,
                _ => continue,
            };
            if !within.is_empty() {
                found.within.insert(name, within);
            }
        }
        Ok(found)
    }

    fn of_list(list: &str, read: &str, ours: &str) -> Result<Self, Error> {
        let mut found = Self::default();
        let mut kept = JsonMembers::new();
        for (key, entry) in keyed(list, read)? {
            // Of several entries that are one to this release, reading kept the last.
            if let Some(earlier) = kept.insert(key, entry) {
                found.repeated.push(earlier.get().to_owned());
            }
        }
        let ours: JsonMembers = keyed(list, ours)?.into_iter().collect();
        for (key, entry) in kept {
            let Some(ours) = ours.get(&key) else {
                continue;
            };
            let within = Self::of_object(entry.get(), ours.get())?;
            if !within.is_empty() {
                found.entries.insert(key, within);
            }
        }
        Ok(found)
    }

    fn merge_object(&self, ours: &str) -> Result<Box<RawValue>, Error> {
        let mut members: JsonMembers = serde_json::from_str(ours)?;
        for (name, text) in &self.members {
            if !members.contains_key(name) {
                members.insert(name.clone(), RawValue::from_string(text.clone())?);
            }
        }
        for (name, within) in &self.within {
            let Some(ours) = members.get_mut(name) else {
                continue;
            };
            match first(ours) {
                Some('{') => *ours = within.merge_object(ours.get())?,
                Some('[') => *ours = within.merge_list(name, ours.get())?,
                _ => {}
            }
        }
        serde_json::value::to_raw_value(&members)
    }

    fn merge_list(&self, list: &str, ours: &str) -> Result<Box<RawValue>, Error> {
        // They precede the others, so that reading keeps the same entry again.
        let mut merged: Vec<Box<RawValue>> = Vec::new();
        for text in &self.repeated {
            merged.push(RawValue::from_string(text.clone())?);
        }
        let entries: Vec<Box<RawValue>> = serde_json::from_str(ours)?;
        for entry in entries {
            let within = key_of(list, entry.get()).and_then(|key| self.entries.get(&key));
            merged.push(match within {
                Some(within) => within.merge_object(entry.get())?,
                None => entry,
            });
        }
        serde_json::value::to_raw_value(&merged)
    }
}

/// Returns the first character of a JSON value, which shows its type.
fn first(value: &RawValue) -> Option<char> {
    value.get().chars().next()
}

/// Returns the entries of a list with their identities. Entries without an identity are omitted.
fn keyed(list: &str, text: &str) -> Result<Vec<(String, Box<RawValue>)>, Error> {
    let entries: Vec<Box<RawValue>> = serde_json::from_str(text)?;
    let keyed = entries
        .into_iter()
        .filter_map(|entry| Some((key_of(list, entry.get())?, entry)));
    Ok(keyed.collect())
}

/// Returns the identity of an entry of one of the lists of a record, as text.
fn key_of(list: &str, entry: &str) -> Option<String> {
    let of_statement = |said: &Statement| serde_json::to_string(&said.identity()).ok();
    match list {
        "evidence" => {
            let set: EvidenceSet = serde_json::from_str(&format!("[{entry}]")).ok()?;
            let (said, _) = set.iter().next()?;
            of_statement(said)
        }
        "saw" => of_statement(&serde_json::from_str(entry).ok()?),
        "held_back" => {
            let held: QuarantinedAttempt = serde_json::from_str(entry).ok()?;
            Some(held.attempt.to_string())
        }
        _ => None,
    }
}
