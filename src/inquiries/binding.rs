//! The binding of an inquiry to the one transaction that may pay it.

use jiff::Timestamp;

use super::{
    inquiry_records::InquiryRecords,
    notes::{INQUIRY_KEPT, keep},
};
use crate::{
    store::{CasResult, Store, StoreError, key},
    transaction::{AccountName, InquiryCode, NumberedInquiry, State, TransactionKey},
};

/// The holder of an inquiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The transaction that may pay the inquiry.
    pub holder: TransactionKey,
    /// The holder before it, if there was one.
    pub previous: Option<TransactionKey>,
}

impl Binding {
    /// Serializes the binding.
    fn write(&self) -> String {
        match &self.previous {
            Some(previous) => format!("{} {previous}", self.holder),
            None => self.holder.to_string(),
        }
    }

    /// Parses a binding.
    pub(super) fn read(text: &str) -> Result<Self, StoreError> {
        let (holder, previous) = match text.split_once(' ') {
            Some((holder, previous)) => (holder, Some(previous)),
            None => (text, None),
        };
        Ok(Self {
            holder: key::parse_key(holder)?,
            previous: previous.map(key::parse_key).transpose()?,
        })
    }
}

/// The note that binds one inquiry, with its expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingNote {
    name: String,
    expires_at: Timestamp,
}

impl BindingNote {
    /// Builds the note of an inquiry. The first inquiry under a code has the name that an earlier
    /// release uses.
    #[must_use]
    pub fn of(numbered: &NumberedInquiry) -> Self {
        let inquiry = &numbered.inquiry;
        let (account, code) = (&inquiry.account, &inquiry.inquiry_code);
        Self::under(account, code, numbered.number, inquiry.expires_at)
    }

    /// Builds the note of the inquiry with this number under a code.
    pub(super) fn under(
        account: &AccountName,
        code: &InquiryCode,
        number: u32,
        expires_at: Timestamp,
    ) -> Self {
        let mut name = binding_note_name(account, code);
        if number > 0 {
            // No code contains a space, so the names cannot collide.
            name = format!("{name} {number}");
        }
        Self { name, expires_at }
    }

    /// Returns the name of the note.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the time at which the inquiry expires.
    pub(super) fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Replaces the binding of an inquiry by compare-and-set, if it still is `from`. Returns the
/// binding that is stored afterwards.
///
/// # Errors
/// [`StoreError`] on an indeterminate result.
async fn put_binding(
    store: &dyn Store,
    note: &BindingNote,
    from: Option<&Binding>,
    to: Binding,
    now: Timestamp,
) -> Result<Binding, StoreError> {
    let name = &note.name;
    let keep = keep(now, note.expires_at.max(now), INQUIRY_KEPT);
    let from = from.map(Binding::write);
    let text = to.write();
    match store.put_note(name, from.as_deref(), &text, keep).await? {
        CasResult::Done => Ok(to),
        CasResult::Conflict(Some(stored)) => Binding::read(&stored),
        // The note expired, or was lost, since it was read.
        CasResult::Conflict(None) => Err(StoreError::Unavailable(format!(
            "the note {name} disappeared while the inquiry was bound; retry"
        ))),
    }
}

/// Loads the holder of an inquiry, if it is bound.
///
/// # Errors
/// [`StoreError`] when the note cannot be read.
pub async fn load_holder(
    store: &dyn Store,
    note: &BindingNote,
) -> Result<Option<TransactionKey>, StoreError> {
    let stored = store.note(&note.name).await?;
    let binding = stored.map(|stored| Binding::read(&stored)).transpose()?;
    Ok(binding.map(|binding| binding.holder))
}

fn binding_note_name(account: &AccountName, code: &InquiryCode) -> String {
    format!("bound:{account}:{code}")
}

impl InquiryRecords {
    /// Binds an inquiry to its first claimant, or to the next one once the holder is FAILED or
    /// NOT_SENT. A holder without a record may be about to claim, so it keeps
    /// the inquiry. Returns the holder as the inner error when it is another transaction.
    ///
    /// Concurrent calls under two reference codes may compete for one inquiry. Both must hold
    /// before a holder sends:
    /// 1. it still holds the inquiry after its claim (`purchase/recheck.rs`);
    /// 2. the previous holder is FAILED or NOT_SENT, as read after the binding changed.
    ///
    /// Either the claim sees the new binding, or the check after it sees the claim.
    ///
    /// # Errors
    /// [`StoreError`] on an indeterminate result.
    pub async fn bind(
        &self,
        note: &BindingNote,
        key: &TransactionKey,
    ) -> Result<Result<(), TransactionKey>, StoreError> {
        let bind = async |from: Option<&Binding>| {
            let to = Binding {
                holder: key.clone(),
                previous: from.map(|from| from.holder.clone()),
            };
            put_binding(&*self.store, note, from, to, self.now()).await
        };
        let mut binding = bind(None).await?;
        if binding.holder != *key {
            if !self.has_paid_nothing(&binding.holder).await? {
                return Ok(Err(binding.holder));
            }
            // SUBTLE: A holds the inquiry, B held it before, and neither was sent:
            // 1. B reads that A is FAILED or NOT_SENT;
            // 2. A claims, and is sent;
            // 3. B takes over the binding, reads that A was sent, and abandons its claim.
            // So B was not sent, but A was: a call that takes over from B must check A as well.
            if let Some(previous) = &binding.previous
                && previous != key
                && !self.has_paid_nothing(previous).await?
            {
                return Ok(Err(previous.clone()));
            }
            binding = bind(Some(&binding)).await?;
        }
        match binding.previous {
            _ if binding.holder != *key => Ok(Err(binding.holder)),
            Some(previous) if !self.has_paid_nothing(&previous).await? => Ok(Err(previous)),
            _ => Ok(Ok(())),
        }
    }

    /// Returns the transaction for which [`Self::bind`] would refuse the inquiry to `key` now;
    /// `None` if it would bind it. Writes nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn other_holder(
        &self,
        note: &BindingNote,
        key: &TransactionKey,
    ) -> Result<Option<TransactionKey>, StoreError> {
        let stored = self.store.note(&note.name).await?;
        let Some(binding) = stored.map(|stored| Binding::read(&stored)).transpose()? else {
            return Ok(None);
        };
        let holders = std::iter::once(binding.holder).chain(binding.previous);
        for holder in holders.filter(|holder| holder != key) {
            if !self.has_paid_nothing(&holder).await? {
                return Ok(Some(holder));
            }
        }
        Ok(None)
    }

    /// Returns true when a transaction provably paid nothing: it is FAILED or NOT_SENT.
    async fn has_paid_nothing(&self, key: &TransactionKey) -> Result<bool, StoreError> {
        let holder = match self.store.load(key).await {
            Err(StoreError::Retired(tombstone)) => return Ok(tombstone.has_paid_nothing()),
            loaded => loaded?,
        };
        Ok(holder.is_some_and(|holder| {
            matches!(holder.status().state, State::Failed(_) | State::NotSent(_))
        }))
    }
}
