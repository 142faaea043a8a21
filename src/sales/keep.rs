//! The storage of a possible sale: as a transaction where possible, else among the orphan
//! callbacks.

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

/// The time between two tries of the store.
const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time that the caller waits for the sale to be stored; the task continues after it.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl Sales {
    /// Stores the answer to a prepaid inquiry that may have been a sale, and alerts. Retries while
    /// the store is unavailable. Purchases of the same product and recipient are refused while
    /// `unstored` exists.
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

    /// Stores a sale, and retries while the store is unavailable. Returns the place of the record,
    /// and the reference code that it has.
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
            if !problem.is_transient() {
                // The store holds nothing by which to refuse such purchases, so this process
                // refuses them until it ends.
                std::mem::forget(unstored);
                return (self.keep_orphan(&sale, answer).await, sale.reference_code);
            }
            tokio::time::sleep(STORE_RETRY_INTERVAL).await;
        }
    }

    /// Stores a sale for which there can be no transaction among the orphan callbacks.
    async fn keep_orphan(&self, made: &SentPrepaidInquiry, answer: &Answer) -> SaleKept {
        let orphan = self.orphan_of_sale(&made.account, &made.reference_code, answer);
        match orphans::add_orphan(&*self.store, &orphan).await {
            Ok(()) => SaleKept::Orphan,
            Err(_) => SaleKept::Unkept,
        }
    }

    /// Stores the answer to a postpaid inquiry that may have been a payment among the orphan
    /// callbacks, and retries while the store is unavailable. There is no transaction: without a
    /// usable inquiry there is no bill to pay.
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
                if !problem.is_transient() {
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

    /// Counts a possible sale, and logs it as an error.
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
             settle the transaction under this reference code, or look among the orphan callbacks"
        );
    }

    /// Builds the orphan callback that stands for a possible sale.
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

    /// Stores a sale under the reference code of the inquiry, or under that of `own` when another
    /// transaction has the former. Returns the reference code used. Idempotent with the same token
    /// and `own`.
    async fn try_keep_sale(
        &self,
        made: &SentPrepaidInquiry,
        own: &SentPrepaidInquiry,
        answer: &Answer,
        token: AttemptToken,
    ) -> Result<(SaleKept, String), StoreError> {
        let mut kept_under = made;
        let mut claimed = match self.claim_sale(made, token).await {
            // The record under that reference code is unreadable, or has ended.
            Err(error) if error.is_of_record() || error.tombstone().is_some() => None,
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
            // Only this orphan links the sale to the reference code of the inquiry.
            orphans::add_orphan(&*self.store, &orphan).await?;
        }
        Ok((SaleKept::Transaction, reference_code))
    }

    /// Adds the answer to the evidence of the transaction that stands for a sale.
    async fn note_sale(
        &self,
        claimed: Arc<Transaction>,
        answer: &Answer,
    ) -> Result<(), StoreError> {
        let Some(upstream) = self.upstreams.get(claimed.account()) else {
            return Ok(());
        };
        // The answer belongs to this inquiry, even when the transaction has another reference code.
        let answer = Answer {
            reference_code: None,
            ..answer.clone()
        };
        let said = verdict::of_purchase(&answer, &claimed, upstream.client.code_lists());
        // No release, earlier ones included, settles a transaction with this finding automatically.
        let review = Statement::bare(Source::Answer, Finding::ChecksExhausted);
        let observe = |current: &Transaction| {
            let said = [review.clone(), said.clone()];
            current.observe(said, (self.ambient.now)(), &self.schedule)
        };
        self.ledger.update(claimed, observe).await.map(drop)
    }
}

/// Logs a failed try to store a possible sale.
fn log_unkept(account: &AccountName, reference_code: &str, problem: &StoreError) {
    error!(
        %account,
        reference_code,
        %problem,
        "possible sale not stored"
    );
}
