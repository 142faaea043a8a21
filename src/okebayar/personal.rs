//! Distinguishes texts for the partner from texts about a single customer.
//!
//! OKEBAYAR's `info` is an announcement or an advertisement, or a receipt in prose that names the
//! customer and the token. An announcement is for every reader of the notices; a receipt is for the
//! caller only, and stays with its transaction. The values found here are never logged.
//!
//! A doubtful text counts as a receipt: announcements recur, but a disclosed token cannot be
//! revoked.

use super::{answer::Answer, fields::Fields, phone_number::national};

/// The names of fields that identify a customer or a purchase, in lower case and without a number
/// at the end.
const NAMES: [&str; 9] = [
    "accnumber",
    "contactnumber",
    "serialnumber",
    "referencecode",
    "tracecode",
    "inquirycode",
    "subscriberid",
    "swreferenceid",
    "caid",
];
/// Parts of the names that billers give to fields that identify a customer.
const PARTS: [&str; 9] = [
    "name",
    "nama",
    "pelanggan",
    "nometer",
    "idpel",
    "npwp",
    "alamat",
    "address",
    "token",
];
/// Parts of the names of fields that are the same for many customers.
const COMMON: [&str; 5] = ["product", "biller", "operator", "bank", "unsold"];
/// The shortest value that is searched inside words, in characters; a shorter one must be a word by
/// itself.
const INSIDE_CHARS_MIN: usize = 4;
/// The shortest word of a name that is searched by itself, in characters.
const NAME_CHARS_MIN: usize = 4;
/// The longest part of a value that is searched, in characters.
const VALUE_CHARS_MAX: usize = 512;
/// The fewest digits of a number that is searched without its prefix.
const NUMBER_DIGITS_MIN: usize = 8;

/// The most groups of digits, joined to one number, of which each may be another number.
const GROUPS_MAX: usize = 16;
/// The most decimals of an amount of rupiah; three digits are thousands.
const DECIMALS_MAX: usize = 2;

/// Returns true when a text names the customer or the purchase of its answer. `requested` are the
/// values that identify the customer in the request; the answer may leave them out.
#[must_use]
pub fn identifies_customer(text: &str, answer: &Answer, requested: &[String]) -> bool {
    let text = SearchedText::new(text);
    let given = personal(&answer.fields);
    let requested = requested
        .iter()
        .map(|value| (ValueForm::Code, value.as_str()));
    given
        .chain(requested)
        .any(|(form, value)| text.names(form, value))
}

/// Returns the values in the parameters of a request that identify a customer.
#[must_use]
pub fn of_request(parameters: &[(&str, &str)]) -> Vec<String> {
    let values = parameters.iter().filter(|(name, _)| form(name).is_some());
    values.map(|(_, value)| (*value).to_owned()).collect()
}

/// The form of a value that identifies a customer or a purchase.
#[derive(Clone, Copy)]
enum ValueForm {
    /// A number or a code, written with or without separators.
    Code,
    /// A name, of which a text may give a part; a serial number may hold one.
    Name,
    /// An amount of rupiah, of which a text may leave out the decimals.
    Amount,
}

fn personal(fields: &Fields) -> impl Iterator<Item = (ValueForm, &str)> {
    fields
        .iter()
        .filter_map(|(name, value)| Some((form(name)?, value.as_str())))
}

/// Returns the form of a value by its name, in any case; `None` for a value that identifies no
/// customer.
fn form(name: &str) -> Option<ValueForm> {
    let name = name.trim().to_ascii_lowercase();
    let own = name.rsplit('.').next().unwrap_or_default();
    let own = own.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_named = |parts: &[&str]| parts.iter().any(|part| own.contains(part));
    if ["serialnumber", "alamat"].contains(&own) {
        Some(ValueForm::Name)
    } else if own == "balance" {
        Some(ValueForm::Amount)
    } else if NAMES.contains(&own) {
        Some(ValueForm::Code)
    } else if is_named(&PARTS) && !is_named(&COMMON) {
        Some(ValueForm::Name)
    } else {
        None
    }
}

/// A text in the form in which it is searched.
struct SearchedText {
    /// The letters and digits without separators, which could hide a number.
    squeezed: String,
    words: Vec<String>,
}

impl SearchedText {
    fn new(text: &str) -> Self {
        Self {
            squeezed: squeezed(text),
            words: words(text).collect(),
        }
    }

    fn names(&self, form: ValueForm, value: &str) -> bool {
        let end = value.char_indices().nth(VALUE_CHARS_MAX);
        let value = end.map_or(value, |(end, _)| &value[..end]);
        self.holds(&squeezed(value))
            || match form {
                ValueForm::Code => false,
                ValueForm::Amount => self.holds(&squeezed(whole_rupiah(value))),
                ValueForm::Name => value
                    .split(['/', '|', ';', ','])
                    .any(|part| self.holds_part(part)),
            }
    }

    /// Returns true when the text holds a part of a value: the whole part, a number in it such as
    /// the token in a PLN serial number, or a word of a name. A tariff is too short to identify a
    /// customer.
    fn holds_part(&self, part: &str) -> bool {
        let whole = squeezed(part);
        let has_digit = whole.bytes().any(|byte| byte.is_ascii_digit());
        has_digit && is_long_number(&whole) && self.holds(&whole)
            || numbers(part).iter().any(|number| self.holds(number))
            || names(part).any(|name| self.words.contains(&name))
    }

    fn holds(&self, value: &str) -> bool {
        if value.chars().count() < INSIDE_CHARS_MIN {
            return !value.is_empty() && self.words.iter().any(|word| word == value);
        }
        self.squeezed.contains(value)
            || national_number(value).is_some_and(|number| self.squeezed.contains(number))
    }
}

/// Returns the national form of a value that is a phone number, and long enough to be one.
fn national_number(value: &str) -> Option<&str> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    national(value).filter(|rest| is_number && rest.len() >= NUMBER_DIGITS_MIN)
}

fn is_long_number(digits: &str) -> bool {
    digits.len() >= NUMBER_DIGITS_MIN
}

/// Returns the long numbers in a value, digits only: its groups of digits, joined over blanks,
/// hyphens and dots. Another number may stand beside one, such as a power beside a token, so each
/// number is also returned without the groups before or after it.
fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for number in text.split(|c: char| !c.is_ascii_digit() && !" -.".contains(c)) {
        let groups = number.split(|c: char| !c.is_ascii_digit());
        let groups: Vec<&str> = groups.filter(|group| !group.is_empty()).collect();
        found.push(groups.concat());
        if groups.len() <= GROUPS_MAX {
            for at in 1..groups.len() {
                found.push(groups[..at].concat());
                found.push(groups[at..].concat());
            }
        }
        found.extend(groups.into_iter().map(str::to_owned));
    }
    found.retain(|number| is_long_number(number));
    found
}

/// Returns the words of a value that may belong to a name: long enough, and of letters only.
fn names(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphabetic());
    let long = words.filter(|word| word.chars().count() >= NAME_CHARS_MIN);
    long.map(str::to_lowercase)
}

/// Returns an amount without its decimals, which a text leaves out: `510000123.00` is
/// 510.000.123.
fn whole_rupiah(amount: &str) -> &str {
    let amount = amount.trim();
    match amount.rsplit_once(['.', ',']) {
        Some((whole, decimals)) if decimals.len() <= DECIMALS_MAX => whole,
        _ => amount,
    }
}

fn squeezed(text: &str) -> String {
    let own = text.chars().filter(|c| c.is_alphanumeric());
    own.flat_map(char::to_lowercase).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_about(text: &str, fields: &[(&str, &str)]) -> bool {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let answer = Answer {
            fields: fields.iter().map(owned).collect(),
            ..Answer::default()
        };
        identifies_customer(text, &answer, &[])
    }

    #[test]
    fn personal_value_is_found_in_any_spelling() {
        let token = (
            "serialnumber",
            "1234-5678-9012-3456-7890/BUDI SANTOSO/R1/1300VA",
        );
        for (text, field) in [
            ("token 12345678901234567890", token),
            ("token 1234 5678 9012 3456 7890", token),
            ("TOKEN:1234.5678.9012.3456.7890!", token),
            ("Terima kasih, Budi!", token),
            ("Yth. SANTOSO", token),
            ("ke 0812-3456-7890 berhasil", ("accnumber", "081234567890")),
            ("ke +62 812 3456 7890", ("AccNumber1", "081234567890")),
            ("ke 081234567890", ("accnumber2", "6281234567890")),
            ("line 31 1234567", ("accnumber2", "1234567")),
            ("area (021)", ("accnumber1", "021")),
            (
                "kirim ke budi@example.com",
                ("contactnumber", "budi@example.com"),
            ),
            ("a/n sri wahyuni", ("PLN_NAMAPELANGGAN", "SRI WAHYUNI")),
            (
                "a/n Ibu Wahyuni",
                ("additionaldata.subscribername", "SRI WAHYUNI"),
            ),
            ("meter 1405 0001 234", ("PLN_NOMETER", "14050001234")),
            ("id 512345678901", ("PLN_IDPELANGGAN", "512345678901")),
            ("saldo Rp 999.979.750", ("balance", "999979750")),
            ("ref 9F3A-11", ("referencecode", "9f3a11")),
        ] {
            assert!(is_about(text, &[("status", "000"), field]), "{text}");
        }
    }

    #[test]
    fn token_and_name_are_found_in_a_serial_number_without_slashes() {
        for serial_number in [
            "12345678901234567890 BUDI SANTOSO R1/1300VA",
            "12345678901234567890#BUDI#R1",
            "1234-5678-9012-3456-7890 BUDI R1 1300VA",
            "1234 5678 9012 3456 7890 1300VA BUDI",
            "1234 5678 9012 3456 7890 1300 VA BUDI",
            "R1 12345678901234567890BUDI",
            "R1-1300 12345678901234567890 BUDI",
        ] {
            for text in [
                "Token 1234 5678 9012 3456 7890, terima kasih",
                "Token 12345678901234567890",
                "token: 1234-5678-9012-3456-7890.",
                "terima kasih BUDI",
            ] {
                let fields = [("serialnumber", serial_number)];
                assert!(is_about(text, &fields), "{serial_number}: {text}");
            }
            for text in ["Tarif R1 1300VA naik 12-12-2026", "PROMO 1300 VA"] {
                let fields = [("serialnumber", serial_number)];
                assert!(!is_about(text, &fields), "{serial_number}: {text}");
            }
        }
    }

    #[test]
    fn deposit_is_found_in_whole_rupiah() {
        for balance in [
            "510000123",
            "510000123.00",
            "510000123.5",
            "510.000.123",
            "510.000.123,00",
            " 510000123.00 ",
        ] {
            for text in [
                "Sisa saldo Rp 510.000.123",
                "Sisa saldo Rp 510.000.123,00",
                "saldo 510000123.00",
            ] {
                assert!(is_about(text, &[("balance", balance)]), "{balance}: {text}");
            }
            let other = "Promo Rp 510.000";
            assert!(!is_about(other, &[("balance", balance)]), "{balance}");
        }
    }

    #[test]
    fn announcement_identifies_no_customer() {
        let fields = [
            ("serialnumber", "1234-5678-9012-3456-7890/ANI/R1/1300VA"),
            ("accnumber", "081234567890"),
            ("productcode", "PULSA10"),
            ("productname", "PROMO PULSA 10"),
            ("harga", "10500"),
            ("PLN_TOKENUNSOLD1", "20000"),
            ("accnumber2", ""),
            ("accnumber3", "2"),
        ];
        for text in [
            "PROMO PULSA 10 SAMPAI 31 DESEMBER 2026",
            "Gangguan PLN 12-12-2026 pukul 20.00",
            "CS 0800-1500-123, R1/1300VA naik Rp 20000",
            "",
        ] {
            assert!(!is_about(text, &fields), "{text}");
        }
    }
}
