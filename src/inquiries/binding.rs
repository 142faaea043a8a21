//! The binding of an inquiry to the one transaction that may pay it.

use jiff::Timestamp;

use super::{
    inquiry_records::InquiryRecords,
    notes::{INQUIRY_KEPT, keep},
};
use crate::{
    store::{Put, Store, StoreError, record},
    transaction::{AccountName, InquiryCode, Numbered, State, TransactionKey},
};

/// To whom an inquiry belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The transaction that may use it.
    pub holder: TransactionKey,
    /// The one that could before, if there was one.
    pub previous: Option<TransactionKey>,
}

impl Binding {
    fn write(&self) -> String {
        match &self.previous {
            Some(previous) => format!("{} {previous}", self.holder),
            None => self.holder.to_string(),
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        let (holder, previous) = match text.split_once(' ') {
            Some((holder, previous)) => (holder, Some(previous)),
            None => (text, None),
        };
        Ok(Self {
            holder: record::parse_key(holder)?,
            previous: previous.map(record::parse_key).transpose()?,
        })
    }
}

/// The note that binds one inquiry, and how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingNote {
    name: String,
    expires_at: Timestamp,
}

impl BindingNote {
    /// Names the note of an inquiry. The first one under a code has the name that an earlier
    /// release knows.
    #[must_use]
    pub fn of(numbered: &Numbered) -> Self {
        let inquiry = &numbered.inquiry;
        let mut name = binding_note_name(&inquiry.account, &inquiry.inquiry_code);
        if numbered.number > 0 {
            // No code holds a blank.
            name = format!("{name} {}", numbered.number);
        }
        Self {
            name,
            expires_at: inquiry.expires_at,
        }
    }
}

/// Changes to whom an inquiry belongs, if that is still `from`; returns what it then
/// is.
///
/// # Errors
/// [`StoreError`] when that is not known.
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
        Put::Done => Ok(to),
        Put::Conflict(Some(stored)) => Binding::read(&stored),
        // It ended, or was lost, since it was read.
        Put::Conflict(None) => Err(StoreError::Unavailable(format!("{name} is gone"))),
    }
}

/// To whom an inquiry belongs.
///
/// # Errors
/// [`StoreError`] when that is not known.
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
    /// Gives an inquiry to a transaction: to the first that wants it, or to the next
    /// once that one is FAILED or NOT_SENT. A holder without a record may be about to
    /// claim, so it keeps the inquiry. Returns the holder when that is another one.
    ///
    /// Two transactions may want it at once, each in several calls. What keeps them
    /// apart: a holder sends only if it still holds the inquiry after its claim
    /// (`purchase/recheck.rs`), and only if the holder before it was seen to have sent
    /// nothing after the inquiry had changed hands. Of a claim before that change and a
    /// look after it, one sees the other.
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
            if !self.has_sent_nothing(&binding.holder).await? {
                return Ok(Err(binding.holder));
            }
            // SUBTLE: A holds it, B held it before, and neither was sent. 1. B sees that of A; 2. A
            // claims, and is sent; 3. B takes it over, sees A and gives up. So B was not sent, and
            // whoever takes it over from B must look at A as well.
            if let Some(previous) = &binding.previous
                && previous != key
                && !self.has_sent_nothing(previous).await?
            {
                return Ok(Err(previous.clone()));
            }
            binding = bind(Some(&binding)).await?;
        }
        match binding.previous {
            _ if binding.holder != *key => Ok(Err(binding.holder)),
            Some(previous) if !self.has_sent_nothing(&previous).await? => Ok(Err(previous)),
            _ => Ok(Ok(())),
        }
    }

    async fn has_sent_nothing(&self, key: &TransactionKey) -> Result<bool, StoreError> {
        let holder = self.store.load(key).await?;
        Ok(holder.is_some_and(|holder| {
            matches!(
                holder.standing().state,
                State::Failed(_) | State::NotSent(_)
            )
        }))
    }
}
