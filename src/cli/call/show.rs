//! Messages as people read them, or as JSON in its canonical form.

use std::fmt::Write;

use jiff::Timestamp;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};
use tonic::Status;
use tonic_types::StatusExt;

use crate::grpc::{DESCRIPTOR, v1};

/// A message whose name in the contract is known.
pub(super) trait ContractMessage: Message {
    /// The name without its package.
    const NAME: &'static str;
}

macro_rules! named {
    ($($message:ident),* $(,)?) => {
        $(impl ContractMessage for v1::$message {
            const NAME: &'static str = stringify!($message);
        })*
    };
}

named!(
    PurchasePrepaidResponse,
    PayPostpaidResponse,
    GetTransactionResponse,
    CheckTransactionResponse,
    WatchTransactionResponse,
    WatchTransactionsResponse,
    ListTransactionsResponse,
    ResolveTransactionResponse,
    InquirePrepaidResponse,
    InquirePostpaidResponse,
    GetBalanceResponse,
    EchoResponse,
    ListNoticesResponse,
    ListOrphanCallbacksResponse,
);

const PACKAGE: &str = "okebayar.gateway.v1";

/// Prints messages on standard output, and problems on standard error.
pub(super) struct Printer {
    pool: Option<DescriptorPool>,
    as_json: bool,
}

impl Printer {
    pub(super) fn new(as_json: bool) -> Self {
        Self {
            pool: DescriptorPool::decode(DESCRIPTOR).ok(),
            as_json,
        }
    }

    pub(super) fn print<T: ContractMessage>(&self, message: &T) {
        let Some(message) = self.dynamic(message) else {
            return self.problem("the answer cannot be shown");
        };
        if self.as_json {
            match serde_json::to_string(&message) {
                Ok(text) => println!("{text}"),
                Err(error) => self.problem(&error.to_string()),
            }
        } else {
            let mut text = String::new();
            show(&mut text, &message, 0);
            println!("{}", text.trim_end());
        }
    }

    fn dynamic<T: ContractMessage>(&self, message: &T) -> Option<DynamicMessage> {
        let pool = self.pool.as_ref()?;
        let descriptor = pool.get_message_by_name(&format!("{PACKAGE}.{}", T::NAME))?;
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()
    }

    pub(super) fn problem(&self, problem: &str) {
        if self.as_json {
            eprintln!("{}", serde_json::json!({ "message": problem }));
        } else {
            eprintln!("error: {problem}");
        }
    }

    pub(super) fn error(&self, status: &Status) {
        let info = status.get_details_error_info();
        let code = format!("{:?}", status.code());
        let Some(info) = info else {
            return self.problem(&format!("{code}: {}", status.message()));
        };
        if self.as_json {
            let error = serde_json::json!({
                "code": code,
                "message": status.message(),
                "reason": info.reason,
                "metadata": info.metadata,
            });
            return eprintln!("{error}");
        }
        eprintln!("error: {}", status.message());
        let mut about = format!("  {code}, {}", info.reason);
        let mut metadata: Vec<_> = info.metadata.iter().collect();
        metadata.sort();
        for (name, value) in metadata {
            let _ = write!(about, ", {name}={value}");
        }
        eprintln!("{about}");
    }
}

/// Adds the fields that are set, one to a line.
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

fn show_field(text: &mut String, field: &FieldDescriptor, value: &Value, depth: usize) {
    let (indent, name) = ("  ".repeat(depth), field.name());
    // Writing to a text cannot fail.
    let _ = match (value, field.kind()) {
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

/// A text on one line: OKEBAYAR's references keep their control characters, and none may
/// begin a line of its own or move the cursor.
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

/// `STATE_SUCCEEDED` of `State` is `SUCCEEDED`; `WaitUntil` becomes `WAIT_UNTIL_`.
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

/// Amounts, times and fields on one line; `None` for other messages.
fn short(message: &DynamicMessage) -> Option<String> {
    let get = |name: &str| {
        message
            .get_field_by_name(name)
            .map(std::borrow::Cow::into_owned)
    };
    match message.descriptor().full_name() {
        "okebayar.gateway.v1.Money" => {
            let money: v1::Money = message.transcode_to().ok()?;
            Some(amount(&money))
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

fn amount(money: &v1::Money) -> String {
    let sign = if money.units < 0 || money.nanos < 0 {
        "-"
    } else {
        ""
    };
    let units = money.units.unsigned_abs();
    let decimals = format!("{:09}", money.nanos.unsigned_abs());
    let decimals = decimals.trim_end_matches('0');
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{} {sign}{units}{point}{decimals}", money.currency_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(message: &impl ContractMessage) -> String {
        let printer = Printer::new(false);
        let mut text = String::new();
        show(&mut text, &printer.dynamic(message).unwrap(), 0);
        text
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
                state: v1::State::NeedsReview.into(),
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
                ..v1::Transaction::default()
            }),
            replayed: true,
        };
        assert_eq!(
            shown(&message),
            "transaction:\n  reference_code: order-1\n  state: NEEDS_REVIEW\n  price: IDR 10500\n  \
             balance: IDR -0.5\n  create_time: 2027-01-15T08:00:00Z\n  fields: billingperiod = 202610\n\
             replayed: true\n"
        );
    }

    #[test]
    fn a_text_takes_one_line_whatever_it_holds() {
        let text = "a\r\nstate: SUCCEEDED\t\u{1b}[2Jé";
        assert_eq!(one_line(text), "a\\r\\nstate: SUCCEEDED\\t\\u{1b}[2Jé");
    }

    #[test]
    fn enum_values_lose_the_name_of_their_enum() {
        assert_eq!(without_prefix("STATE_FAILED", "State"), "FAILED");
        assert_eq!(without_prefix("WAIT_UNTIL_FINAL", "WaitUntil"), "FINAL");
        assert_eq!(without_prefix("OTHER", "State"), "OTHER");
    }
}
