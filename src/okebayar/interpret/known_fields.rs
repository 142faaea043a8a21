//! The documented fields of an answer, and the texts that it gives of each.

use std::collections::BTreeSet;

use crate::okebayar::fields::Unreadable;

/// The most different texts that are kept of one field. The least ones are kept, so that the
/// result does not depend on their order.
const TEXTS_MAX: usize = 4;

/// The texts that an answer gives of one documented field.
#[derive(Debug)]
pub(super) struct KnownField {
    pub(super) name: &'static str,
    /// Two different texts make the whole answer unreadable: the field decides what the answer
    /// proves, or about which transaction.
    is_vital: bool,
    /// The caller receives the field under its own name as well.
    pub(super) is_shown: bool,
    /// The answer names the field, perhaps with an empty text.
    pub(super) is_named: bool,
    pub(super) texts: BTreeSet<String>,
}

impl KnownField {
    /// Adds a text.
    ///
    /// # Errors
    /// [`Unreadable::Ambiguous`] when a vital field has another text already.
    pub(super) fn fill(&mut self, text: &str) -> Result<(), Unreadable> {
        self.is_named = true;
        if text.is_empty() || self.texts.contains(text) {
            return Ok(());
        }
        if self.is_vital && !self.texts.is_empty() {
            return Err(Unreadable::Ambiguous(self.name));
        }
        self.texts.insert(text.to_owned());
        if self.texts.len() > TEXTS_MAX {
            self.texts.pop_last();
        }
        Ok(())
    }

    /// Returns the text, or `None` when it is absent, empty or conflicting.
    pub(super) fn text(&self) -> Option<String> {
        let only = self.texts.first().filter(|_| self.texts.len() == 1);
        only.cloned()
    }

    /// Joins all texts to one; `None` when there is none.
    pub(super) fn joined(&self) -> Option<String> {
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        (!texts.is_empty()).then(|| texts.join(" / "))
    }
}

/// Defines [`KnownFields`] from lines of `kind field: "name" | "other name"`. A field is vital
/// (see [`KnownField::is_vital`]), vital and shown ([`KnownField::is_shown`]), or tolerant: two
/// different texts count as none.
macro_rules! known {
    ($($kind:ident $field:ident: $name:literal $(| $alias:literal)*),* $(,)?) => {
        #[derive(Debug)]
        pub(super) struct KnownFields { $(pub(super) $field: KnownField),* }

        impl Default for KnownFields {
            fn default() -> Self {
                Self { $($field: KnownField {
                    name: $name,
                    is_vital: known!(@ $kind != tolerant),
                    is_shown: known!(@ $kind == shown),
                    is_named: false,
                    texts: BTreeSet::new(),
                }),* }
            }
        }

        impl KnownFields {
            pub(super) fn field(&mut self, name: &str) -> Option<&mut KnownField> {
                match name {
                    $($name $(| $alias)* => Some(&mut self.$field),)*
                    _ => None,
                }
            }
        }
    };
    (@ tolerant != tolerant) => { false };
    (@ $kind:ident != tolerant) => { true };
    (@ shown == shown) => { true };
    (@ $kind:ident == shown) => { false };
}

known! {
    vital trace_code: "tracecode",
    vital status: "transactionstatus" | "responsecode" | "status",
    tolerant time: "transactiontime" | "responsetime",
    vital serial_number: "serialnumber",
    tolerant price: "harga",
    tolerant balance: "balance",
    vital product_code: "productcode",
    vital account_number: "accnumber" | "accnumber1",
    shown account_number_2: "accnumber2",
    shown account_number_3: "accnumber3",
    vital reference_code: "referencecode",
    tolerant info: "info",
    tolerant message: "message",
    vital inquiry_code: "inquirycode",
    vital inquiry_expired: "inquiryexpired",
    vital user_id: "userid",
}
