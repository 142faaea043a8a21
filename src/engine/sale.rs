//! Inquiries that OKEBAYAR answers like purchases: it may have ignored `querycode` and sold
//! the product.
//!
//! Money may be spent without an order. The gateway stores the answer as a transaction in
//! NEEDS_REVIEW under the reference code of the inquiry. So no release buys anything under
//! that reference code, callbacks find the transaction, its readers see the serial number,
//! and an operator settles it. Until then every purchase of the same product for the same
//! account number is refused. Where a transaction has that reference code already, the sale
//! gets a reference code of the gateway's own.

use std::{sync::Arc, time::Duration};

use tracing::{Instrument, error};

use super::{
    Engine,
    sale_guard::{self, Keeping},
};
use crate::{
    okebayar::{answer::Answer, verdict},
    store::{
        Claim, StoreError, claim,
        inbox::{self, Orphan},
    },
    transaction::{
        AccountName, AccountNumber, Amount, Arming, AttemptToken, BillGuards, Contents, Finding,
        Intent, Order, ProductCode, ReferenceCode, Source, Statement, StatusCode, Transaction,
    },
};

/// A report about an inquiry that may have been sold.
#[derive(Clone, Debug)]
pub struct Sale {
    /// The reference code of the inquiry.
    pub inquired_under: String,
    /// The reference code of the transaction that stands for it. It differs where a
    /// transaction had the reference code of the inquiry already.
    pub reference_code: String,
    /// The status code of the answer.
    pub code: Option<StatusCode>,
    /// The price that it names.
    pub price: Option<Amount>,
    /// Where it is kept.
    pub kept: Kept,
}

/// Where an inquiry that may have been sold is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As a transaction that needs review.
    Transaction,
    /// Among the orphan callbacks: there can be no transaction.
    Orphan,
    /// Not yet: the store does not answer, and is tried again.
    NotYet,
    /// Nowhere: the store cannot hold it.
    Unkept,
}

impl std::fmt::Display for Sale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            inquired_under,
            reference_code,
            kept,
            ..
        } = self;
        write!(
            f,
            "OKEBAYAR answered the inquiry under reference code {inquired_under} like a purchase \
             and may have sold the product; do not buy it again: "
        )?;
        match kept {
            Kept::Transaction => write!(
                f,
                "it is kept as a transaction under reference code {reference_code}, which an \
                 operator must settle"
            ),
            Kept::Orphan => {
                f.write_str("it is among the orphan callbacks; an operator must ask OKEBAYAR")
            }
            Kept::NotYet => f.write_str(
                "the store does not answer, and gets it once it does; an operator must ask OKEBAYAR",
            ),
            Kept::Unkept => f.write_str("the store cannot hold it; an operator must ask OKEBAYAR"),
        }
    }
}

/// A prepaid inquiry as it was made.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) account: AccountName,
    pub(super) reference_code: String,
    pub(super) product_code: ProductCode,
    pub(super) account_number: AccountNumber,
}

/// How often a lost race for the reference code is run again.
const RACES_MAX: u32 = 8;
/// The pause before the store is asked again.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long the caller waits for the sale to be kept; keeping it goes on.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl Engine {
    /// Keeps the answer to a prepaid inquiry that may have been a sale, however long the
    /// store is away, and alerts. Purchases of the same are refused from `keeping` on.
    pub(super) async fn keep_sale(
        self: &Arc<Self>,
        made: &Made,
        answer: Box<Answer>,
        keeping: Keeping,
    ) -> Sale {
        self.alert_sale(&made.account, &made.reference_code, &answer);
        let (code, price) = (answer.status_code(), answer.details.price);
        let (engine, sale) = (Arc::clone(self), made.clone());
        let own = Made {
            reference_code: self.own_reference(),
            ..made.clone()
        };
        let storing = async move {
            let token = engine.token();
            loop {
                let kept = engine.try_keep_sale(&sale, &own, &answer, token).await;
                let problem = match kept {
                    Ok(kept) => {
                        drop(keeping);
                        return kept;
                    }
                    Err(problem) => problem,
                };
                log_unkept(&sale.account, &sale.reference_code, &problem);
                if !problem.is_transient() {
                    // Nothing else keeps purchases back: this process does until it ends.
                    std::mem::forget(keeping);
                    return (
                        engine.keep_orphan(&sale, &answer).await,
                        sale.reference_code,
                    );
                }
                tokio::time::sleep(STORE_AGAIN_AFTER).await;
            }
        };
        let storing = self.tasks.spawn(storing.in_current_span());
        let kept = match tokio::time::timeout(WAIT_MAX, storing).await {
            Ok(Ok(kept)) => kept,
            _ => (Kept::NotYet, made.reference_code.clone()),
        };
        let (kept, reference_code) = kept;
        Sale {
            inquired_under: made.reference_code.clone(),
            reference_code,
            code,
            price,
            kept,
        }
    }

    /// Keeps a sale for which there can be no transaction among the orphans.
    async fn keep_orphan(&self, made: &Made, answer: &Answer) -> Kept {
        let orphan = self.orphan_of_sale(&made.account, &made.reference_code, answer);
        match inbox::add_orphan(&*self.store, &orphan).await {
            Ok(()) => Kept::Orphan,
            Err(_) => Kept::Unkept,
        }
    }

    /// Keeps the answer to a postpaid inquiry that may have been a payment among the
    /// orphans, however long the store is away: without an inquiry there is nothing to pay, so
    /// there is no transaction.
    pub(super) async fn keep_payment(
        self: &Arc<Self>,
        account: &AccountName,
        reference_code: &str,
        answer: &Answer,
    ) -> Sale {
        self.alert_sale(account, reference_code, answer);
        let orphan = self.orphan_of_sale(account, reference_code, answer);
        let engine = Arc::clone(self);
        let storing = async move {
            while let Err(problem) = inbox::add_orphan(&*engine.store, &orphan).await {
                log_unkept(&orphan.account, &orphan.reference_code, &problem);
                if !problem.is_transient() {
                    return Kept::Unkept;
                }
                tokio::time::sleep(STORE_AGAIN_AFTER).await;
            }
            Kept::Orphan
        };
        let storing = self.tasks.spawn(storing.in_current_span());
        let kept = tokio::time::timeout(WAIT_MAX, storing).await;
        Sale {
            inquired_under: reference_code.to_owned(),
            reference_code: reference_code.to_owned(),
            code: answer.status_code(),
            price: answer.details.price,
            kept: kept.map_or(Kept::NotYet, |kept| kept.unwrap_or(Kept::NotYet)),
        }
    }

    fn alert_sale(&self, account: &AccountName, reference_code: &str, answer: &Answer) {
        self.metrics().inquiry_sold(account);
        let details = &answer.details;
        error!(
            %account,
            reference_code,
            status_code = answer.status_code().map(tracing::field::display),
            trace_code = details.trace_code.as_ref().map(tracing::field::display),
            price = details.price.map(tracing::field::display),
            "inquiry was answered like a purchase and may have been sold; ask OKEBAYAR, then \
             settle the transaction under this reference code, or see the orphan callbacks"
        );
    }

    fn orphan_of_sale(
        &self,
        account: &AccountName,
        reference_code: &str,
        answer: &Answer,
    ) -> Orphan {
        let code = answer.status_code();
        Orphan {
            account: account.clone(),
            reference_code: reference_code.to_owned(),
            status: code.map(|code| code.to_string()).unwrap_or_default(),
            at: self.now(),
        }
    }

    /// Keeps a sale under the reference code of the inquiry, or under `own` where a
    /// transaction has that one, and returns which. Idempotent with the same token and `own`.
    async fn try_keep_sale(
        &self,
        made: &Made,
        own: &Made,
        answer: &Answer,
        token: AttemptToken,
    ) -> Result<(Kept, String), StoreError> {
        let mut kept_under = made;
        let mut claimed = match self.claim_sale(made, token).await {
            // What is stored under that reference code cannot be read.
            Err(StoreError::Corrupt { .. }) => None,
            claimed => claimed?,
        };
        if claimed.is_none() {
            kept_under = own;
            claimed = self.claim_sale(own, token).await?;
        }
        let reference_code = kept_under.reference_code.clone();
        let orphan = self.orphan_of_sale(&made.account, &made.reference_code, answer);
        let Some(claimed) = claimed else {
            inbox::add_orphan(&*self.store, &orphan).await?;
            return Ok((Kept::Orphan, reference_code));
        };
        let sold = sale_guard::sold(&made.product_code, &made.account_number);
        self.note_sold(&sold, &claimed.key()).await?;
        self.note_sale(claimed, answer).await?;
        if made.reference_code != reference_code {
            // Nothing else in the store links the sale to the reference code of the inquiry.
            inbox::add_orphan(&*self.store, &orphan).await?;
        }
        Ok((Kept::Transaction, reference_code))
    }

    /// Adds the answer to the transaction that stands for a sale.
    async fn note_sale(
        &self,
        claimed: Arc<Transaction>,
        answer: &Answer,
    ) -> Result<(), StoreError> {
        let Some(upstream) = self.upstream(claimed.account()) else {
            return Ok(());
        };
        // The answer is known to be about this inquiry, whichever reference code stands for it.
        let answer = Answer {
            reference_code: None,
            ..answer.clone()
        };
        let said = verdict::of_purchase(&answer, &claimed, upstream.client.code_lists());
        // No release settles a transaction by itself that bears this one.
        let review = Statement::bare(Source::Answer, Finding::ChecksExhausted);
        let observe = |current: &Transaction| {
            let said = [review.clone(), said.clone()];
            current.observe(said, self.now(), self.schedule())
        };
        self.update(claimed, observe).await.map(drop)
    }

    /// Claims the reference code of an inquiry for what may have been sold; `None` where a
    /// transaction has it already. Nothing is sent: the permit ends here.
    async fn claim_sale(
        &self,
        made: &Made,
        token: AttemptToken,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let Ok(reference_code) = ReferenceCode::parse(made.reference_code.as_str()) else {
            return Ok(None);
        };
        let order = Order {
            product_code: made.product_code.clone(),
            account_number: made.account_number.clone(),
            inquired: None,
        };
        let intent = Intent {
            account: made.account.clone(),
            names_account: false,
            reference_code,
            contents: Contents::PurchasePrepaid {
                product_code: made.product_code.clone(),
                account_number: made.account_number.clone(),
                inquiry_code: None,
            },
            bill: BillGuards::default(),
            trace: None,
        };
        let mut guard = self.guard().await?;
        let mut stored: Option<Arc<Transaction>> = None;
        for _ in 0..RACES_MAX {
            let arming = Arming {
                token,
                at: self.now(),
                is_held_back: false,
            };
            let (rules, schedule) = (self.settings.rules, self.schedule());
            let change = match &stored {
                None => Transaction::begin(intent.clone(), order.clone(), arming, rules, schedule),
                Some(stored) => match stored.arm_again(order.clone(), arming, schedule) {
                    Ok(change) => change,
                    Err(_) => return Ok(None),
                },
            };
            match claim(&*self.store, change, guard.history()).await? {
                Claim::Won(permit) => return Ok(Some(Arc::clone(permit.transaction()))),
                Claim::Quarantined(transaction) => return Ok(Some(transaction)),
                // What a try before this one claimed.
                Claim::Taken(found) if found.token() == token => return Ok(Some(found)),
                Claim::Taken(found) => stored = Some(found),
                Claim::OtherEpoch => {
                    guard = self.refresh_guard().await?;
                    stored = None;
                }
            }
        }
        Err(StoreError::Unavailable(
            "other calls with the same reference code were faster".to_owned(),
        ))
    }
}

fn log_unkept(account: &AccountName, reference_code: &str, problem: &StoreError) {
    error!(
        %account,
        reference_code,
        %problem,
        "an inquiry that OKEBAYAR may have sold could not be kept"
    );
}
