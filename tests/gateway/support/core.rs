//! Transactions built without a gateway.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::transaction::{
    AccountName, AccountNumber, Arming, AttemptToken, BillGuards, Change, Contents, Guards, Intent,
    Labels, Order, ProductCode, ReferenceCode, Rules, Schedule, Transaction,
};

pub const RULES: Rules = Rules {
    doubtful_gap: SignedDuration::from_mins(5),
    not_received_after: SignedDuration::from_mins(10),
    clock_skew: SignedDuration::from_mins(1),
};

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// Returns the default schedule.
pub fn schedule() -> Schedule {
    let minutes = |list: &[i64]| {
        list.iter()
            .copied()
            .map(SignedDuration::from_mins)
            .collect()
    };
    Schedule {
        sending: SignedDuration::from_secs(65),
        unknown_first: SignedDuration::from_secs(10),
        pending_first: SignedDuration::from_mins(5),
        delays: minutes(&[1, 2, 4, 8, 15, 30]),
        day_delay: SignedDuration::from_hours(1),
        day_ends: SignedDuration::from_hours(24),
        late_delay: SignedDuration::from_hours(6),
        give_up_after: SignedDuration::from_hours(72),
        unconfigured_grace: SignedDuration::from_mins(10),
        serial_number: minutes(&[1, 5, 15, 60, 360, 1440]),
        interval_min: SignedDuration::from_secs(60),
        callback_interval_min: SignedDuration::from_secs(5),
        age_max: SignedDuration::from_hours(720),
    }
}

/// Returns the account of every transaction here.
pub fn account() -> AccountName {
    AccountName::parse("main").unwrap()
}

/// Builds a prepaid purchase: the caller's intent and the order that is sent.
pub fn wish(reference_code: &str, product_code: &str) -> (Intent, Order) {
    let order = Order {
        product_code: ProductCode::parse(product_code).unwrap(),
        account_number: AccountNumber::parse("081234567890").unwrap(),
        inquired: None,
    };
    let intent = Intent {
        account: account(),
        names_account: false,
        reference_code: ReferenceCode::parse(reference_code).unwrap(),
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
    (intent, order)
}

/// Builds an attempt that may be sent, `seconds` after the epoch of the tests.
pub fn arming(token: AttemptToken, seconds: i64) -> Arming {
    Arming {
        token,
        at: at(seconds),
        is_quarantined: false,
        expire_at: None,
        omits_hyphens: false,
    }
}

pub fn begin(seed: u128) -> Change {
    let (intent, order) = wish(&format!("reference-{seed}"), "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(seed));
    Transaction::begin(intent, order, arming(token, 0), RULES, &schedule())
}

pub fn transaction(seed: u128) -> Arc<Transaction> {
    begin(seed).transaction
}
