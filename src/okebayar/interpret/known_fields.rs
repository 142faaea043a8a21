//! The facts that an answer gives under documented names.

use std::collections::BTreeSet;

use crate::okebayar::fields::Unreadable;

/// The most different texts that are kept of one fact: the least, so that their order
/// does not matter.
const TEXTS_MAX: usize = 4;

/// The texts that an answer gives of one fact.
#[derive(Debug)]
pub(super) struct KnownField {
    pub(super) name: &'static str,
    /// Two different texts make the whole answer unreadable: they are about what the
    /// answer proves, and of what.
    is_vital: bool,
    /// The caller sees it under its own name too.
    pub(super) is_shown: bool,
    /// It was given, maybe empty.
    pub(super) is_named: bool,
    pub(super) texts: BTreeSet<String>,
}

impl KnownField {
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

    /// All texts in one, or `None` when there is none.
    pub(super) fn joined(&self) -> Option<String> {
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        (!texts.is_empty()).then(|| texts.join(" / "))
    }
}

macro_rules! known {
    ($($kind:ident $slot:ident: $name:literal $(| $alias:literal)*),* $(,)?) => {
        #[derive(Debug)]
        pub(super) struct KnownFields { $(pub(super) $slot: KnownField),* }

        impl Default for KnownFields {
            fn default() -> Self {
                Self { $($slot: KnownField {
                    name: $name,
                    is_vital: known!(@ $kind != tolerant),
                    is_shown: known!(@ $kind == shown),
                    is_named: false,
                    texts: BTreeSet::new(),
                }),* }
            }
        }

        impl KnownFields {
            pub(super) fn slot(&mut self, name: &str) -> Option<&mut KnownField> {
                match name {
                    $($name $(| $alias)* => Some(&mut self.$slot),)*
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
