//! The arguments of `call`, and the messages that they make.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use crate::{
    grpc::v1::{self, inquire_postpaid_request::Customer},
    transaction::Amount,
};

/// How to call a running gateway.
#[derive(Args)]
pub struct CallArguments {
    /// The gateway's gRPC address.
    #[arg(long, global = true, default_value = "http://localhost:50051")]
    pub address: String,
    /// The configured OKEBAYAR account; the default one where none is given, and for
    /// lists and watches of everything all of them.
    #[arg(long, global = true)]
    pub account: Option<String>,
    /// Print the answer as JSON, one object to a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// The longest one call may take, such as 30s; a purchase goes on all the same.
    #[arg(long, global = true, value_parser = read_timeout)]
    pub timeout: Option<Duration>,
    /// What to call.
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
    /// Have OKEBAYAR asked about a transaction now.
    CheckTransaction {
        /// The reference code.
        reference_code: String,
    },
    /// Follow one transaction to its end.
    WatchTransaction {
        /// The reference code.
        reference_code: String,
        /// The last revision already seen; 0 begins with the current state.
        #[arg(long, default_value_t = 0)]
        after_revision: i64,
    },
    /// Follow every transaction, until interrupted.
    WatchTransactions {
        /// Where to begin: the cursor of the last message seen; else now.
        #[arg(long, default_value = "")]
        cursor: String,
    },
    /// List transactions by state and time, newest first.
    ListTransactions(ListTransactionsArguments),
    /// Settle a transaction that needs review, or take back a success.
    ResolveTransaction(ResolveTransactionArguments),
    /// Inquire before a prepaid purchase.
    InquirePrepaid(InquirePrepaidArguments),
    /// Inquire for a bill.
    InquirePostpaid(InquirePostpaidArguments),
    /// Ask for the deposit.
    GetBalance,
    /// Test the whole way to OKEBAYAR and back.
    Echo {
        /// The text to be returned.
        message: String,
    },
    /// List OKEBAYAR's texts to the partner.
    ListNotices {
        /// The most to return.
        #[arg(long, default_value_t = 0)]
        page_size: i32,
        /// The `next_page_token` of the page before.
        #[arg(long, default_value = "")]
        page_token: String,
    },
    /// List callbacks about reference codes that the gateway does not know.
    ListOrphanCallbacks {
        /// The most to return.
        #[arg(long, default_value_t = 0)]
        page_size: i32,
        /// The `next_page_token` of the page before.
        #[arg(long, default_value = "")]
        page_token: String,
    },
}

impl CallCommand {
    /// True for what can spend money.
    pub(super) fn moves_money(&self) -> bool {
        matches!(self, Self::PurchasePrepaid(_) | Self::PayPostpaid(_))
    }
}

/// How long a purchase is waited for.
#[derive(Args)]
pub struct WaitArguments {
    /// Wait for a final state instead of OKEBAYAR's answer.
    #[arg(long = "final")]
    pub is_final: bool,
    /// Then follow it to its end.
    #[arg(long)]
    pub watch: bool,
}

impl WaitArguments {
    fn until(&self) -> i32 {
        if self.is_final {
            v1::WaitUntil::Final.into()
        } else {
            v1::WaitUntil::Answered.into()
        }
    }
}

/// A prepaid purchase.
#[derive(Args)]
pub struct PurchasePrepaidArguments {
    /// Your own unique id of this purchase: 8 to 64 letters, digits or hyphens.
    reference_code: String,
    /// OKEBAYAR's code of the product.
    product_code: String,
    /// Who receives it.
    account_number: String,
    /// The inquiry made for it.
    #[arg(long, default_value = "")]
    inquiry_code: String,
    #[command(flatten)]
    pub(super) wait: WaitArguments,
}

impl PurchasePrepaidArguments {
    pub(super) fn message(self, account: String) -> v1::PurchasePrepaidRequest {
        v1::PurchasePrepaidRequest {
            account,
            wait_until: self.wait.until(),
            reference_code: self.reference_code,
            product_code: self.product_code,
            account_number: self.account_number,
            inquiry_code: self.inquiry_code,
        }
    }
}

/// The payment of a bill.
#[derive(Args)]
pub struct PayPostpaidArguments {
    /// Your own unique id of this payment: 8 to 64 letters, digits or hyphens.
    reference_code: String,
    /// The inquiry, as inquire-postpaid returned it.
    inquiry_code: String,
    /// The total that the customer was shown, in rupiah; another one is refused.
    #[arg(long, value_parser = read_amount)]
    total: v1::Money,
    /// The customer's number, as it was inquired; another customer's bill is refused.
    #[arg(long, default_value = "")]
    account_number: String,
    /// An open payment of the same bill that you know will not pay it; may be repeated.
    #[arg(long = "acknowledge-open", value_name = "REFERENCE_CODE")]
    acknowledged_open_reference_codes: Vec<String>,
    #[command(flatten)]
    pub(super) wait: WaitArguments,
}

impl PayPostpaidArguments {
    pub(super) fn message(self, account: String) -> v1::PayPostpaidRequest {
        v1::PayPostpaidRequest {
            account,
            wait_until: self.wait.until(),
            reference_code: self.reference_code,
            inquiry_code: self.inquiry_code,
            total: Some(self.total),
            account_number: self.account_number,
            acknowledged_open_reference_codes: self.acknowledged_open_reference_codes,
        }
    }
}

fn read_amount(text: &str) -> Result<v1::Money, String> {
    let amount = Amount::parse(text).map_err(|error| error.to_string())?;
    let (units, nanos) = amount.units_and_nanos();
    Ok(v1::Money {
        currency_code: "IDR".to_owned(),
        units,
        nanos,
    })
}

/// Which transaction.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct GetTransactionArguments {
    /// The reference code.
    reference_code: Option<String>,
    /// Or OKEBAYAR's trace code.
    #[arg(long)]
    trace_code: Option<String>,
}

impl GetTransactionArguments {
    pub(super) fn message(self, account: String) -> v1::GetTransactionRequest {
        use v1::get_transaction_request::Code;
        let code = self.reference_code.map(Code::ReferenceCode);
        v1::GetTransactionRequest {
            account,
            code: code.or(self.trace_code.map(Code::TraceCode)),
        }
    }
}

/// Which transactions.
#[derive(Args)]
pub struct ListTransactionsArguments {
    /// Only these states, such as pending or needs-review; may be given several times.
    #[arg(long = "state")]
    states: Vec<StateName>,
    /// Only those accepted at this time or later, such as 2026-11-23T00:00:00+07:00.
    #[arg(long)]
    start_time: Option<Timestamp>,
    /// Only those accepted before this time.
    #[arg(long)]
    end_time: Option<Timestamp>,
    /// The most to return.
    #[arg(long, default_value_t = 0)]
    page_size: i32,
    /// The `next_page_token` of the page before.
    #[arg(long, default_value = "")]
    page_token: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum StateName {
    Sending,
    Pending,
    Confirming,
    Succeeded,
    Failed,
    NotSent,
    NeedsReview,
    Reversed,
}

impl From<StateName> for i32 {
    fn from(state: StateName) -> Self {
        let state = match state {
            StateName::Sending => v1::State::Sending,
            StateName::Pending => v1::State::Pending,
            StateName::Confirming => v1::State::Confirming,
            StateName::Succeeded => v1::State::Succeeded,
            StateName::Failed => v1::State::Failed,
            StateName::NotSent => v1::State::NotSent,
            StateName::NeedsReview => v1::State::NeedsReview,
            StateName::Reversed => v1::State::Reversed,
        };
        state.into()
    }
}

impl ListTransactionsArguments {
    pub(super) fn message(self, accounts: Vec<String>) -> v1::ListTransactionsRequest {
        let time = |time: Timestamp| prost_types::Timestamp {
            seconds: time.as_second(),
            nanos: time.subsec_nanosecond(),
        };
        v1::ListTransactionsRequest {
            accounts,
            states: self.states.into_iter().map(i32::from).collect(),
            start_time: self.start_time.map(time),
            end_time: self.end_time.map(time),
            page_size: self.page_size,
            page_token: self.page_token,
        }
    }
}

/// What an operator found out.
#[derive(Args)]
pub struct ResolveTransactionArguments {
    /// The reference code.
    reference_code: String,
    /// The revision that you saw.
    #[arg(long)]
    revision: i64,
    /// What you found out.
    #[arg(long)]
    resolution: ResolutionName,
    /// Who you are.
    #[arg(long)]
    operator: String,
    /// On what evidence, such as a ticket of OKEBAYAR's customer service.
    #[arg(long)]
    note: String,
    /// The file that holds the serial number that OKEBAYAR told you, in one line; `-` for
    /// standard input. Never an argument itself: a token is money, and arguments stand in the
    /// shell's history and the list of processes.
    #[arg(long, value_name = "FILE")]
    serial_number_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ResolutionName {
    /// The money is spent, and the product delivered.
    Succeeded,
    /// No money was spent.
    Failed,
    /// It had succeeded and was taken back.
    Reversed,
}

impl ResolveTransactionArguments {
    /// # Errors
    /// When the serial number cannot be read.
    pub(super) fn message(self, account: String) -> Result<v1::ResolveTransactionRequest, String> {
        let serial_number = match &self.serial_number_file {
            Some(file) => read_serial_number(file)?,
            None => String::new(),
        };
        let resolution = match self.resolution {
            ResolutionName::Succeeded => v1::Resolution::Succeeded,
            ResolutionName::Failed => v1::Resolution::Failed,
            ResolutionName::Reversed => v1::Resolution::Reversed,
        };
        Ok(v1::ResolveTransactionRequest {
            account,
            reference_code: self.reference_code,
            revision: self.revision,
            resolution: resolution.into(),
            operator: self.operator,
            note: self.note,
            serial_number,
        })
    }
}

/// The longest file of a serial number, in bytes.
const SERIAL_NUMBER_BYTES_MAX: u64 = 4096;

/// Reads the one line of a file, or of standard input; no error quotes it.
fn read_serial_number(file: &Path) -> Result<String, String> {
    let problem = |problem: &str| {
        let file = file.display();
        format!(
            "--serial-number-file: {file}: {problem}; name a file of one line, or - for \
                 standard input"
        )
    };
    let mut text = String::new();
    let read = if file == Path::new("-") {
        let stdin = std::io::stdin().lock();
        stdin
            .take(SERIAL_NUMBER_BYTES_MAX + 1)
            .read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| {
            let mut file = file.take(SERIAL_NUMBER_BYTES_MAX + 1);
            file.read_to_string(&mut text)
        })
    };
    read.map_err(|error| problem(&error.to_string()))?;
    let line = text.trim();
    if text.len() as u64 > SERIAL_NUMBER_BYTES_MAX {
        Err(problem("it is too long"))
    } else if line.is_empty() {
        Err(problem("it is empty"))
    } else if line.contains(char::is_control) {
        Err(problem("it has several lines, or control characters"))
    } else {
        Ok(line.to_owned())
    }
}

/// The longest time that a call may take; the wire has no room for a much longer one.
const TIMEOUT_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);

fn read_timeout(text: &str) -> Result<Duration, String> {
    let timeout = text.parse::<SignedDuration>().ok();
    timeout
        .filter(|timeout| timeout.is_positive() && *timeout <= TIMEOUT_MAX)
        .map(SignedDuration::unsigned_abs)
        .ok_or_else(|| "give a time above zero, at most 8760h, such as 30s".to_owned())
}

/// What will be bought, and for whom.
#[derive(Args)]
pub struct InquirePrepaidArguments {
    /// OKEBAYAR's code of the product.
    product_code: String,
    /// Who will receive it.
    account_number: String,
    /// The reference code under which the purchase will be made.
    #[arg(long, default_value = "")]
    reference_code: String,
}

impl InquirePrepaidArguments {
    pub(super) fn message(self, account: String) -> v1::InquirePrepaidRequest {
        v1::InquirePrepaidRequest {
            account,
            reference_code: self.reference_code,
            product_code: self.product_code,
            account_number: self.account_number,
        }
    }
}

/// Whose bill.
#[derive(Args)]
pub struct InquirePostpaidArguments {
    /// OKEBAYAR's code of the product.
    product_code: String,
    #[command(flatten)]
    customer: CustomerName,
    /// For a BPJS member: how many months are paid for, 1 to 12.
    #[arg(long, requires = "bpjs", default_value_t = 1)]
    months: i32,
    /// For a BPJS member: the payer's phone number.
    #[arg(long, requires = "bpjs", default_value = "")]
    payer_phone: String,
    /// The payer's phone number or e-mail address.
    #[arg(long)]
    contact_number: String,
    /// A reference that some products want.
    #[arg(long, default_value = "")]
    ref1: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct CustomerName {
    /// The customer's one number.
    account_number: Option<String>,
    /// Or a fixed telephone line: area code and number.
    #[arg(long, num_args = 2, value_names = ["AREA_CODE", "NUMBER"])]
    pstn: Option<Vec<String>>,
    /// Or a BPJS member's number.
    #[arg(long, value_name = "MEMBER_NUMBER")]
    bpjs: Option<String>,
}

impl InquirePostpaidArguments {
    pub(super) fn message(self, account: String) -> v1::InquirePostpaidRequest {
        let CustomerName {
            account_number,
            pstn,
            bpjs,
        } = self.customer;
        let pstn = pstn.map(|parts| {
            let mut parts = parts.into_iter();
            Customer::Pstn(v1::PstnCustomer {
                area_code: parts.next().unwrap_or_default(),
                number: parts.next().unwrap_or_default(),
            })
        });
        let bpjs = bpjs.map(|member_number| {
            Customer::Bpjs(v1::BpjsCustomer {
                member_number,
                months: self.months,
                payer_phone: self.payer_phone,
            })
        });
        v1::InquirePostpaidRequest {
            account,
            product_code: self.product_code,
            customer: account_number
                .map(Customer::AccountNumber)
                .or(pstn)
                .or(bpjs),
            contact_number: self.contact_number,
            ref1: self.ref1,
        }
    }
}
