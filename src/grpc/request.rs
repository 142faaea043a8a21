//! Messages to domain values: valid, or every violation at once.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tonic::{Status, metadata::MetadataMap};

use super::{
    accounts::Accounts,
    error::{self, Violations},
    page::{self, Scope},
    v1,
};
use crate::{
    ledger::{ListQuery, WaitUntil},
    queries::{Customer, Question},
    store::Cursor,
    telemetry::current_trace,
    transaction::{
        AccountName, AccountNumber, Amount, BillGuards, Contents, InquiryCode, Intent, ProductCode,
        ReferenceCode, Ruling, SerialNumber, State, TransactionKey, TransactionRef, Verbatim,
        Verdict,
    },
};

const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: usize = 200;
const OPERATOR_CHARS_MAX: usize = 128;
const NOTE_CHARS_MAX: usize = 1024;
const CONTACT_BYTES_MAX: usize = 64;
const MONTHS_MAX: u8 = 12;
/// As many transactions as are remembered for one bill.
const ACKNOWLEDGED_MAX: usize = 64;

/// What a purchase wants.
pub(super) fn purchase(
    accounts: &Accounts,
    request: v1::PurchasePrepaidRequest,
) -> Result<(Intent, WaitUntil), Status> {
    let mut violations = Violations::about(&request.reference_code);
    let account = named_account(&request.account, &mut violations);
    let reference = violations.keep(
        "reference_code",
        ReferenceCode::parse(request.reference_code),
    );
    let product = violations.keep("product_code", ProductCode::parse(request.product_code));
    let number = violations.keep(
        "account_number",
        AccountNumber::parse(request.account_number),
    );
    let inquiry_code = violations.keep_some("inquiry_code", &request.inquiry_code, |code| {
        InquiryCode::parse(code)
    });
    let until = wait_until(request.wait_until, &mut violations);
    match (reference, product, number, until) {
        (Some(reference_code), Some(product_code), Some(account_number), Some(until))
            if violations.is_empty() =>
        {
            let contents = Contents::PurchasePrepaid {
                product_code,
                account_number,
                inquiry_code,
            };
            Ok((
                Intent {
                    names_account: account.is_some(),
                    account: accounts.or_default(account),
                    reference_code,
                    contents,
                    bill: BillGuards::default(),
                    trace: current_trace(),
                },
                until,
            ))
        }
        _ => Err(violations.into_status()),
    }
}

/// What a payment wants.
pub(super) fn payment(
    accounts: &Accounts,
    request: v1::PayPostpaidRequest,
) -> Result<(Intent, WaitUntil), Status> {
    let mut violations = Violations::about(&request.reference_code);
    let account = named_account(&request.account, &mut violations);
    let reference = violations.keep(
        "reference_code",
        ReferenceCode::parse(request.reference_code),
    );
    let inquiry = violations.keep("inquiry_code", InquiryCode::parse(request.inquiry_code));
    let total = request
        .total
        .as_ref()
        .ok_or("it is empty; give the total that the inquiry returned and the customer was shown");
    let total = violations.keep("total", total.and_then(money));
    let account_number = violations.keep_some("account_number", &request.account_number, |text| {
        AccountNumber::parse(text)
    });
    let acknowledged = acknowledged(&request.acknowledged_open_reference_codes, &mut violations);
    let until = wait_until(request.wait_until, &mut violations);
    match (reference, inquiry, until) {
        (Some(reference_code), Some(inquiry_code), Some(until)) if violations.is_empty() => {
            let contents = Contents::PayPostpaid {
                inquiry_code,
                total,
            };
            let bill = BillGuards {
                account_number,
                acknowledged,
            };
            Ok((
                Intent {
                    names_account: account.is_some(),
                    account: accounts.or_default(account),
                    reference_code,
                    contents,
                    bill,
                    trace: current_trace(),
                },
                until,
            ))
        }
        _ => Err(violations.into_status()),
    }
}

/// Reads the open payments of the same bill that a caller knows of.
fn acknowledged(codes: &[String], violations: &mut Violations) -> Vec<TransactionKey> {
    let field = "acknowledged_open_reference_codes";
    if codes.len() > ACKNOWLEDGED_MAX {
        let problem = format!("they are {}; give {ACKNOWLEDGED_MAX} at most", codes.len());
        violations.add(field, problem);
        return Vec::new();
    }
    let mut keys = Vec::new();
    for code in codes {
        let code = violations.keep(field, ReferenceCode::parse(code.as_str()));
        keys.extend(code.as_ref().map(TransactionKey::new));
    }
    keys
}

fn wait_until(value: i32, violations: &mut Violations) -> Option<WaitUntil> {
    match v1::WaitUntil::try_from(value) {
        Ok(v1::WaitUntil::Unspecified | v1::WaitUntil::Answered) => Some(WaitUntil::Answered),
        Ok(v1::WaitUntil::Final) => Some(WaitUntil::Final),
        Err(_) => {
            violations.add(
                "wait_until",
                "there is no such value; give ANSWERED or FINAL",
            );
            None
        }
    }
}

fn money(money: &v1::Money) -> Result<Amount, &'static str> {
    if !["", "IDR"].contains(&money.currency_code.as_str()) {
        return Err("its currency is not IDR; give currency_code IDR");
    }
    Amount::from_units_and_nanos(money.units, money.nanos)
        .ok_or("it is no amount; give whole rupiah in units, and nanos with the same sign")
}

/// Reads the account that a request names, which need not be configured here: what it paid
/// while it was can still be read. `None` when it names none.
pub(super) fn named_account(name: &str, violations: &mut Violations) -> Option<AccountName> {
    violations.keep_some("account", name, |name| AccountName::parse(name))
}

/// Reads which transaction a request is about.
pub(super) fn named(account: &str, reference_code: &str) -> Result<TransactionRef, Status> {
    let mut violations = Violations::about(reference_code);
    let account = named_account(account, &mut violations);
    let reference = violations.keep("reference_code", ReferenceCode::parse(reference_code));
    match reference {
        Some(reference) if violations.is_empty() => Ok(TransactionRef {
            key: TransactionKey::new(&reference),
            account,
        }),
        _ => Err(violations.into_status()),
    }
}

/// What a prepaid inquiry asks.
pub(super) struct PrepaidInquiry {
    pub(super) account: AccountName,
    pub(super) reference_code: Option<ReferenceCode>,
    pub(super) product_code: ProductCode,
    pub(super) account_number: AccountNumber,
}

/// What a prepaid inquiry asks.
pub(super) fn prepaid_inquiry(
    accounts: &Accounts,
    request: v1::InquirePrepaidRequest,
) -> Result<PrepaidInquiry, Status> {
    let mut violations = Violations::about(&request.reference_code);
    let account = accounts.find(&request.account, &mut violations);
    let reference = violations.keep_some("reference_code", &request.reference_code, |code| {
        ReferenceCode::parse(code)
    });
    let product = violations.keep("product_code", ProductCode::parse(request.product_code));
    let number = violations.keep(
        "account_number",
        AccountNumber::parse(request.account_number),
    );
    match (account, product, number) {
        (Some(account), Some(product_code), Some(account_number)) if violations.is_empty() => {
            Ok(PrepaidInquiry {
                account,
                reference_code: reference,
                product_code,
                account_number,
            })
        }
        _ => Err(violations.into_status()),
    }
}

/// What a postpaid inquiry asks.
pub(super) fn postpaid_inquiry(
    accounts: &Accounts,
    request: v1::InquirePostpaidRequest,
) -> Result<(AccountName, Question), Status> {
    let mut violations = Violations::default();
    let account = accounts.find(&request.account, &mut violations);
    let product = violations.keep("product_code", ProductCode::parse(request.product_code));
    let customer = customer(request.customer, &mut violations);
    if request.contact_number.is_empty() {
        violations.add(
            "contact_number",
            "it is empty; give the payer's phone or e-mail",
        );
    }
    let contact = short_text("contact_number", request.contact_number, &mut violations);
    let ref1 = short_text("ref1", request.ref1, &mut violations);
    match (account, product, customer, contact, ref1) {
        (Some(account), Some(product_code), Some(customer), Some(contact_number), Some(ref1))
            if violations.is_empty() =>
        {
            let question = Question {
                product_code,
                customer,
                contact_number: Verbatim::new(contact_number),
                ref1: Some(ref1)
                    .filter(|ref1| !ref1.is_empty())
                    .map(Verbatim::new),
            };
            Ok((account, question))
        }
        _ => Err(violations.into_status()),
    }
}

fn customer(
    customer: Option<v1::inquire_postpaid_request::Customer>,
    violations: &mut Violations,
) -> Option<Customer> {
    use v1::inquire_postpaid_request::Customer as Given;
    let mut number = |field, text| violations.keep(field, AccountNumber::parse(text));
    match customer {
        Some(Given::AccountNumber(text)) => Some(Customer::Plain(number("account_number", text)?)),
        Some(Given::Pstn(pstn)) => {
            let area_code = number("pstn.area_code", pstn.area_code);
            let line = number("pstn.number", pstn.number);
            Some(Customer::Pstn {
                area_code: area_code?,
                number: line?,
            })
        }
        Some(Given::Bpjs(bpjs)) => {
            let member = number("bpjs.member_number", bpjs.member_number);
            let payer_phone = number("bpjs.payer_phone", bpjs.payer_phone);
            let months = u8::try_from(bpjs.months)
                .ok()
                .filter(|months| (1..=MONTHS_MAX).contains(months));
            if months.is_none() {
                let problem = format!("it is {}; give 1 to {MONTHS_MAX}", bpjs.months);
                violations.add("bpjs.months", problem);
            }
            Some(Customer::Bpjs {
                member: member?,
                months: months?,
                payer_phone: payer_phone?,
            })
        }
        None => {
            violations.add(
                "customer",
                "it is missing; give account_number, pstn or bpjs",
            );
            None
        }
    }
}

fn short_text(field: &str, text: String, violations: &mut Violations) -> Option<String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.len() <= CONTACT_BYTES_MAX && is_plain {
        return Some(text);
    }
    let problem = format!(
        "it is too long or holds odd characters; give up to {CONTACT_BYTES_MAX} printable ASCII \
         characters without spaces"
    );
    violations.add(field, problem);
    None
}

/// Which transactions are listed, and the scope of page tokens.
pub(super) fn list(
    accounts: &Accounts,
    request: &v1::ListTransactionsRequest,
) -> Result<(ListQuery, Scope), Status> {
    let mut violations = Violations::default();
    let scope = Scope::of(
        "transactions",
        &v1::ListTransactionsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        },
    );
    let wanted = some_accounts(accounts, &request.accounts, &mut violations);
    let mut states = Vec::new();
    for state in &request.states {
        let name = v1::State::try_from(*state)
            .map(|state| state.as_str_name().trim_start_matches("STATE_"));
        let known = State::NAMES.into_iter().find(|known| Ok(*known) == name);
        match known {
            Some(known) => states.push(known),
            None => violations.add("states", "there is no such state; give values of State"),
        }
    }
    let from = time("start_time", request.start_time.as_ref(), &mut violations);
    let to = time("end_time", request.end_time.as_ref(), &mut violations);
    let page_size = page_size(request.page_size, &mut violations);
    let after = violations.keep_some("page_token", &request.page_token, |token| {
        page::read(&scope, token)
    });
    if !violations.is_empty() {
        return Err(violations.into_status());
    }
    let query = ListQuery {
        states,
        accounts: wanted,
        from,
        to,
        page_size,
        after,
    };
    Ok((query, scope))
}

/// A page of a list that is kept in order of arrival.
pub(super) struct Slice {
    /// Only these accounts; empty for all.
    pub(super) accounts: Vec<AccountName>,
    /// The most to return.
    pub(super) size: usize,
    /// How many are skipped.
    pub(super) start: usize,
    /// The scope of page tokens.
    pub(super) scope: Scope,
}

/// Reads which notices are listed.
pub(super) fn notices(
    accounts: &Accounts,
    request: &v1::ListNoticesRequest,
) -> Result<Slice, Status> {
    let scope = Scope::of(
        "notices",
        &v1::ListNoticesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        },
    );
    let page = (request.page_size, request.page_token.as_str());
    slice(accounts, &request.accounts, page, scope)
}

/// Reads which orphan callbacks are listed.
pub(super) fn orphans(
    accounts: &Accounts,
    request: &v1::ListOrphanCallbacksRequest,
) -> Result<Slice, Status> {
    let scope = Scope::of(
        "orphans",
        &v1::ListOrphanCallbacksRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        },
    );
    let page = (request.page_size, request.page_token.as_str());
    slice(accounts, &request.accounts, page, scope)
}

fn slice(
    accounts: &Accounts,
    names: &[String],
    (size, token): (i32, &str),
    scope: Scope,
) -> Result<Slice, Status> {
    let mut violations = Violations::default();
    let accounts = some_accounts(accounts, names, &mut violations);
    let size = page_size(size, &mut violations);
    let after = violations.keep_some("page_token", token, |token| page::read(&scope, token));
    if !violations.is_empty() {
        return Err(violations.into_status());
    }
    let start = after.map_or(0, |after| {
        usize::try_from(after.created_ms).unwrap_or(usize::MAX)
    });
    Ok(Slice {
        accounts,
        size,
        start,
        scope,
    })
}

/// Control characters, and those that break a line or turn the direction of the text:
/// what an operator writes is shown to others in lines of a log and a timeline.
fn is_control(character: char) -> bool {
    let is_invisible = matches!(
        character,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || is_invisible
}

/// Whom a watch of everything sees, and from where on.
pub(super) fn watch_all(
    accounts: &Accounts,
    request: &v1::WatchTransactionsRequest,
) -> Result<(Vec<AccountName>, Option<Cursor>), Status> {
    let mut violations = Violations::default();
    let wanted = some_accounts(accounts, &request.accounts, &mut violations);
    let cursor = violations.keep_some("cursor", &request.cursor, Cursor::decode);
    if violations.is_empty() {
        Ok((wanted, cursor))
    } else {
        Err(violations.into_status())
    }
}

/// What an operator rules, and about which transaction.
pub(super) fn resolution(
    request: v1::ResolveTransactionRequest,
) -> Result<(TransactionRef, Ruling), Status> {
    let mut violations = Violations::about(&request.reference_code);
    let account = named_account(&request.account, &mut violations);
    let reference = violations.keep(
        "reference_code",
        ReferenceCode::parse(request.reference_code),
    );
    let revision = u64::try_from(request.revision).ok().filter(|n| *n > 0);
    if revision.is_none() {
        violations.add(
            "revision",
            "it is not above zero; give the one that you saw",
        );
    }
    let verdict = match v1::Resolution::try_from(request.resolution) {
        Ok(v1::Resolution::Succeeded) => Some(Verdict::Succeeded),
        Ok(v1::Resolution::Failed) => Some(Verdict::Failed),
        Ok(v1::Resolution::Reversed) => Some(Verdict::Reversed),
        Ok(v1::Resolution::Unspecified) | Err(_) => {
            violations.add(
                "resolution",
                "it is missing; give SUCCEEDED, FAILED or REVERSED",
            );
            None
        }
    };
    for (field, text, chars_max) in [
        ("operator", &request.operator, OPERATOR_CHARS_MAX),
        ("note", &request.note, NOTE_CHARS_MAX),
    ] {
        let chars = text.chars().count();
        if text.trim().is_empty() || chars > chars_max {
            let problem = format!("it has {chars} characters; give 1 to {chars_max}, not blank");
            violations.add(field, problem);
        }
        if text.chars().any(is_control) {
            let problem = "it holds control characters, such as a line feed; give plain text \
                           in one line";
            violations.add(field, problem);
        }
    }
    match (reference, revision, verdict) {
        (Some(reference), Some(revision), Some(verdict)) if violations.is_empty() => {
            let ruling = Ruling {
                verdict,
                operator: request.operator,
                note: request.note,
                serial_number: SerialNumber::read(&request.serial_number),
                revision,
            };
            let named = TransactionRef {
                key: TransactionKey::new(&reference),
                account,
            };
            Ok((named, ruling))
        }
        _ => Err(violations.into_status()),
    }
}

fn some_accounts(
    accounts: &Accounts,
    names: &[String],
    violations: &mut Violations,
) -> Vec<AccountName> {
    let mut found = Vec::new();
    for name in names {
        found.extend(accounts.known("accounts", name, violations));
    }
    found
}

fn page_size(size: i32, violations: &mut Violations) -> usize {
    match usize::try_from(size) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => {
            violations.add(
                "page_size",
                format!("it is {size}; give 1 to {PAGE_SIZE_MAX}"),
            );
            PAGE_SIZE_DEFAULT
        }
    }
}

fn time(
    field: &str,
    time: Option<&prost_types::Timestamp>,
    violations: &mut Violations,
) -> Option<Timestamp> {
    let time = time?;
    let read = Timestamp::new(time.seconds, time.nanos);
    if read.is_err() {
        violations.add(
            field,
            "it is no time; give one between the years 1 and 9999",
        );
    }
    read.ok()
}

/// The caller's deadline. [`RefusalLayer`](super::RefusalLayer) has refused a call whose
/// `grpc-timeout` cannot be read.
pub(super) fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    let text = metadata.get(TIMEOUT_HEADER)?.to_str().ok()?;
    Instant::now().checked_add(read_timeout(text)?)
}

/// The header in which a caller says how long it waits.
pub(super) const TIMEOUT_HEADER: &str = "grpc-timeout";

/// The most digits of a timeout; with more, hours overflow a [`Duration`].
const TIMEOUT_DIGITS_MAX: usize = 8;

/// Reads a timeout: 1 to 8 digits and a unit (gRPC over HTTP/2, "Timeout").
pub(super) fn read_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits || digits.len() > TIMEOUT_DIGITS_MAX {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(count),
        "M" => Duration::from_mins(count),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The share of the time left that an answer about a missed deadline leaves before it, and
/// the least. It is half of what a call that waits for an outcome keeps, so that such a
/// call answers by itself first.
const LATE_PART: u32 = 40;
const LATE_MARGIN_MIN: Duration = Duration::from_millis(50);

/// Runs a call that reads the store, and reports shortly before the caller's deadline that
/// it did not answer. Without that the server's own time-out would cut the call off without
/// `ErrorInfo`.
pub(super) async fn in_time<T>(
    caller_deadline: Option<Instant>,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let Some(deadline) = caller_deadline else {
        return call.await;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let margin = (left / LATE_PART).max(LATE_MARGIN_MIN).min(left);
    tokio::time::timeout_at(deadline - margin, call)
        .await
        .unwrap_or_else(|_| Err(error::out_of_time()))
}
