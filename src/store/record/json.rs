//! The JSON form of a record, which the compact form holds as well.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    store::error::StoreError,
    transaction::{Transaction, TransactionKey, Unrecognized},
};

/// The version of the JSON form, which is part of it. Schemas 3 and 4 of a store both hold it.
const JSON_VERSION: u32 = 3;

#[derive(Serialize)]
struct Written<'a> {
    schema: u32,
    transaction: &'a Transaction,
}

#[derive(Deserialize)]
struct Read {
    schema: u32,
    transaction: Transaction,
}

/// Encodes a transaction as JSON without blanks: the fields that this release knows, and the
/// unrecognized fields of a later release, unchanged.
///
/// # Errors
/// [`StoreError::Corrupt`] when it cannot be encoded.
pub(super) fn encode(transaction: &Transaction) -> Result<Vec<u8>, StoreError> {
    let unwritable = |error: serde_json::Error| corrupt(&transaction.key(), &error.to_string());
    let ours = write(transaction).map_err(unwritable)?;
    let unrecognized = transaction.unrecognized();
    let text = if unrecognized.is_empty() {
        ours
    } else {
        unrecognized.put_back(&ours).map_err(unwritable)?
    };
    Ok(text.into_bytes())
}

fn write(transaction: &Transaction) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Written {
        schema: JSON_VERSION,
        transaction,
    })
}

/// Decodes and verifies the transaction that was stored under `key`.
///
/// # Errors
/// [`StoreError::Corrupt`] when the bytes are not a record of that key.
pub(super) fn decode(key: &TransactionKey, bytes: &[u8]) -> Result<Arc<Transaction>, StoreError> {
    let unreadable = |error: serde_json::Error| corrupt(key, &unreadable(&error));
    let read: Read = serde_json::from_slice(bytes).map_err(unreadable)?;
    if read.schema != JSON_VERSION {
        return Err(corrupt(
            key,
            &format!("schema {} is not {JSON_VERSION}", read.schema),
        ));
    }
    let transaction = read
        .transaction
        .verified()
        .map_err(|error| corrupt(key, &error.to_string()))?;
    if transaction.key() != *key {
        return Err(corrupt(key, "it belongs to another reference code"));
    }
    let ours = write(&transaction).map_err(unreadable)?;
    if ours.as_bytes() == bytes {
        return Ok(Arc::new(transaction));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt(key, "it is not UTF-8"))?;
    let unrecognized = Unrecognized::find(text, &ours).map_err(unreadable)?;
    Ok(Arc::new(transaction.with_unrecognized(unrecognized)))
}

/// Describes the fault of an unreadable record. The error's text may quote the record, so only
/// its column is reported.
///
/// A kind of evidence or state that only a later release knows cannot be folded: such a
/// record is rejected as a whole, so it is neither changed nor treated as unused.
fn unreadable(error: &serde_json::Error) -> String {
    let column = error.column();
    if error.to_string().starts_with("unknown variant") {
        format!(
            "it holds a value of a later release (column {column}), so this release leaves it \
             unchanged: finish the upgrade"
        )
    } else {
        format!("it cannot be read (column {column})")
    }
}

/// Builds the error of an unusable record.
pub(super) fn corrupt(key: &TransactionKey, problem: &str) -> StoreError {
    StoreError::Corrupt {
        key: key.to_string(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::transaction::{
        AccountName, AccountNumber, Arming, AttemptToken, BillGuards, Change, Contents,
        FailureReason, Finding, Guards, Intent, Labels, NotSent, Order, ProductCode, ReferenceCode,
        Rules, Schedule, Source, Statement,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn schedule() -> Schedule {
        let minute = SignedDuration::from_mins(1);
        Schedule {
            sending: minute,
            unknown_first: minute,
            pending_first: minute,
            delays: vec![minute],
            day_delay: minute,
            day_ends: minute,
            late_delay: minute,
            give_up_after: minute,
            serial_number: vec![minute],
            interval_min: minute,
            callback_interval_min: minute,
            age_max: minute,
            unconfigured_grace: minute,
        }
    }

    fn arming(token: u128, is_quarantined: bool) -> Arming {
        Arming {
            token: AttemptToken::new(Uuid::from_u128(token)),
            at: at(0),
            is_quarantined,
            expire_at: None,
            omits_hyphens: false,
        }
    }

    fn order() -> Order {
        Order {
            product_code: ProductCode::parse("PULSA10").unwrap(),
            account_number: AccountNumber::parse("081234567890").unwrap(),
            inquired: None,
        }
    }

    fn begin(is_quarantined: bool) -> Arc<Transaction> {
        let order = order();
        let intent = Intent {
            account: AccountName::parse("main").unwrap(),
            names_account: false,
            reference_code: ReferenceCode::parse("reference-1").unwrap(),
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
        let rules = Rules {
            doubtful_gap: SignedDuration::from_mins(5),
            not_received_after: SignedDuration::from_mins(10),
            clock_skew: SignedDuration::from_mins(1),
        };
        Transaction::begin(intent, order, arming(1, is_quarantined), rules, &schedule()).transaction
    }

    fn observe(from: &Transaction, finding: Finding, seconds: i64) -> Change {
        let said = Statement::bare(Source::Gateway, finding);
        from.observe([said], at(seconds), &schedule()).unwrap()
    }

    fn stored(transaction: &Transaction) -> Value {
        serde_json::from_slice(&encode(transaction).unwrap()).unwrap()
    }

    fn load(transaction: &Transaction, record: &Value) -> Result<Arc<Transaction>, StoreError> {
        decode(&transaction.key(), record.to_string().as_bytes())
    }

    /// The places at which a later release may add something.
    const PLACES: [&str; 9] = [
        "",
        "/transaction",
        "/transaction/contents",
        "/transaction/order",
        "/transaction/attempt",
        "/transaction/held_back/0",
        "/transaction/rules",
        "/transaction/checks",
        "/transaction/evidence/0",
    ];

    /// Returns the record with an unknown member at each place. Its number has more digits than a
    /// float.
    fn of_later_release(transaction: &Transaction) -> String {
        let mut record = stored(transaction);
        for place in PLACES {
            record.pointer_mut(place).unwrap()["later"] = json!({ "place": place, "n": "NUMBER" });
        }
        record["transaction"]["evidence"][0]["details"]["later"] = json!("details");
        record
            .to_string()
            .replace("\"NUMBER\"", "12345678901234567890.10")
    }

    fn count(text: &str, part: &str) -> usize {
        text.matches(part).count()
    }

    #[test]
    fn a_save_keeps_what_only_a_later_release_knows() {
        let first = observe(&begin(true), Finding::Pending, 1).transaction;
        let read = decode(&first.key(), of_later_release(&first).as_bytes()).unwrap();
        assert!(!read.unrecognized().is_empty());
        // The first entry is seen again, and one is added before it.
        let next = observe(&read, Finding::Pending, 2).transaction;
        let next = observe(&next, Finding::Succeeded, 3).transaction;
        let text = String::from_utf8(encode(&next).unwrap()).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        for place in &PLACES[..PLACES.len() - 1] {
            let kept = record.pointer(place).unwrap().pointer("/later/place");
            assert_eq!(kept, Some(&json!(place)), "{place}");
        }
        let evidence = record["transaction"]["evidence"].as_array().unwrap();
        let pending = evidence.iter().find(|entry| entry["finding"] == "pending");
        let pending = pending.unwrap();
        assert_eq!(pending["later"]["place"], PLACES[8]);
        assert_eq!(pending["details"]["later"], "details");
        assert_eq!(pending["count"], 2, "what this release wrote wins");
        assert_eq!(count(&text, "\"later\""), PLACES.len() + 1);
        assert_eq!(count(&text, "12345678901234567890.10"), PLACES.len());
        // The next decoding and encoding keep them too, without blanks, as commit.lua requires.
        let again = decode(&next.key(), text.as_bytes()).unwrap();
        assert_eq!(encode(&again).unwrap(), text.as_bytes());
        assert!(text.contains(&format!("\"token\":\"{}\"", next.token())));
    }

    #[test]
    fn what_belongs_to_an_attempt_ends_with_it() {
        let read = begin(false);
        let read = decode(&read.key(), of_later_attempt(&read).as_bytes()).unwrap();
        let unsent = Finding::NotSent {
            attempt: 1,
            why: NotSent::Unreachable,
        };
        let unsent = observe(&read, unsent, 1).transaction;
        let armed = unsent
            .arm_again(order(), arming(2, false), &schedule())
            .unwrap();
        let record = stored(&armed.transaction);
        assert!(record["transaction"]["attempt"]["later"].is_null());
        assert!(record["transaction"]["order"]["later"].is_null());
        assert_eq!(record["transaction"]["later"], "kept");
    }

    /// Fields that a later release added to an event may name the customer.
    #[test]
    fn an_erased_event_loses_what_only_a_later_release_knows() {
        let cancelled = Finding::Failed(FailureReason::Cancelled);
        let first = observe(&begin(true), cancelled, 1).transaction;
        let erased = first.erase([7; 16], first.updated_at(), &schedule());
        let erased = erased.unwrap().unwrap().transaction;
        let event = decode(&first.key(), of_later_release(&first).as_bytes()).unwrap();
        let event = event.as_erased(erased.erasure().unwrap());
        let text = String::from_utf8(encode(&event).unwrap()).unwrap();
        assert_eq!(count(&text, "later"), 0, "{text}");
    }

    fn of_later_attempt(transaction: &Transaction) -> String {
        let mut record = stored(transaction);
        record["transaction"]["attempt"]["later"] = json!("old");
        record["transaction"]["order"]["later"] = json!("old");
        record["transaction"]["later"] = json!("kept");
        record.to_string()
    }

    /// Two entries of a later release that this release cannot distinguish.
    #[test]
    fn entries_that_are_one_to_this_release_stay_two() {
        let first = observe(&begin(true), Finding::Pending, 1).transaction;
        let mut record = stored(&first);
        let mut twin = record["transaction"]["evidence"][0].clone();
        twin["later"] = json!("twin");
        let evidence = record["transaction"]["evidence"].as_array_mut().unwrap();
        evidence.insert(0, twin);
        let mut read = load(&first, &record).unwrap();
        for seconds in 2..4 {
            read = observe(&read, Finding::Pending, seconds).transaction;
            let record = stored(&read);
            let evidence = record["transaction"]["evidence"].as_array().unwrap();
            assert_eq!(evidence.len(), 2);
            assert_eq!(evidence[0]["later"], "twin");
            read = load(&read, &record).unwrap();
        }
        let seen = read.evidence().iter().next().unwrap().1;
        assert_eq!(seen.count, 3);
    }

    #[test]
    fn a_finding_that_only_a_later_release_knows_is_refused() {
        let first = observe(&begin(true), Finding::Pending, 1).transaction;
        let mut record = stored(&first);
        record["transaction"]["evidence"][0]["finding"] = json!("a_secret_of_later");
        let refused = load(&first, &record).unwrap_err().to_string();
        assert!(refused.contains("finish the upgrade"), "{refused}");
        assert!(!refused.contains("a_secret_of_later"), "{refused}");
    }

    #[test]
    fn a_record_of_this_release_holds_nothing_unknown() {
        let first = observe(&begin(true), Finding::Succeeded, 1).transaction;
        let read = decode(&first.key(), &encode(&first).unwrap()).unwrap();
        assert_eq!(read, first);
        let spread = serde_json::to_string_pretty(&stored(&first)).unwrap();
        let read = decode(&first.key(), spread.as_bytes()).unwrap();
        assert!(read.unrecognized().is_empty());
    }
}
