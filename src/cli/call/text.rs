//! Messages as text for people: one field on each line, indented by depth.

use std::{collections::HashMap, fmt::Write};

use jiff::Timestamp;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};

use super::money::format_money;
use crate::grpc::v1;

/// Formats the fields of a message that are set, one on each line.
pub(super) fn text_of(message: &DynamicMessage) -> String {
    let mut text = String::new();
    show(&mut text, message, 0);
    text
}

/// Appends the fields that are set, one on each line.
fn show(text: &mut String, message: &DynamicMessage, depth: usize) {
    for (field, value) in message.fields() {
        let items = match value {
            Value::List(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        for item in items {
            show_field(text, &field, item, depth);
        }
    }
}

/// Appends the entries of a map, one on each line, in the order of their keys.
fn show_map(text: &mut String, name: &str, entries: &HashMap<MapKey, Value>, depth: usize) {
    let mut lines: Vec<String> = entries
        .iter()
        .filter_map(|(key, value)| {
            let (key, value) = (key.as_str()?, value.as_str()?);
            Some(format!("{} = {}", one_line(key), one_line(value)))
        })
        .collect();
    lines.sort_unstable();
    for line in lines {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{}{name}: {line}", "  ".repeat(depth));
    }
}

fn show_field(text: &mut String, field: &FieldDescriptor, value: &Value, depth: usize) {
    let (indent, name) = ("  ".repeat(depth), field.name());
    // Writing to a `String` cannot fail.
    let _ = match (value, field.kind()) {
        (Value::Map(entries), _) => return show_map(text, name, entries, depth),
        (Value::Message(message), _) => {
            let Some(short) = short(message) else {
                let _ = writeln!(text, "{indent}{name}:");
                return show(text, message, depth + 1);
            };
            writeln!(text, "{indent}{name}: {short}")
        }
        (Value::EnumNumber(number), Kind::Enum(kind)) => {
            let value = kind.get_value(*number);
            let shown = value.map_or_else(|| number.to_string(), |value| value.name().to_owned());
            writeln!(
                text,
                "{indent}{name}: {}",
                without_prefix(&shown, kind.name())
            )
        }
        (Value::String(value), _) => writeln!(text, "{indent}{name}: {}", one_line(value)),
        (Value::Bool(value), _) => writeln!(text, "{indent}{name}: {value}"),
        (Value::I32(value), _) => writeln!(text, "{indent}{name}: {value}"),
        (Value::I64(value), _) => writeln!(text, "{indent}{name}: {value}"),
        (other, _) => writeln!(text, "{indent}{name}: {other:?}"),
    };
}

/// Escapes control characters, so that a text stays on one line: OKEBAYAR's references keep
/// theirs, and none may begin a line or move the cursor of a terminal.
fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Removes the prefix of an enum's name: `TRANSACTION_STATE_SUCCEEDED` of `TransactionState` is `SUCCEEDED`, and the
/// prefix of `WaitUntil` is `WAIT_UNTIL_`.
fn without_prefix<'a>(value: &'a str, kind: &str) -> &'a str {
    let mut prefix = String::new();
    for (at, letter) in kind.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    prefix.push('_');
    value.strip_prefix(&prefix).unwrap_or(value)
}

/// Formats an amount, a time or a field on one line; `None` for other messages.
fn short(message: &DynamicMessage) -> Option<String> {
    let get = |name: &str| {
        message
            .get_field_by_name(name)
            .map(std::borrow::Cow::into_owned)
    };
    match message.descriptor().full_name() {
        "okebayar.gateway.v1.Money" => {
            let money: v1::Money = message.transcode_to().ok()?;
            Some(format_money(&money))
        }
        "okebayar.gateway.v1.Field" => {
            let (Value::String(name), Value::String(value)) = (get("name")?, get("value")?) else {
                return None;
            };
            Some(format!("{} = {}", one_line(&name), one_line(&value)))
        }
        "google.protobuf.Timestamp" => {
            let time: prost_types::Timestamp = message.transcode_to().ok()?;
            Some(Timestamp::new(time.seconds, time.nanos).ok()?.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use prost::Name;

    use super::*;
    use crate::{cli::call::contract_message::to_dynamic, grpc::DESCRIPTOR};

    fn shown(message: &impl Name) -> String {
        let pool = DescriptorPool::decode(DESCRIPTOR).unwrap();
        text_of(&to_dynamic(message, &pool).unwrap())
    }

    #[test]
    fn a_message_is_shown_field_by_field() {
        let money = |units, nanos| {
            Some(v1::Money {
                currency_code: "IDR".into(),
                units,
                nanos,
            })
        };
        let message = v1::PayPostpaidResponse {
            transaction: Some(v1::Transaction {
                reference_code: "order-1".into(),
                state: v1::TransactionState::NeedsReview.into(),
                price: money(10_500, 0),
                balance: money(0, -500_000_000),
                create_time: Some(prost_types::Timestamp {
                    seconds: 1_800_000_000,
                    nanos: 0,
                }),
                fields: vec![v1::Field {
                    name: "billingperiod".into(),
                    value: "202610".into(),
                }],
                labels: [("till", "4\n2"), ("shop", "a b")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
                ..v1::Transaction::default()
            }),
            replayed: true,
        };
        assert_eq!(
            shown(&message),
            "transaction:\n  reference_code: order-1\n  state: NEEDS_REVIEW\n  price: IDR 10500\n  \
             balance: IDR -0.5\n  create_time: 2027-01-15T08:00:00Z\n  fields: billingperiod = 202610\n  \
             labels: shop = a b\n  labels: till = 4\\n2\nreplayed: true\n"
        );
    }

    #[test]
    fn a_text_takes_one_line_whatever_it_holds() {
        let text = "a\r\nstate: SUCCEEDED\t\u{1b}[2Jé";
        assert_eq!(one_line(text), "a\\r\\nstate: SUCCEEDED\\t\\u{1b}[2Jé");
    }

    #[test]
    fn enum_values_lose_the_name_of_their_enum() {
        assert_eq!(
            without_prefix("TRANSACTION_STATE_FAILED", "TransactionState"),
            "FAILED"
        );
        assert_eq!(without_prefix("WAIT_UNTIL_STORED", "WaitUntil"), "STORED");
        assert_eq!(without_prefix("OTHER", "TransactionState"), "OTHER");
    }
}
