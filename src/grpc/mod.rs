//! INBOUND 1: the gRPC contract of `proto/okebayar/gateway/v1`.
//!
//! Each RPC has a file of its own: it parses the request (all violations at once), calls the
//! rooms, builds the response and maps the errors. `services` implements the generated traits
//! and only forwards. The files of the second group hold the parts that several RPCs share;
//! `status` is the only builder of a `tonic::Status`. Nothing here uses `okebayar`.

mod check_transaction;
mod echo;
mod get_balance;
mod get_inquiry;
mod get_transaction;
mod inquire_postpaid;
mod inquire_prepaid;
mod list_notices;
mod list_orphan_callbacks;
mod list_transactions;
mod pay_postpaid;
mod purchase_prepaid;
mod resolve_transaction;
mod watch_transaction;
mod watch_transactions;

mod account_field;
mod context;
mod contract;
mod deadline;
mod error_reason;
mod inquiry_message;
mod list_page;
mod message_cache;
mod next_step_message;
mod page;
mod published;
mod purchase_call;
mod purchase_errors;
mod query_errors;
mod reason_message;
mod refusal;
mod services;
mod status;
mod store_errors;
mod timeline_message;
mod transaction_lookup;
mod transaction_message;
mod value_messages;
mod violations;
mod watch_errors;

pub use contract::{DESCRIPTOR, v1};
pub use published::{ErrorReasonFacts, OutcomeFacts, error_reasons, outcomes};
pub use refusal::RefusalLayer;
pub use services::GrpcServices;
pub use status::ERROR_DOMAIN;
