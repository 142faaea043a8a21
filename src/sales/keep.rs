//! UnstoredSale a sale: as a transaction where that is possible, else among the orphan callbacks.

use std::{sync::Arc, time::Duration};

use tracing::{Instrument, error};

use super::{
    note,
    report::{Sale, SaleKept, SentPrepaidInquiry},
    sales::Sales,
    unstored::UnstoredSale,
};
use crate::{
    notices::orphans::{self, Orphan},
    okebayar::{answer::Answer, verdict},
    store::StoreError,
    transaction::{AccountName, AttemptToken, Finding, Source, Statement, Transaction},
};

/// The pause before the store is asked again.
const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long the caller waits for the sale to be kept; keeping it goes on.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl Sales {
    /// Keeps the answer to a prepaid inquiry that may have been a sale, however long the
    /// store is away, and alerts. Purchases of the same are refused from `keeping` on.
    pub async fn keep_sale(
        self: &Arc<Self>,
        made: &SentPrepaidInquiry,
        answer: Box<Answer>,
        unstored: UnstoredSale,
    ) -> Sale {
        self.alert_sale(&made.account, &made.reference_code, &answer);
        let (code, price) = (answer.status_code(), answer.details.price);
        let (sales, sale) = (Arc::clone(self), made.clone());
        let own = SentPrepaidInquiry {
            reference_code: self.ambient.reference_code(),
            ..made.clone()
        };
        let storing = async move { sales.store_sale(sale, own, &answer, unstored).await };
        let storing = self.tasks.spawn(storing.in_current_span());
        let kept = match tokio::time::timeout(WAIT_MAX, storing).await {
            Ok(Ok(kept)) => kept,
            _ => (SaleKept::NotYet, made.reference_code.clone()),
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

    /// Stores a sale, and retries while the store is away. Returns where it is kept, and the
    /// reference code of its record.
    async fn store_sale(
        &self,
        sale: SentPrepaidInquiry,
        own: SentPrepaidInquiry,
        answer: &Answer,
        unstored: UnstoredSale,
    ) -> (SaleKept, String) {
        let token = AttemptToken::new((self.ambient.random)());
        loop {
            let problem = match self.try_keep_sale(&sale, &own, answer, token).await {
                Ok(kept) => {
                    drop(unstored);
                    return kept;
                }
                Err(problem) => problem,
            };
            log_unkept(&sale.account, &sale.reference_code, &problem);
            if !matches!(problem, StoreError::Unavailable(_)) {
                // Nothing in the store refuses purchases of the same: this process does until it
                // ends.
                std::mem::forget(unstored);
                return (self.keep_orphan(&sale, answer).await, sale.reference_code);
            }
            tokio::time::sleep(STORE_RETRY_INTERVAL).await;
        }
    }

    /// Keeps a sale for which there can be no transaction among the orphans.
    async fn keep_orphan(&self, made: &SentPrepaidInquiry, answer: &Answer) -> SaleKept {
        let orphan = self.orphan_of_sale(&made.account, &made.reference_code, answer);
        match orphans::add_orphan(&*self.store, &orphan).await {
            Ok(()) => SaleKept::Orphan,
            Err(_) => SaleKept::Unkept,
        }
    }

    /// Keeps the answer to a postpaid inquiry that may have been a payment among the
    /// orphans, however long the store is away: without an inquiry there is nothing to pay, so
    /// there is no transaction.
    pub async fn keep_payment(
        self: &Arc<Self>,
        account: &AccountName,
        reference_code: &str,
        answer: &Answer,
    ) -> Sale {
        self.alert_sale(account, reference_code, answer);
        let orphan = self.orphan_of_sale(account, reference_code, answer);
        let sales = Arc::clone(self);
        let storing = async move {
            while let Err(problem) = orphans::add_orphan(&*sales.store, &orphan).await {
                log_unkept(&orphan.account, &orphan.reference_code, &problem);
                if !matches!(problem, StoreError::Unavailable(_)) {
                    return SaleKept::Unkept;
                }
                tokio::time::sleep(STORE_RETRY_INTERVAL).await;
            }
            SaleKept::Orphan
        };
        let storing = self.tasks.spawn(storing.in_current_span());
        let kept = tokio::time::timeout(WAIT_MAX, storing).await;
        Sale {
            inquired_under: reference_code.to_owned(),
            reference_code: reference_code.to_owned(),
            code: answer.status_code(),
            price: answer.details.price,
            kept: kept.map_or(SaleKept::NotYet, |kept| kept.unwrap_or(SaleKept::NotYet)),
        }
    }

    fn alert_sale(&self, account: &AccountName, reference_code: &str, answer: &Answer) {
        self.metrics.inquiry_sold(account);
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
            at: (self.ambient.now)(),
        }
    }

    /// Keeps a sale under the reference code of the inquiry, or under `own` where a
    /// transaction has that one, and returns which. Idempotent with the same token and `own`.
    async fn try_keep_sale(
        &self,
        made: &SentPrepaidInquiry,
        own: &SentPrepaidInquiry,
        answer: &Answer,
        token: AttemptToken,
    ) -> Result<(SaleKept, String), StoreError> {
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
            orphans::add_orphan(&*self.store, &orphan).await?;
            return Ok((SaleKept::Orphan, reference_code));
        };
        let sold = note::sold(&made.product_code, &made.account_number);
        self.note_sold(&sold, &claimed.key()).await?;
        self.note_sale(claimed, answer).await?;
        if made.reference_code != reference_code {
            // Nothing else in the store links the sale to the reference code of the inquiry.
            orphans::add_orphan(&*self.store, &orphan).await?;
        }
        Ok((SaleKept::Transaction, reference_code))
    }

    /// Adds the answer to the transaction that stands for a sale.
    async fn note_sale(
        &self,
        claimed: Arc<Transaction>,
        answer: &Answer,
    ) -> Result<(), StoreError> {
        let Some(upstream) = self.upstreams.get(claimed.account()) else {
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
            current.observe(said, (self.ambient.now)(), &self.schedule)
        };
        self.ledger.update(claimed, observe).await.map(drop)
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
