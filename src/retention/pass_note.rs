//! The note of the latest pass, which every replica reads: the age of the last complete pass is the
//! lag of the whole installation, and a clock that is far ahead of the last pass may be wrong.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::store::{Expiry, Store, StoreError};

/// The name of the note.
const NOTE: &str = "retention:passes";
/// The time for which the note is kept: longer than any clock is ahead.
const KEPT: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// The times of the latest passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PassNote {
    /// The time of the latest pass that could end something.
    pub(super) at: Timestamp,
    /// The end of the last complete pass.
    pub(super) complete_at: Option<Timestamp>,
    /// The time since which the clock has not jumped; `None` when it never did.
    pub(super) steady_since: Option<Timestamp>,
}

/// The note as read.
pub(super) struct ReadNote {
    text: Option<String>,
    /// The note; `None` when there is none.
    pub(super) note: Option<PassNote>,
}

impl ReadNote {
    /// Reads the note. One that cannot be read counts as that of a pass long ago.
    pub(super) async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let text = store.note(NOTE).await?;
        let parse = |text: &String| {
            serde_json::from_str(text).unwrap_or(PassNote {
                at: Timestamp::UNIX_EPOCH,
                complete_at: None,
                steady_since: None,
            })
        };
        let note = text.as_ref().map(parse);
        Ok(Self { text, note })
    }

    /// Replaces the note, unless another replica has done so.
    pub(super) async fn replace(
        &mut self,
        store: &dyn Store,
        note: PassNote,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let keep = Expiry {
            now,
            until: now.checked_add(KEPT).unwrap_or(Timestamp::MAX),
        };
        let text = serde_json::to_string(&note).unwrap_or_default();
        let put = store.put_note(NOTE, self.text.as_deref(), &text, keep);
        put.await?;
        *self = Self {
            text: Some(text),
            note: Some(note),
        };
        Ok(())
    }
}
