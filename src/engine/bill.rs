//! Inquiries: which one a request means, and which transaction may use it.

use std::sync::Arc;

use super::{
    Engine,
    bill_guard::is_open,
    purchase::{Holder, PurchaseError},
};
use crate::{
    store::{
        StoreError,
        inquiries::{self, Binding, BindingNote},
    },
    transaction::{
        AccountName, Contents, InquiriesUnderCode, InquiryCode, InquirySelector, Intent,
        NotPayable, Order, State, Transaction, TransactionKey,
    },
};

/// What a request comes to before the claim.
pub(super) enum Ordered {
    /// The reference code is taken by this transaction.
    Taken(Arc<Transaction>),
    /// This is to be claimed.
    Wanted(Box<Wanted>),
}

/// An order to be claimed, and the account that pays.
pub(super) struct Wanted {
    pub(super) account: AccountName,
    pub(super) order: Order,
    /// Binds the inquiry, if there is one.
    pub(super) binding: Option<BindingNote>,
}

/// Returns what a request says of the inquiry that it means; `before` is what its reference code
/// was to pay before.
fn meant<'a>(intent: &'a Intent, before: Option<&'a Order>) -> InquirySelector<'a> {
    match &intent.contents {
        Contents::PurchasePrepaid {
            product_code,
            account_number,
            ..
        } => InquirySelector::Prepaid {
            product_code,
            account_number,
        },
        Contents::PayPostpaid { total, .. } => InquirySelector::Bill {
            total: *total,
            account_number: intent.bill.account_number.as_ref(),
            before,
        },
    }
}

impl Engine {
    /// Finds what is sent for a request (design, "Inquiry to payment"). The transaction
    /// comes first: a replay never consults the inquiry.
    pub(super) async fn order(&self, intent: &Intent) -> Result<Ordered, PurchaseError> {
        if let Some(taken) = self.verify_not_sold(intent).await? {
            return Ok(taken);
        }
        let inquiry_code = match &intent.contents {
            Contents::PurchasePrepaid {
                product_code,
                account_number,
                inquiry_code: None,
            } => {
                let order = Order {
                    product_code: product_code.clone(),
                    account_number: account_number.clone(),
                    inquired: None,
                };
                return Ok(Ordered::Wanted(Box::new(Wanted {
                    account: intent.account.clone(),
                    order,
                    binding: None,
                })));
            }
            Contents::PurchasePrepaid {
                inquiry_code: Some(code),
                ..
            }
            | Contents::PayPostpaid {
                inquiry_code: code, ..
            } => code,
        };
        let stored = self.store.load(&intent.key()).await;
        let stored = stored.map_err(PurchaseError::NotClaimed)?;
        if let Some(stored) = &stored {
            self.verify_same(stored, intent).await?;
            if !matches!(stored.status().state, State::NotSent(_)) {
                return Ok(Ordered::Taken(Arc::clone(stored)));
            }
        }
        let wanted = self.inquired_order(intent, inquiry_code, stored.as_deref());
        Ok(Ordered::Wanted(Box::new(wanted.await?)))
    }

    /// Finds the inquiry of a request, binds it, and lists the transaction under its bill, in this
    /// order: a call that is refused is not listed. `before` is what the store holds under the
    /// reference code, of which nothing was sent.
    async fn inquired_order(
        &self,
        intent: &Intent,
        inquiry_code: &InquiryCode,
        before: Option<&Transaction>,
    ) -> Result<Wanted, PurchaseError> {
        let (key, not_claimed) = (intent.key(), PurchaseError::NotClaimed);
        let account = before
            .map(Transaction::account)
            .or_else(|| intent.named_account());
        let inquiries = self.inquiries(account, inquiry_code).await?;
        let picked = inquiries.pick(&meant(intent, before.map(Transaction::order)))?;
        let order = picked.inquiry.order(self.now())?.clone();
        let upstream = self.upstream(&picked.inquiry.account);
        if let Some(name) = upstream.and_then(|upstream| upstream.client.unsendable(&order)) {
            Err(NotPayable::Unsendable(name))?;
        }
        let note = BindingNote::of(picked);
        let is_ours = self.bind(&note, &key).await.map_err(not_claimed)?;
        if let Err(holder) = is_ours {
            let refused = self.already_used(Some(holder)).await;
            return Err(refused.map_err(not_claimed)?);
        }
        let verified = self.verify_bill(&order, intent).await;
        verified.map_err(not_claimed)??;
        let listed = self.list_under_bill(&order, &key).await;
        listed.map_err(not_claimed)??;
        Ok(Wanted {
            account: picked.inquiry.account.clone(),
            order,
            binding: Some(note),
        })
    }

    /// Loads the inquiries under a code: those of the named account, or the only ones of all
    /// accounts.
    async fn inquiries(
        &self,
        account: Option<&AccountName>,
        code: &InquiryCode,
    ) -> Result<InquiriesUnderCode, PurchaseError> {
        let mut found = None;
        for name in self.names_of(account) {
            let loaded = inquiries::load(&*self.store, name, code).await;
            if let Some(inquiries) = loaded.map_err(PurchaseError::NotClaimed)?
                && found.replace(inquiries).is_some()
            {
                return Err(PurchaseError::AmbiguousInquiry);
            }
        }
        found.ok_or(PurchaseError::NoSuchInquiry)
    }

    /// Builds the refusal of a call whose inquiry another transaction holds.
    pub(super) async fn already_used(
        &self,
        holder: Option<TransactionKey>,
    ) -> Result<PurchaseError, StoreError> {
        let Some(key) = holder else {
            return Ok(PurchaseError::NoSuchInquiry);
        };
        let record = self.store.load(&key).await?;
        let holder = match &record {
            Some(record) if is_open(record) => Holder::Open,
            Some(_) => Holder::Settled,
            None if self.may_have_forgotten(&key).await => Holder::Open,
            None => Holder::Unclaimed,
        };
        let reference_code = match record {
            Some(record) => record.reference_code().to_string(),
            None => key.to_string(),
        };
        Ok(PurchaseError::InquiryAlreadyUsed {
            reference_code,
            holder,
        })
    }

    /// Gives an inquiry to a transaction: to the first that wants it, or to the next
    /// once that one is FAILED or NOT_SENT. A holder without a record may be about to
    /// claim, so it keeps the inquiry. Returns the holder when that is another one.
    ///
    /// Two transactions may want it at once, each in several calls. What keeps them
    /// apart: a holder sends only if it still holds the inquiry after its claim
    /// ([`Engine::verify_claimed`]), and only if the holder before it was seen to have sent
    /// nothing after the inquiry had changed hands. Of a claim before that change and a
    /// look after it, one sees the other.
    async fn bind(
        &self,
        note: &BindingNote,
        key: &TransactionKey,
    ) -> Result<Result<(), TransactionKey>, StoreError> {
        let bind = async |from: Option<&Binding>| {
            let to = Binding {
                holder: key.clone(),
                previous: from.map(|from| from.holder.clone()),
            };
            inquiries::bind(&*self.store, note, from, to, self.now()).await
        };
        let mut binding = bind(None).await?;
        if binding.holder != *key {
            if !self.sent_nothing(&binding.holder).await? {
                return Ok(Err(binding.holder));
            }
            // SUBTLE: A holds it, B held it before, and neither was sent. 1. B sees that of A; 2. A
            // claims, and is sent; 3. B takes it over, sees A and gives up. So B was not sent, and
            // whoever takes it over from B must look at A as well.
            if let Some(previous) = &binding.previous
                && previous != key
                && !self.sent_nothing(previous).await?
            {
                return Ok(Err(previous.clone()));
            }
            binding = bind(Some(&binding)).await?;
        }
        match binding.previous {
            _ if binding.holder != *key => Ok(Err(binding.holder)),
            Some(previous) if !self.sent_nothing(&previous).await? => Ok(Err(previous)),
            _ => Ok(Ok(())),
        }
    }

    async fn sent_nothing(&self, key: &TransactionKey) -> Result<bool, StoreError> {
        let holder = self.store.load(key).await?;
        Ok(holder.is_some_and(|holder| {
            matches!(holder.status().state, State::Failed(_) | State::NotSent(_))
        }))
    }
}
