//! The renewal of notes that an open transaction rests on. A note has a fixed end, and a transaction
//! may stay open for longer.
//!
//! | note | without it |
//! | --- | --- |
//! | the binding of its inquiry | another reference code buys or pays the same inquiry |
//! | the mark that its reference code was used for an inquiry | a check that finds the inquiry settles the purchase |
//! | the list of its bill | another payment of the bill is not refused |
//!
//! A note is renewed as it is: a writer that changes it meanwhile gives it an end of its own.

use jiff::Timestamp;

use super::{
    bill_list,
    binding::{Binding, BindingNote},
    inquiry_records::InquiryRecords,
    notes::{INQUIRY_KEPT, MARK_KEPT, keep},
    stored,
};
use crate::{
    store::{Store, StoreError, mark_name},
    transaction::{InquiryCode, Transaction, TransactionKey},
};

/// The number of bindings under an inquiry code that are looked for once the inquiries themselves
/// have ended.
const NUMBERS: u32 = 16;

impl InquiryRecords {
    /// Renews the notes that an open transaction rests on. A note that cannot be read or renewed does
    /// not prevent the renewal of the others.
    ///
    /// # Errors
    /// The first [`StoreError`]; the other notes are renewed.
    pub async fn renew(&self, about: &Transaction, now: Timestamp) -> Result<(), StoreError> {
        let (store, key) = (&*self.store, about.key());
        let bindings = match about.contents().inquiry_code() {
            Some(code) => self.renew_bindings(about, code, now).await,
            None => Ok(()),
        };
        let mark = renew_mark(store, &key, now).await;
        let list = match &about.order().inquired {
            Some(inquired) => bill_list::renew(store, &inquired.customer, &key, now).await,
            None => Ok(()),
        };
        bindings.and(mark).and(list)
    }

    /// Renews the binding of the inquiry that a transaction holds, as long as the inquiry could be
    /// renewed under the same code: for a day from now on, or after the inquiry has expired.
    async fn renew_bindings(
        &self,
        about: &Transaction,
        code: &InquiryCode,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let store = &*self.store;
        let (account, key) = (about.account(), about.key());
        let known = stored::load(store, account, code).await?;
        let mut notes: Vec<BindingNote> = known
            .iter()
            .flat_map(|known| known.all().map(BindingNote::of))
            .collect();
        for number in 0..NUMBERS {
            // The inquiry has ended, or never was under this number.
            let note = BindingNote::under(account, code, number, now);
            if notes.iter().all(|known| known.name() != note.name()) {
                notes.push(note);
            }
        }
        let mut renewed = Ok(());
        for note in notes {
            let one = renew_binding(store, &note, &key, now).await;
            renewed = renewed.and(one);
        }
        renewed
    }
}

/// Renews one binding, if the transaction holds it.
async fn renew_binding(
    store: &dyn Store,
    note: &BindingNote,
    holder: &TransactionKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(text) = store.note(note.name()).await? else {
        return Ok(());
    };
    if Binding::read(&text)?.holder != *holder {
        return Ok(());
    }
    let kept = keep(now, note.expires_at().max(now), INQUIRY_KEPT);
    let put = store.put_note(note.name(), Some(&text), &text, kept);
    put.await.map(drop)
}

/// Renews the mark of the inquiries that were made under a reference code.
async fn renew_mark(
    store: &dyn Store,
    key: &TransactionKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mark = mark_name(key);
    if let Some(text) = store.note(&mark).await? {
        let kept = keep(now, now, MARK_KEPT);
        store.put_note(&mark, Some(&text), &text, kept).await?;
    }
    Ok(())
}
