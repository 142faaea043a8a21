//! The report about an inquiry that may have been sold.

use crate::transaction::{AccountName, AccountNumber, Amount, ProductCode, StatusCode};

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
    pub kept: SaleKept,
}

/// Where an inquiry that may have been sold is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleKept {
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
            SaleKept::Transaction => write!(
                f,
                "it is kept as a transaction under reference code {reference_code}, which an \
                 operator must settle"
            ),
            SaleKept::Orphan => {
                f.write_str("it is among the orphan callbacks; an operator must ask OKEBAYAR")
            }
            SaleKept::NotYet => f.write_str(
                "the store does not answer, and gets it once it does; an operator must ask OKEBAYAR",
            ),
            SaleKept::Unkept => f.write_str("the store cannot hold it; an operator must ask OKEBAYAR"),
        }
    }
}

/// A prepaid inquiry as it was made.
#[derive(Clone)]
pub struct SentPrepaidInquiry {
    /// The account that was inquired with.
    pub account: AccountName,
    /// The reference code that it was sent under.
    pub reference_code: String,
    /// The product.
    pub product_code: ProductCode,
    /// The recipient.
    pub account_number: AccountNumber,
}
