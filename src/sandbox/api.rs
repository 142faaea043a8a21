//! The partner API as the API page documents it: one POST, one flat object.

use std::{collections::BTreeMap, sync::Arc};

use md5::{Digest, Md5};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{
    Sandbox,
    book::{Booked, Order, PRODUCTS, Purchase},
    scenario::{Reply, script_for},
};

/// What the server does with the connection.
pub enum Reaction {
    /// Sends this body.
    Answer(String),
    /// Sends this body after a while.
    Late(String),
    /// Sends nothing.
    Silence,
    /// Resets the connection.
    Reset,
}

const PREPAID: &str = "OkeBayar-prabayar";
const CHECK: &str = "OkeBayar-cek-status";

const SUCCESS: u16 = 0;
const DEPOSIT_EXHAUSTED: u16 = 203;
const WRONG_ACCOUNT: u16 = 204;
const WRONG_PRODUCT: u16 = 205;
const BAD_FORMAT: u16 = 206;
const NOT_AUTHENTICATED: u16 = 207;
const DUPLICATE: u16 = 208;
const WRONG_SIGNATURE: u16 = 211;
const WRONG_USER: u16 = 213;
const UNKNOWN_TRANSACTION_CODE: u16 = 241;
/// What a check for an unknown reference gets: not documented, so a choice.
const NOT_FOUND: u16 = 400;

/// The parameters of a request: lower-case names, texts only.
struct Parameters(BTreeMap<String, String>);

impl Parameters {
    fn read(body: &[u8]) -> Option<Self> {
        let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
            return None;
        };
        let mut parameters = BTreeMap::new();
        for (name, value) in object {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            if name != name.to_lowercase() {
                return None;
            }
            parameters.insert(name, text);
        }
        Some(Self(parameters))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// The answer's fields, in order; amounts are numbers with two decimals.
#[derive(Default)]
struct Answer(Vec<String>);

impl Answer {
    fn text(mut self, name: &str, text: &str) -> Self {
        self.0
            .push(format!("{}: {}", Value::from(name), Value::from(text)));
        self
    }

    fn amount(mut self, name: &str, rupiah: u64) -> Self {
        self.0.push(format!("{}: {rupiah}.00", Value::from(name)));
        self
    }

    fn body(self) -> String {
        format!("{{{}}}", self.0.join(", "))
    }

    fn finish(self) -> Reaction {
        Reaction::Answer(self.body())
    }
}

impl Sandbox {
    /// Reacts to the body of one POST.
    pub(super) fn react(self: &Arc<Self>, body: &[u8]) -> Reaction {
        let trace_code = self.trace_code();
        let Some(asked) = Parameters::read(body) else {
            return self.begin(&trace_code, BAD_FORMAT).finish();
        };
        if asked.get("transactioncode") == PREPAID {
            self.book.received(asked.get("referencecode"));
        } else if asked.get("transactioncode") == CHECK {
            self.book.checked(asked.get("referencecode"));
        }
        if let Err(code) = self.authenticate(&asked) {
            return self.decline(&asked, &trace_code, code);
        }
        match asked.get("transactioncode") {
            PREPAID => self.purchase(&asked, &trace_code),
            CHECK => self.check(&asked, &trace_code),
            _ => self.decline(&asked, &trace_code, UNKNOWN_TRANSACTION_CODE),
        }
    }

    fn authenticate(&self, asked: &Parameters) -> Result<(), u16> {
        let required = [
            "transactioncode",
            "userid",
            "userpin",
            "signature",
            "referencecode",
        ];
        if required.iter().any(|name| asked.get(name).is_empty()) {
            return Err(BAD_FORMAT);
        }
        let (user, pin) = (&self.settings.user_id, self.settings.pin.expose_secret());
        if asked.get("userid") != user {
            return Err(WRONG_USER);
        }
        if asked.get("userpin") != pin {
            return Err(NOT_AUTHENTICATED);
        }
        let signed = format!("{user}{pin}{}", asked.get("referencecode"));
        if asked.get("signature") != hex::encode(Md5::digest(signed)) {
            return Err(WRONG_SIGNATURE);
        }
        Ok(())
    }

    fn purchase(self: &Arc<Self>, asked: &Parameters, trace_code: &str) -> Reaction {
        let (product_code, account_number) = (asked.get("productcode"), asked.get("accnumber"));
        if product_code.is_empty() || account_number.is_empty() {
            return self.decline(asked, trace_code, BAD_FORMAT);
        }
        let Some((_, price)) = PRODUCTS.iter().find(|(code, _)| *code == product_code) else {
            return self.decline(asked, trace_code, WRONG_PRODUCT);
        };
        if !account_number.bytes().all(|digit| digit.is_ascii_digit()) {
            return self.decline(asked, trace_code, WRONG_ACCOUNT);
        }
        let order = Order {
            reference_code: asked.get("referencecode"),
            trace_code,
            product_code,
            price: *price,
            account_number,
            script: script_for(account_number),
        };
        match self.book.order(&order) {
            Booked::Duplicate => self.decline(asked, trace_code, DUPLICATE),
            Booked::DepositExhausted => self.decline(asked, trace_code, DEPOSIT_EXHAUSTED),
            Booked::New(purchase) => {
                self.settle_later(order.reference_code, &purchase);
                let answer = self.status(order.reference_code, trace_code, &purchase);
                match purchase.script.reply {
                    Reply::Answer => answer.finish(),
                    Reply::Slow => Reaction::Late(answer.body()),
                    Reply::Silence => Reaction::Silence,
                    Reply::Reset => Reaction::Reset,
                }
            }
        }
    }

    /// Every hit gets a trace code of its own, a check too.
    fn check(&self, asked: &Parameters, trace_code: &str) -> Reaction {
        let reference_code = asked.get("referencecode");
        let named = Some(asked.get("tracecode")).filter(|code| !code.is_empty());
        match self.book.find(reference_code, named) {
            Some(purchase) => {
                let shown = named.unwrap_or(trace_code);
                self.status(reference_code, shown, &purchase).finish()
            }
            None => self.decline(asked, trace_code, NOT_FOUND),
        }
    }

    fn begin(&self, trace_code: &str, status: u16) -> Answer {
        Answer::default()
            .text("tracecode", trace_code)
            .text("transactionstatus", &format!("{status:03}"))
            .text("transactiontime", &self.time())
    }

    fn status(&self, reference_code: &str, trace_code: &str, purchase: &Purchase) -> Answer {
        let mut answer = self
            .begin(trace_code, purchase.status)
            .text("serialnumber", &serial_number(purchase));
        if purchase.status < 200 {
            answer = answer
                .amount("harga", purchase.price)
                .amount("balance", purchase.balance);
        }
        answer
            .text("productcode", &purchase.product_code)
            .text("accnumber", &purchase.account_number)
            .text("userid", &self.settings.user_id)
            .text("referencecode", reference_code)
    }

    fn decline(&self, asked: &Parameters, trace_code: &str, status: u16) -> Reaction {
        self.begin(trace_code, status)
            .text("userid", asked.get("userid"))
            .text("referencecode", asked.get("referencecode"))
            .finish()
    }
}

/// The proof of delivery of a success with serial number: derived from the trace
/// code, so that every mention agrees.
pub(super) fn serial_number(purchase: &Purchase) -> String {
    if purchase.status == SUCCESS {
        let digits = purchase
            .trace_code
            .bytes()
            .map(|byte| char::from(b'0' + byte % 10));
        digits.take(20).collect()
    } else {
        String::new()
    }
}
