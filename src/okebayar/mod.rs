//! OUTBOUND: what the gateway says to OKEBAYAR, and what its answers prove.
//!
//! ```text
//! Transaction -> request -> json -> transport -> OKEBAYAR
//!   Statement <- verdict <- answer <- json <-/
//! ```
//!
//! Requests are strict and lower case; answers are read with every tolerance of
//! section 6 of the API page. Status codes stop in `verdict`.

pub mod answer;
pub mod client;
pub mod json;
pub mod request;
pub mod signature;
pub mod transport;
pub mod verdict;
