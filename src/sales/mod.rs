//! Possible sales: inquiries that OKEBAYAR answers like purchases. It may have ignored `querycode`
//! and sold the product.
//!
//! Money may be spent without an order. The gateway stores the answer as a transaction in
//! NEEDS_REVIEW under the reference code of the inquiry. So no release of the gateway buys anything
//! under that reference code, callbacks find the transaction, readers receive the serial number,
//! and an operator settles it. Until then every purchase of the same product for the same account
//! number is refused. When another transaction has that reference code, the sale is stored under a
//! reference code that the gateway generates.

mod claim;
mod keep;
mod lookup;
pub mod note;
mod report;
#[expect(clippy::module_inception, reason = "the file of the type `Sales`")]
mod sales;
mod unstored;

pub use lookup::SaleLookup;
pub use report::{Sale, SaleKept, SentPrepaidInquiry};
pub use sales::Sales;
pub use unstored::{UnstoredSale, UnstoredSales};
