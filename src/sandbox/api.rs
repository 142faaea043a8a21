//! The partner API as the API page documents it: one POST, every operation.

use std::sync::Arc;

use md5::{Digest, Md5};
use secrecy::ExposeSecret;

use super::{
    answer::SandboxAnswer,
    codes::{BAD_FORMAT, NOT_AUTHENTICATED, UNKNOWN_TRANSACTION_CODE, WRONG_SIGNATURE, WRONG_USER},
    format::WireFormat,
    parameters::Parameters,
    samples::ScriptedAnswer,
    scenario::{SELLS_INQUIRIES, ScenarioReply},
    state::Sandbox,
};

/// What the server does with the connection.
pub struct Reaction {
    /// How.
    pub reply: ScenarioReply,
    /// What is answered, where the reply holds an answer.
    pub body: String,
    /// The format of the answer.
    pub format: WireFormat,
    /// The reference code of the purchase or payment that it answers.
    pub order: Option<String>,
    /// The reference code that a status check is about; `None` for anything else.
    pub checks: Option<String>,
}

const PREPAID: &str = "OkeBayar-prabayar";
/// Printed for the postpaid inquiry and for the payment: an `inquirycode` tells them
/// apart.
const POSTPAID: &str = "OkeBayar-inquiry";
const CHECK: &str = "OkeBayar-cek-status";
const BALANCE: &str = "OkeBayar-cek-balance";
const ECHO: &str = "OkeBayar-echo";

impl Sandbox {
    /// Reacts to the body of one POST.
    pub(super) fn react(self: &Arc<Self>, body: &[u8]) -> Reaction {
        let trace_code = self.trace_code();
        let format = WireFormat::of(body);
        let asked = Parameters::read(body, format);
        let is_check = |asked: &&Parameters| asked.get("transactioncode") == CHECK;
        let checked = asked.as_ref().filter(is_check);
        let checks = checked.map(|asked| asked.get("referencecode").to_owned());
        let (reply, answer) = match &asked {
            Some(asked) => self.dispatch(asked, format, &trace_code),
            None => (ScenarioReply::Answer, self.begin(&trace_code, BAD_FORMAT)),
        };
        let named = |name| asked.as_ref().map_or("", |asked| asked.get(name));
        let misprints = self.misprints.of(&[
            named("accnumber"),
            named("accnumber1"),
            answer.get("accnumber"),
            answer.get("accnumber1"),
        ]);
        let answer = answer.misprinted(misprints, body, asked.as_ref());
        let order = asked.filter(is_order);
        Reaction {
            reply,
            body: answer.write(format),
            format,
            order: order.map(|asked| asked.get("referencecode").to_owned()),
            checks,
        }
    }

    fn dispatch(
        self: &Arc<Self>,
        asked: &Parameters,
        format: WireFormat,
        trace_code: &str,
    ) -> ScriptedAnswer {
        let operation = asked.get("transactioncode");
        let is_inquiry = is_prepaid_inquiry(asked);
        let is_payment = asked.has("inquirycode");
        if is_order(asked) {
            let parameters = asked.without_secrets();
            self.ledger.received(asked.get("referencecode"), parameters);
        } else if operation == CHECK {
            self.ledger.checked(asked.get("referencecode"));
        }
        if let Err(code) = self.authenticate(asked) {
            return self.decline(asked, trace_code, code);
        }
        match operation {
            PREPAID if is_inquiry => self.inquire_prepaid(asked, format, trace_code),
            PREPAID => self.purchase(asked, format, trace_code),
            POSTPAID if is_payment => self.pay(asked, format, trace_code),
            POSTPAID => self.inquire_postpaid(asked, format, trace_code),
            CHECK => self.check(asked, trace_code),
            BALANCE => (ScenarioReply::Answer, self.balance(asked, trace_code)),
            ECHO => self.echo(asked, trace_code),
            _ => self.decline(asked, trace_code, UNKNOWN_TRANSACTION_CODE),
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

    fn balance(&self, asked: &Parameters, trace_code: &str) -> SandboxAnswer {
        SandboxAnswer::default()
            .text("tracecode", trace_code)
            .text("responsecode", "000")
            .text("responsestatus", "Success")
            .text("responsetime", &self.time())
            .text("referencecode", asked.get("referencecode"))
            .amount("balance", self.book.deposit())
    }

    fn echo(&self, asked: &Parameters, trace_code: &str) -> ScriptedAnswer {
        if asked.get("message").is_empty() {
            return self.decline(asked, trace_code, BAD_FORMAT);
        }
        let answer = SandboxAnswer::default()
            .text("userid", asked.get("userid"))
            .text("referencecode", asked.get("referencecode"))
            .text("message", asked.get("message"));
        (ScenarioReply::Answer, answer)
    }
}

/// Returns true for an inquiry before a purchase that is treated as one.
fn is_prepaid_inquiry(asked: &Parameters) -> bool {
    asked.get("querycode") == "inquiry" && asked.get("accnumber") != SELLS_INQUIRIES
}

/// Returns true for a purchase or payment, not for the inquiry before it.
fn is_order(asked: &Parameters) -> bool {
    match asked.get("transactioncode") {
        PREPAID => !is_prepaid_inquiry(asked),
        POSTPAID => asked.has("inquirycode"),
        _ => false,
    }
}
