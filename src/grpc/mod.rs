//! INBOUND 1: the gRPC contract of `proto/okebayar/gateway/v1`.
//!
//! One file per service. `request` reads messages, `convert` writes them, `error` is
//! the only map to `tonic::Status`. Nothing here knows OKEBAYAR.

mod accounts;
mod convert;
mod converted;
mod error;
mod inquiries;
mod notices;
mod page;
mod refusal;
mod request;
mod transactions;

pub use accounts::Accounts;
pub use error::ERROR_DOMAIN;
pub use inquiries::Inquiries;
pub use notices::Notices;
pub use refusal::RefusalLayer;
pub use transactions::Transactions;

/// The generated code.
#[expect(clippy::pedantic, reason = "generated; the documentation is in proto/")]
pub mod v1 {
    tonic::include_proto!("okebayar.gateway.v1");
}

/// The descriptor of every served message, for reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
