//! OUTBOUND: what the gateway says to OKEBAYAR, and what its answers prove.
//!
//! ```text
//! Transaction -> request -> format (json, xml) -> transport -> OKEBAYAR
//!   Statement <- verdict <- answer <- format <-/
//! ```
//!
//! Requests are strict and lower case; answers are read with every tolerance of
//! section 6 of the API page. Status codes stop in `verdict`.

pub mod additional_data;
pub mod answer;
pub mod client;
pub mod format;
pub mod inquiry;
pub mod json;
pub mod personal;
pub mod pln;
pub mod redact;
pub mod request;
pub mod send_by;
pub mod signature;
pub mod subject;
pub mod transport;
pub mod verdict;
pub mod xml;
