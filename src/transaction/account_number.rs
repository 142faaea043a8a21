//! Account numbers: the recipients of products.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::code_types::{BadCode, check, code};

code!(
    /// The recipient of a product: a phone or meter number. Masked in `Debug`.
    AccountNumber,
    1..=32,
    |b| b.is_ascii_alphanumeric() || b"+-._@".contains(&b),
    "give 1 to 32 letters, digits, '+', '-', '.', '_' or '@'"
);

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl AccountNumber {
    /// Returns the text in the place of an erased number.
    pub(super) fn erased() -> Self {
        Self("erased".to_owned())
    }

    /// Returns the last four characters after asterisks, in the form allowed in logs.
    #[must_use]
    pub fn masked(&self) -> String {
        let shown = if self.0.len() > 4 {
            self.0.len() - 4
        } else {
            self.0.len()
        };
        format!("****{}", &self.0[shown..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::SerialNumber;

    #[test]
    fn debug_hides_account_and_serial_numbers() {
        let account = AccountNumber::parse("081234567890").unwrap();
        assert_eq!(format!("{account:?}"), "****7890");
        assert_eq!(
            format!("{:?}", AccountNumber::parse("1234").unwrap()),
            "****"
        );
        let serial = SerialNumber::read(" 1122 ").unwrap();
        assert!(!format!("{serial:?}").contains("1122"));
        assert_eq!(serial.expose(), "1122");
    }
}
