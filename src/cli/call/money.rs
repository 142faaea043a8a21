//! Amounts of money on the command line and in answers.

use crate::grpc::v1::Money;

/// The most digits before the point.
const DIGITS_MAX: usize = 15;
/// The most digits after the point.
const DECIMALS_MAX: usize = 4;
/// The decimals of the contract's billionths.
const NANO_DECIMALS: usize = 9;

/// Parses an amount of rupiah such as `11000`, `11000.50` or `-5.5`. Exponents, blanks, and
/// separators of thousands are errors.
///
/// # Errors
/// When the text is anything else.
pub(super) fn parse_rupiah(text: &str) -> Result<Money, String> {
    parse(text).ok_or_else(|| {
        "not an amount: give up to 15 digits, and up to 4 after a point, such as 108000".to_owned()
    })
}

fn parse(text: &str) -> Option<Money> {
    let digits = text.strip_prefix('-');
    let is_negative = digits.is_some();
    let digits = digits.unwrap_or(text);
    let (whole, decimals) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (digits, ""),
    };
    let is_number = [whole, decimals]
        .iter()
        .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let fits = whole.len() <= DIGITS_MAX && decimals.len() <= DECIMALS_MAX;
    if whole.is_empty() || !is_number || !fits {
        return None;
    }
    let units: i64 = whole.parse().ok()?;
    let nanos: i32 = format!("{decimals:0<NANO_DECIMALS$}").parse().ok()?;
    let sign = if is_negative { -1 } else { 1 };
    Some(Money {
        currency_code: "IDR".to_owned(),
        units: i64::from(sign) * units,
        nanos: sign * nanos,
    })
}

/// Formats an amount such as `IDR -0.5`.
pub(super) fn format_money(money: &Money) -> String {
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
    use crate::transaction::Amount;

    #[test]
    fn parsed_amount_is_that_of_the_gateway() {
        for text in [
            "0",
            "-0",
            "007",
            "108000",
            "108000.5",
            "108000.50",
            "-5.5",
            "-0.0001",
            "0.0001",
            "999999999999999.9999",
            "-999999999999999.9999",
            "",
            "-",
            ".",
            ".5",
            "5.",
            "-.5",
            "--5",
            "+5",
            "1e3",
            " 5",
            "5 ",
            "1,000",
            "1.000.000",
            "1.00000",
            "1000000000000000",
            "0000000000000001",
            "\u{665}",
            "NaN",
        ] {
            let parsed = parse_rupiah(text).map(|money| (money.units, money.nanos));
            let wanted = Amount::parse(text).map(Amount::units_and_nanos);
            assert_eq!(parsed.ok(), wanted.ok(), "{text:?}");
        }
    }

    #[test]
    fn parsed_amount_is_in_rupiah_and_is_formatted_as_it_was_given() {
        for text in ["108000", "108000.5", "-0.0001"] {
            let money = parse_rupiah(text).unwrap();
            assert_eq!(format_money(&money), format!("IDR {text}"));
        }
    }
}
