//! The arguments of `call`: options of every call, and one subcommand for each RPC.

use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use jiff::SignedDuration;

use super::{
    check_transaction::CheckTransactionArguments, echo::EchoArguments,
    get_inquiry::GetInquiryArguments, get_transaction::GetTransactionArguments,
    inquire_postpaid::InquirePostpaidArguments, inquire_prepaid::InquirePrepaidArguments,
    list_transactions::ListTransactionsArguments, page::PageArguments,
    pay_postpaid::PayPostpaidArguments, purchase_prepaid::PurchasePrepaidArguments,
    resolve_transaction::ResolveTransactionArguments, watch_transaction::WatchTransactionArguments,
    watch_transactions::WatchTransactionsArguments,
};

/// The gateway to call, the options of the call, and the RPC.
#[derive(Args)]
pub struct CallArguments {
    /// Call the gateway at this gRPC address.
    #[arg(
        long,
        global = true,
        default_value = "http://localhost:50051",
        value_hint = ValueHint::Url
    )]
    pub address: String,
    /// Use this configured OKEBAYAR account. By default, single calls use the default account,
    /// and lists and watches of everything cover all accounts.
    #[arg(long, global = true, value_hint = ValueHint::Other)]
    pub account: Option<String>,
    /// Print each answer as one line of JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// End one call after this time, such as 30s; at most 8760h. A purchase that the gateway
    /// has accepted continues there.
    #[arg(long, global = true, value_parser = parse_timeout, value_hint = ValueHint::Other)]
    pub timeout: Option<Duration>,
    /// The RPC to call.
    #[command(subcommand)]
    pub command: CallCommand,
}

/// One of the gateway's RPCs.
#[derive(Subcommand)]
pub enum CallCommand {
    /// Buy one prepaid product.
    PurchasePrepaid(PurchasePrepaidArguments),
    /// Pay the bill that an inquiry found.
    PayPostpaid(PayPostpaidArguments),
    /// Read one transaction.
    GetTransaction(GetTransactionArguments),
    /// Check the status of one transaction at OKEBAYAR now.
    CheckTransaction(CheckTransactionArguments),
    /// Print every change of one transaction until its outcome is known.
    WatchTransaction(WatchTransactionArguments),
    /// Print every change of every transaction until interrupted.
    WatchTransactions(WatchTransactionsArguments),
    /// List transactions by contents, state and times, newest first.
    ListTransactions(ListTransactionsArguments),
    /// Resolve a transaction in NEEDS_REVIEW, or reverse one that is SUCCEEDED.
    ResolveTransaction(ResolveTransactionArguments),
    /// Inquire before a prepaid purchase; no money moves.
    InquirePrepaid(InquirePrepaidArguments),
    /// Inquire about a bill; no money moves.
    InquirePostpaid(InquirePostpaidArguments),
    /// Read the stored inquiries with one inquiry code.
    GetInquiry(GetInquiryArguments),
    /// Read the balance of the deposit at OKEBAYAR.
    GetBalance,
    /// Send a text to OKEBAYAR and back, to test the whole path.
    Echo(EchoArguments),
    /// List the texts that OKEBAYAR sent to the partner.
    ListNotices(PageArguments),
    /// List callbacks about reference codes that the gateway does not know.
    ListOrphanCallbacks(PageArguments),
}

impl CallCommand {
    /// Returns true for calls that can spend money.
    pub(super) fn moves_money(&self) -> bool {
        match self {
            Self::PurchasePrepaid(_) | Self::PayPostpaid(_) => true,
            Self::GetTransaction(_)
            | Self::CheckTransaction(_)
            | Self::WatchTransaction(_)
            | Self::WatchTransactions(_)
            | Self::ListTransactions(_)
            | Self::ResolveTransaction(_)
            | Self::InquirePrepaid(_)
            | Self::InquirePostpaid(_)
            | Self::GetInquiry(_)
            | Self::GetBalance
            | Self::Echo(_)
            | Self::ListNotices(_)
            | Self::ListOrphanCallbacks(_) => false,
        }
    }
}

/// The greatest time-out of a call: the wire cannot carry a much longer one.
const TIMEOUT_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = text.parse::<SignedDuration>().ok();
    timeout
        .filter(|timeout| timeout.is_positive() && *timeout <= TIMEOUT_MAX)
        .map(SignedDuration::unsigned_abs)
        .ok_or_else(|| "give a time above zero, at most 8760h, such as 30s".to_owned())
}
