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

use super::{
    bill_list,
    binding::{Binding, BindingNote},
    inquiry_records::InquiryRecords,
    notes::{INQUIRY_KEPT, MARK_KEPT, keep},
    stored,
};
use crate::{
    store::{StoreError, mark_name},
    transaction::{InquiryCode, Transaction},
};

/// The number of bindings under an inquiry code that are looked for once the inquiries themselves
/// have ended.
const NUMBERS: u32 = 16;

impl InquiryRecords {
    /// Renews the notes that an open transaction rests on.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; some notes may be renewed.
    pub async fn renew(&self, about: &Transaction) -> Result<(), StoreError> {
        if let Some(code) = about.contents().inquiry_code() {
            self.renew_bindings(about, code).await?;
        }
        let (store, key) = (&*self.store, about.key());
        let now = self.now();
        let mark = mark_name(&key);
        if let Some(text) = store.note(&mark).await? {
            let kept = keep(now, now, MARK_KEPT);
            store.put_note(&mark, Some(&text), &text, kept).await?;
        }
        if let Some(inquired) = &about.order().inquired {
            bill_list::renew(store, &inquired.customer, &key, now).await?;
        }
        Ok(())
    }

    /// Renews the binding of the inquiry that a transaction holds, as long as the inquiry could be
    /// renewed under the same code: for a day from now on, or after the inquiry has expired.
    async fn renew_bindings(
        &self,
        about: &Transaction,
        code: &InquiryCode,
    ) -> Result<(), StoreError> {
        let (store, now) = (&*self.store, self.now());
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
        for note in notes {
            let Some(text) = store.note(note.name()).await? else {
                continue;
            };
            if Binding::read(&text)?.holder != key {
                continue;
            }
            let kept = keep(now, note.expires_at().max(now), INQUIRY_KEPT);
            store
                .put_note(note.name(), Some(&text), &text, kept)
                .await?;
        }
        Ok(())
    }
}
