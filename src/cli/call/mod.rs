//! `call`: a client of the gateway, one subcommand and one file for each RPC.
//!
//! It knows the generated contract only, as any other client does. Watches are retried when the
//! connection breaks; a purchase or payment never is: the caller repeats it, under the same
//! reference code.

mod arguments;
mod check_transaction;
mod contract_message;
mod echo;
mod exit_outcome;
mod gateway_client;
mod get_balance;
mod get_inquiry;
mod get_transaction;
mod guards;
mod inquire_postpaid;
mod inquire_prepaid;
mod label;
mod list_notices;
mod list_orphan_callbacks;
mod list_transactions;
mod money;
mod page;
mod pay_postpaid;
mod printer;
mod progress;
mod purchase_prepaid;
mod resolve_transaction;
mod run;
mod serial_number;
mod text;
mod wait;
mod watch_retry;
mod watch_transaction;
mod watch_transactions;

pub use arguments::CallArguments;
pub use run::run;
