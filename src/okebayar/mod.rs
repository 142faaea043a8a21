//! OUTBOUND: the client of OKEBAYAR's API, and the evidence in its answers.
//!
//! ```text
//! Transaction -> requests -> body -> format (json, xml) -> transport -> OKEBAYAR
//!   Statement <- verdict <- interpret <- format (json, xml) <-/
//! ```
//!
//! Requests are strict and lower case; answers are read with every tolerance of docs/OKEBAYAR.md,
//! section 6. Status codes are interpreted in `verdict` only.
//!
//! Each layer uses those below it:
//!
//! | layer | files |
//! | --- | --- |
//! | operations | `operations` (send, check, inquire, balance, echo) |
//! | client | `client`, `observer`, `parse_permits` |
//! | evidence | `verdict`, `inquiry`; `subject`, `mismatch` compare an answer with the request |
//! | requests | `requests`, `body`, `question`, `signature`; `transport`, `send_by` |
//! | answers | `interpret`, `answer`; `redact` removes secrets, `personal` finds customers' data, `pln` takes electricity bills apart |
//! | formats | `format`, `json`, `xml`, `additional_data`, `fields` |
//! | settings | `account`, `deployment_codes`, `account_number`, `phone_number` |

pub mod account;
pub mod account_number;
pub mod additional_data;
pub mod answer;
pub mod answer_error;
pub mod body;
pub mod client;
pub mod deployment_codes;
pub mod fields;
pub mod format;
pub mod inquiry;
pub mod interpret;
pub mod json;
pub mod mismatch;
pub mod observer;
pub mod operations;
pub mod parse_permits;
pub mod personal;
pub mod phone_number;
pub mod pln;
pub mod query_error;
pub mod question;
pub mod redact;
pub mod requests;
pub mod send_by;
pub mod signature;
pub mod subject;
pub mod transport;
pub mod verdict;
pub mod xml;
