//! Notes (named texts with compare-and-set) and bounded lists.

use jiff::Timestamp;

use super::error::StoreError;
use crate::transaction::TransactionKey;

/// The result of a compare-and-set of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CasResult {
    /// The new text is stored.
    Done,
    /// The note holds this text instead; `None` when there is no note.
    Conflict(Option<String>),
}

/// The expiry of a note.
#[derive(Debug, Clone, Copy)]
pub struct Expiry {
    /// The current time.
    pub now: Timestamp,
    /// The time until which the note is kept; it may be deleted afterwards.
    pub until: Timestamp,
}

/// Returns true for a note that may hold data of a customer, which is encrypted when a key is
/// configured: inquiries, and the hashes of their answers. Other notes hold reference codes, prices
/// and counts.
pub(super) fn is_personal(name: &str) -> bool {
    ["inquiry:", MARK]
        .iter()
        .any(|start| name.starts_with(start))
}

/// The start of the name of a mark: a note that a reference code was used for an inquiry. The key of
/// the reference code follows.
const MARK: &str = "inquired:";

/// Returns the name of the mark of a reference code.
#[must_use]
pub fn mark_name(key: &TransactionKey) -> String {
    format!("{MARK}{key}")
}

/// Returns the key of the reference code that a note marks, as text; `None` when it is no mark.
pub(super) fn marked_key(name: &str) -> Option<&str> {
    name.strip_prefix(MARK)
}

/// The lists of a store, each with the newest [`LIST_MAX`] items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundedList {
    /// Callbacks about unknown reference codes.
    Orphans,
    /// OKEBAYAR's texts to the partner.
    Notices,
    /// The times and reasons of operators who ended the failover guard.
    GuardEndings,
}

impl BoundedList {
    /// Every list.
    pub const ALL: [Self; 3] = [Self::Orphans, Self::Notices, Self::GuardEndings];

    /// Returns true when items may name a customer, so that they are encrypted when a key is
    /// configured: the texts of callbacks and of OKEBAYAR.
    pub(super) fn is_personal(self) -> bool {
        match self {
            Self::Orphans | Self::Notices => true,
            Self::GuardEndings => false,
        }
    }

    /// Returns the name under which the list is stored.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Orphans => "orphans",
            Self::Notices => "notices",
            Self::GuardEndings => "guard-endings",
        }
    }
}

/// The texts of several notes, in the order of their names; `None` stands for no note.
pub type NoteTexts = Vec<Option<String>>;

/// Items of a list, newest first. One that cannot be decrypted hides no other.
pub type ItemTexts = Vec<Result<String, SealedItem>>;

/// An item that cannot be decrypted.
#[derive(Debug, Clone)]
pub struct SealedItem {
    /// Its encrypted text, as it is stored.
    pub stored: String,
    /// The reason.
    pub error: StoreError,
}

/// The maximum length of a list, beyond which its oldest items are removed.
pub const LIST_MAX: usize = 1000;
