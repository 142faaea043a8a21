//! The report of a possible sale in response to an inquiry.

use crate::transaction::{AccountName, AccountNumber, Amount, ProductCode, StatusCode};

/// A report of a possible sale in response to an inquiry.
#[derive(Clone, Debug)]
pub struct Sale {
    /// The reference code of the inquiry.
    pub inquired_under: String,
    /// The reference code of the transaction that stands for the sale. It differs from that of the
    /// inquiry when another transaction had the latter already.
    pub reference_code: String,
    /// The status code of the answer.
    pub code: Option<StatusCode>,
    /// The price in the answer.
    pub price: Option<Amount>,
    /// The place of its record.
    pub kept: SaleKept,
}

/// The place of the record of a possible sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleKept {
    /// A transaction in NEEDS_REVIEW.
    Transaction,
    /// The orphan callbacks: there can be no transaction.
    Orphan,
    /// None yet: the store is unavailable, and the gateway retries.
    NotYet,
    /// None: the store cannot hold the record.
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
            "OKEBAYAR answered the inquiry under reference code {inquired_under} like a purchase, \
             and may have sold the product; do not buy it again: "
        )?;
        match kept {
            SaleKept::Transaction => write!(
                f,
                "an operator must settle the transaction under reference code {reference_code}, which \
                 stands for the sale"
            ),
            SaleKept::Orphan => {
                f.write_str("an operator must ask OKEBAYAR; the sale is among the orphan callbacks")
            }
            SaleKept::NotYet => f.write_str(
                "an operator must ask OKEBAYAR; the store does not answer, and the gateway retries",
            ),
            SaleKept::Unkept => f.write_str(
                "an operator must ask OKEBAYAR; the store cannot hold a record of the sale",
            ),
        }
    }
}

/// A prepaid inquiry that was sent.
#[derive(Clone)]
pub struct SentPrepaidInquiry {
    /// The account that sent it.
    pub account: AccountName,
    /// The reference code under which it was sent.
    pub reference_code: String,
    /// The product.
    pub product_code: ProductCode,
    /// The recipient.
    pub account_number: AccountNumber,
}
