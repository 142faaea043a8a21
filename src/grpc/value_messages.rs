//! The messages of single values: money, timestamp and field.

use jiff::Timestamp;

use super::{contract::v1, violations::Violations};
use crate::transaction::{Amount, CalendarDate};

/// Builds the message of an amount.
pub(super) fn money(amount: Amount) -> v1::Money {
    let (units, nanos) = amount.units_and_nanos();
    v1::Money {
        currency_code: "IDR".to_owned(),
        units,
        nanos,
    }
}

/// Returns an amount as decimal rupiah for the metadata of an error: without a group separator, and
/// without trailing zeros.
pub(super) fn amount_text(amount: Amount) -> String {
    let text = amount.to_string();
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Parses an amount. An empty currency code means IDR.
pub(super) fn amount(money: &v1::Money) -> Result<Amount, &'static str> {
    if !["", "IDR"].contains(&money.currency_code.as_str()) {
        return Err("its currency is not IDR; give currency_code IDR");
    }
    Amount::from_units_and_nanos(money.units, money.nanos)
        .ok_or("it is not a valid amount; give whole rupiah in units, and nanos with the same sign")
}

/// Builds the message of a day or month.
pub(super) fn date(date: CalendarDate) -> v1::Date {
    v1::Date {
        year: date.year.into(),
        month: date.month.into(),
        day: date.day.map_or(0, i32::from),
    }
}

/// Builds the message of a time.
pub(super) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

/// Parses a time that may be absent.
pub(super) fn time(
    field: &str,
    time: Option<&prost_types::Timestamp>,
    violations: &mut Violations,
) -> Option<Timestamp> {
    let time = time?;
    let read = Timestamp::new(time.seconds, time.nanos);
    if read.is_err() {
        violations.add(
            field,
            "it is out of range; give a time between the years 1 and 9999",
        );
    }
    read.ok()
}

/// Returns the text of a value, or an empty text without one.
pub(super) fn text_or_empty(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Builds the message of a name and a text.
pub(super) fn field(name: &str, value: &str) -> v1::Field {
    v1::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}
