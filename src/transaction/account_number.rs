//! Whom the product is for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::codes::{BadCode, check, code};

code!(
    /// Who receives the product: a phone or meter number. Masked in `Debug`.
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
    /// The last four characters behind asterisks, as logs may show it.
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
    fn secrets_of_the_customer_do_not_show_in_debug() {
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
