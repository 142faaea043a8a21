//! Settled purchases as the gateway stores them, many at once.

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    store::{Commit, Store},
    transaction::{
        AccountNumber, Amount, Arming, AttemptToken, Change, Contents, Details, Finding,
        ReferenceCode, SerialNumber, Source, Statement, StatusCode, TraceCode, Transaction,
    },
};
use uuid::Uuid;

use super::{
    core::{RULES, arming, schedule, wish},
    dice::Dice,
};

/// The purchases that are written concurrently.
const AT_ONCE: usize = 64;

/// A settled purchase as OKEBAYAR answers it: the claim, then the success with everything that an
/// answer holds (docs/OKEBAYAR.md, section 3.1).
fn purchase(dice: &mut Dice, number: usize, from: Timestamp) -> (Change, Change, TraceCode) {
    let mut random = || u128::from(roll(dice)) << 64 | u128::from(roll(dice));
    let (code, token) = (Uuid::from_u128(random()), Uuid::from_u128(random()));
    let recipient = format!("08{}", 1_000_000_000 + dice.roll(9_000_000_000));
    let (mut intent, mut order) = wish("reference-0", "PULSA10");
    intent.reference_code = ReferenceCode::parse(code.to_string()).unwrap();
    order.account_number = AccountNumber::parse(recipient).unwrap();
    intent.contents = Contents::PurchasePrepaid {
        product_code: order.product_code.clone(),
        account_number: order.account_number.clone(),
        inquiry_code: None,
    };
    // Ten purchases a second, with times as exact as a clock gives them.
    let mut within =
        |nanos: usize| SignedDuration::from_nanos(i64::try_from(dice.roll(nanos)).unwrap());
    let tenths = i64::try_from(number).unwrap() * 100;
    let claimed_at = from + SignedDuration::from_millis(tenths) + within(100_000_000);
    let answered_at = claimed_at + SignedDuration::from_millis(500) + within(2_000_000_000);
    let armed = Arming {
        at: claimed_at,
        ..arming(AttemptToken::new(token), 0)
    };
    let claim = Transaction::begin(intent, order, armed, RULES, &schedule());
    let trace_code = TraceCode::parse(format!("70010000{:08}", number * 3 + 1)).unwrap();
    let details = Details {
        trace_code: Some(trace_code.clone()),
        serial_number: SerialNumber::read(&format!("{:020}", roll(dice))),
        price: Some(Amount::parse("10500").unwrap()),
        balance: Some(
            Amount::parse(&format!("{}", 900_000_000 - number % 80_000 * 10_500)).unwrap(),
        ),
        time: Some(answered_at),
        ..Details::default()
    };
    let said = Statement::new(
        Source::Answer,
        Finding::Succeeded,
        StatusCode::read("000"),
        details,
    );
    let settled = claim
        .transaction
        .observe([said], answered_at, &schedule())
        .unwrap();
    (claim, settled, trace_code)
}

fn roll(dice: &mut Dice) -> u64 {
    dice.roll(usize::MAX) as u64
}

/// Writes purchases from a time on as the gateway does.
pub async fn fill(store: &dyn Store, seed: u64, purchases: usize, from: Timestamp) {
    let mut dice = Dice(seed);
    let all = (0..purchases).map(|number| purchase(&mut dice, number, from));
    futures::stream::iter(all)
        .for_each_concurrent(AT_ONCE, async |(claim, settled, trace_code)| {
            for change in [&claim, &settled] {
                let done = store.commit(change, None).await.unwrap();
                assert!(matches!(done, Commit::Done));
            }
            let (of, key) = (&settled.transaction, settled.transaction.key());
            let indexed = store.index_trace(&key, of.account(), &trace_code);
            indexed.await.unwrap();
        })
        .await;
}
