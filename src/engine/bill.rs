//! Bills: which inquiry a transaction may use, and what "already paid" means.

use std::sync::Arc;

use super::{Engine, purchase::PurchaseError};
use crate::{
    store::{
        StoreError,
        inquiries::{self, Binding},
    },
    transaction::{
        AccountName, Contents, FailureReason, Finding, Inquiry, InquiryCode, Intent, NotPayable,
        Order, State, Statement, Transaction, TransactionKey,
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
                let account = intent.account.clone();
                return Ok(Ordered::Wanted(Box::new(Wanted { account, order })));
            }
            Contents::PurchasePrepaid {
                inquiry_code: Some(code),
                ..
            }
            | Contents::PayPostpaid {
                inquiry_code: code, ..
            } => code,
        };
        let (store, key) = (&*self.store, intent.key());
        let not_claimed = PurchaseError::NotClaimed;
        let mut account = intent.named_account().cloned();
        if let Some(stored) = store.load(&key).await.map_err(not_claimed)? {
            self.verify_same(&stored, intent)?;
            if !matches!(stored.standing().state, State::NotSent(_)) {
                return Ok(Ordered::Taken(stored));
            }
            account = Some(stored.account().clone());
        }
        let inquiry = self.inquiry(account.as_ref(), inquiry_code).await?;
        let order = inquiry.order_for(&intent.contents, self.now())?;
        let upstream = self.upstream(&inquiry.account);
        if let Some(name) = upstream.and_then(|upstream| upstream.client.unsendable(&order)) {
            Err(NotPayable::Unsendable(name))?;
        }
        if let Some(inquired) = &order.inquired {
            inquiries::note_bill(store, &inquired.customer, &key, self.now())
                .await
                .map_err(not_claimed)?;
        }
        if !self.bind(&inquiry, &key).await.map_err(not_claimed)? {
            return Err(PurchaseError::InquiryAlreadyUsed);
        }
        let account = inquiry.account;
        Ok(Ordered::Wanted(Box::new(Wanted { account, order })))
    }

    /// Loads an inquiry: that of the named account, or the only one of all accounts.
    async fn inquiry(
        &self,
        account: Option<&AccountName>,
        code: &InquiryCode,
    ) -> Result<Inquiry, PurchaseError> {
        let mut found = None;
        for name in self.names_of(account) {
            let loaded = inquiries::load(&*self.store, name, code).await;
            if let Some(inquiry) = loaded.map_err(PurchaseError::NotClaimed)?
                && found.replace(inquiry).is_some()
            {
                return Err(PurchaseError::AmbiguousInquiry);
            }
        }
        found.ok_or(PurchaseError::NoSuchInquiry)
    }

    /// Gives an inquiry to a transaction: to the first that wants it, or to the next
    /// once that one is FAILED or NOT_SENT. A holder without a record may be about to
    /// claim, so it keeps the inquiry.
    ///
    /// Two transactions may want it at once, each in several calls. What keeps them
    /// apart: a holder sends only if it still holds the inquiry after its claim
    /// ([`Engine::still_bound`]), and only if the holder before it was seen to have sent
    /// nothing after the inquiry had changed hands. Of a claim before that change and a
    /// look after it, one sees the other.
    async fn bind(&self, inquiry: &Inquiry, key: &TransactionKey) -> Result<bool, StoreError> {
        let bind = async |from: Option<&Binding>| {
            let to = Binding {
                holder: key.clone(),
                previous: from.map(|from| from.holder.clone()),
            };
            inquiries::bind(&*self.store, inquiry, from, to, self.now()).await
        };
        let mut binding = bind(None).await?;
        if binding.holder != *key {
            if !self.sent_nothing(&binding.holder).await? {
                return Ok(false);
            }
            binding = bind(Some(&binding)).await?;
        }
        match &binding.previous {
            _ if binding.holder != *key => Ok(false),
            Some(previous) => self.sent_nothing(previous).await,
            None => Ok(true),
        }
    }

    async fn sent_nothing(&self, key: &TransactionKey) -> Result<bool, StoreError> {
        let holder = self.store.load(key).await?;
        Ok(holder.is_some_and(|holder| {
            matches!(
                holder.standing().state,
                State::Failed(_) | State::NotSent(_)
            )
        }))
    }

    /// True when a claimed transaction still has its inquiry, or needs none.
    pub(super) async fn still_bound(&self, claimed: &Transaction) -> Result<bool, StoreError> {
        let Some(code) = claimed.contents().inquiry_code() else {
            return Ok(true);
        };
        let holder = inquiries::bound_to(&*self.store, claimed.account(), code).await?;
        Ok(holder == Some(claimed.key()))
    }

    /// "Already paid" is a failure, unless another transaction for the same bill is
    /// open: then it may be ours that paid, and a human decides.
    pub(super) async fn weigh(
        &self,
        about: &Transaction,
        said: Statement,
    ) -> Result<Statement, StoreError> {
        let inquired = about.order().inquired.as_ref();
        let (Finding::Failed(FailureReason::AlreadyPaid), Some(inquired)) =
            (said.finding, inquired)
        else {
            return Ok(said);
        };
        for other in inquiries::of_bill(&*self.store, &inquired.customer).await? {
            if other == about.key() {
                continue;
            }
            let open = self.store.load(&other).await?.is_some_and(|other| {
                let state = other.standing().state;
                !state.is_settled() || matches!(state, State::NeedsReview { .. })
            });
            if open {
                return Ok(Statement {
                    finding: Finding::PaidMeanwhile,
                    ..said
                });
            }
        }
        Ok(said)
    }
}
