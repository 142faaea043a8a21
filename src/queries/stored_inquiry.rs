//! The stored inquiries under a code, for `GetInquiry`.

use super::queries::Queries;
use crate::{
    inquiries::{
        binding::{self, BindingNote},
        stored,
    },
    store::StoreError,
    transaction::{AccountName, Inquiry, InquiryCode, TransactionKey},
};

/// A stored inquiry, and the transaction that holds it.
#[derive(Debug)]
pub struct HeldInquiry {
    /// The inquiry.
    pub inquiry: Inquiry,
    /// The transaction that may pay it; `None` while it is free.
    pub holder: Option<TransactionKey>,
}

impl Queries {
    /// Loads the inquiries under a code: those of one account, or of all accounts. They are
    /// grouped by account, the newest of each first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn stored_inquiries(
        &self,
        account: Option<&AccountName>,
        code: &InquiryCode,
    ) -> Result<Vec<HeldInquiry>, StoreError> {
        let mut found = Vec::new();
        let directory = self.upstreams.directory();
        for name in directory.names_of(account) {
            let Some(inquiries) = stored::load(&*self.store, name, code).await? else {
                continue;
            };
            for numbered in inquiries.all() {
                let note = BindingNote::of(numbered);
                found.push(HeldInquiry {
                    inquiry: numbered.inquiry.clone(),
                    holder: binding::load_holder(&*self.store, &note).await?,
                });
            }
        }
        Ok(found)
    }
}
