//! The partner API as docs/OKEBAYAR.md documents it: one POST for all operations.

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

/// The reaction to one POST, which the server carries out.
pub struct Reaction {
    /// The way in which the answer is delivered.
    pub reply: ScenarioReply,
    /// The body of the answer; unused where the delivery sends none.
    pub body: String,
    /// The format of the answer.
    pub format: WireFormat,
    /// The reference code of a purchase or payment; `None` for anything else.
    pub order: Option<String>,
    /// The reference code of a status check; `None` for anything else.
    pub checks: Option<String>,
}

const PREPAID: &str = "OkeBayar-prabayar";
/// OKEBAYAR documents the same code for the postpaid inquiry and the payment; only a payment
/// has an `inquirycode`.
const POSTPAID: &str = "OkeBayar-inquiry";
const CHECK: &str = "OkeBayar-cek-status";
const BALANCE: &str = "OkeBayar-cek-balance";
const ECHO: &str = "OkeBayar-echo";

impl Sandbox {
    /// Processes the body of one POST.
    pub(super) fn react(self: &Arc<Self>, body: &[u8]) -> Reaction {
        let trace_code = self.trace_code();
        let format = WireFormat::of(body);
        let request = Parameters::read(body, format);
        let is_check = |request: &&Parameters| request.get("transactioncode") == CHECK;
        let checked = request.as_ref().filter(is_check);
        let checks = checked.map(|request| request.get("referencecode").to_owned());
        let (reply, answer) = match &request {
            Some(request) => self.dispatch(request, format, &trace_code),
            None => (ScenarioReply::Answer, self.begin(&trace_code, BAD_FORMAT)),
        };
        let named = |name| request.as_ref().map_or("", |request| request.get(name));
        let misprints = self.misprints.of(&[
            named("accnumber"),
            named("accnumber1"),
            answer.get("accnumber"),
            answer.get("accnumber1"),
        ]);
        let answer = answer.misprinted(misprints, body, request.as_ref());
        let order = request.filter(is_order);
        Reaction {
            reply,
            body: answer.write(format),
            format,
            order: order.map(|request| request.get("referencecode").to_owned()),
            checks,
        }
    }

    fn dispatch(
        self: &Arc<Self>,
        request: &Parameters,
        format: WireFormat,
        trace_code: &str,
    ) -> ScriptedAnswer {
        let operation = request.get("transactioncode");
        let is_inquiry = is_prepaid_inquiry(request);
        let is_payment = request.has("inquirycode");
        if is_order(request) {
            let parameters = request.without_secrets();
            self.ledger
                .record_order(request.get("referencecode"), parameters);
        } else if operation == CHECK {
            self.ledger.record_check(request.get("referencecode"));
        }
        if let Err(code) = self.authenticate(request) {
            return self.decline(request, trace_code, code);
        }
        match operation {
            PREPAID if is_inquiry => self.inquire_prepaid(request, format, trace_code),
            PREPAID => self.purchase(request, format, trace_code),
            POSTPAID if is_payment => self.pay(request, format, trace_code),
            POSTPAID => self.inquire_postpaid(request, format, trace_code),
            CHECK => self.check(request, trace_code),
            BALANCE => (ScenarioReply::Answer, self.balance(request, trace_code)),
            ECHO => self.echo(request, trace_code),
            _ => self.decline(request, trace_code, UNKNOWN_TRANSACTION_CODE),
        }
    }

    fn authenticate(&self, request: &Parameters) -> Result<(), u16> {
        let required = [
            "transactioncode",
            "userid",
            "userpin",
            "signature",
            "referencecode",
        ];
        if required.iter().any(|name| request.get(name).is_empty()) {
            return Err(BAD_FORMAT);
        }
        let (user, pin) = (&self.settings.user_id, self.settings.pin.expose_secret());
        if request.get("userid") != user {
            return Err(WRONG_USER);
        }
        if request.get("userpin") != pin {
            return Err(NOT_AUTHENTICATED);
        }
        let signed = format!("{user}{pin}{}", request.get("referencecode"));
        if request.get("signature") != hex::encode(Md5::digest(signed)) {
            return Err(WRONG_SIGNATURE);
        }
        Ok(())
    }

    fn balance(&self, request: &Parameters, trace_code: &str) -> SandboxAnswer {
        SandboxAnswer::default()
            .text("tracecode", trace_code)
            .text("responsecode", "000")
            .text("responsestatus", "Success")
            .text("responsetime", &self.time())
            .text("referencecode", request.get("referencecode"))
            .amount("balance", self.book.deposit())
    }

    fn echo(&self, request: &Parameters, trace_code: &str) -> ScriptedAnswer {
        if request.get("message").is_empty() {
            return self.decline(request, trace_code, BAD_FORMAT);
        }
        let answer = SandboxAnswer::default()
            .text("userid", request.get("userid"))
            .text("referencecode", request.get("referencecode"))
            .text("message", request.get("message"));
        (ScenarioReply::Answer, answer)
    }
}

/// Returns true for a prepaid inquiry, unless the scenario processes it as a purchase.
fn is_prepaid_inquiry(request: &Parameters) -> bool {
    request.get("querycode") == "inquiry" && request.get("accnumber") != SELLS_INQUIRIES
}

/// Returns true for a purchase or payment, and false for the inquiry before it.
fn is_order(request: &Parameters) -> bool {
    match request.get("transactioncode") {
        PREPAID => !is_prepaid_inquiry(request),
        POSTPAID => request.has("inquirycode"),
        _ => false,
    }
}
