//! Settled purchases, as a gateway stores them.

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::transaction::{
    AccountName, AccountNumber, Amount, Arming, AttemptToken, BillGuards, Change, Contents,
    Details, Finding, Guards, Intent, Labels, Order, ProductCode, ReferenceCode, Rules, Schedule,
    SerialNumber, Source, Statement, StatusCode, TraceCode, Transaction,
};

const RULES: Rules = Rules {
    doubtful_gap: SignedDuration::from_mins(5),
    not_received_after: SignedDuration::from_mins(10),
    clock_skew: SignedDuration::from_mins(1),
};

fn schedule() -> Schedule {
    Schedule {
        sending: SignedDuration::from_secs(65),
        unknown_first: SignedDuration::from_secs(10),
        pending_first: SignedDuration::from_mins(5),
        delays: vec![SignedDuration::from_mins(1)],
        day_delay: SignedDuration::from_hours(1),
        day_ends: SignedDuration::from_hours(24),
        late_delay: SignedDuration::from_hours(6),
        give_up_after: SignedDuration::from_hours(72),
        unconfigured_grace: SignedDuration::from_mins(10),
        serial_number: vec![SignedDuration::from_mins(1)],
        interval_min: SignedDuration::from_secs(60),
        callback_interval_min: SignedDuration::from_secs(5),
        age_max: SignedDuration::from_hours(720),
    }
}

/// Returns the account of every purchase.
pub fn account() -> AccountName {
    AccountName::parse("main").expect("a name")
}

/// Builds a purchase of a caller: its claim, and the change that its answer makes.
pub fn purchase(caller: usize, number: u32) -> (Change, Change) {
    let name = |text: &str| ProductCode::parse(text).expect("a product code");
    let order = Order {
        product_code: name("PULSA5"),
        account_number: AccountNumber::parse("081234567890").expect("a number"),
        inquired: None,
    };
    let code = format!("bench-{caller:03}-{number:08}");
    let intent = Intent {
        account: account(),
        names_account: false,
        reference_code: ReferenceCode::parse(&code).expect("a reference code"),
        contents: Contents::PurchasePrepaid {
            product_code: order.product_code.clone(),
            account_number: order.account_number.clone(),
            inquiry_code: None,
        },
        bill: BillGuards::default(),
        guards: Guards::default(),
        labels: Labels::default(),
        trace: None,
    };
    let arming = Arming {
        token: AttemptToken::new(uuid::Uuid::from_u128(caller as u128)),
        at: Timestamp::from_second(1_800_000_000).expect("a time"),
        is_quarantined: false,
        expire_at: None,
        omits_hyphens: false,
    };
    let (at, schedule) = (arming.at, schedule());
    let claim = Transaction::begin(intent, order, arming, RULES, &schedule);
    let details = Details {
        serial_number: SerialNumber::read("0123456789"),
        price: Amount::parse("5500").ok(),
        trace_code: TraceCode::read(&code),
        ..Details::default()
    };
    let code = StatusCode::read("000");
    let said = Statement::new(Source::Answer, Finding::Succeeded, code, details);
    let answered = claim.transaction.observe([said], at, &schedule);
    (claim, answered.expect("it changes the transaction"))
}
