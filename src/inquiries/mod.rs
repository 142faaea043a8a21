//! The records of inquiries, in notes of the store.
//!
//! | note | file | holds |
//! | --- | --- | --- |
//! | `inquiry:<account>:<inquiry code>` | [`stored`] | the inquiries under the code |
//! | `bound:<account>:<inquiry code>[ <number>]` | [`binding`] | the transaction that may pay the inquiry, and the one before it |
//! | `inquired:<reference>` | [`marks`] | the inquiries made under the reference code |
//! | `bill:<hash of the customer>` | [`bill_list`] | the transactions for one customer's bills |

pub mod bill_list;
pub mod binding;
mod inquiry_records;
pub mod marks;
mod notes;
mod renewal;
pub mod stored;

pub use inquiry_records::InquiryRecords;
