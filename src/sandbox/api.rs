//! The partner API as the API page documents it: one POST, every operation.

use std::sync::Arc;

use md5::{Digest, Md5};
use secrecy::ExposeSecret;

use super::{
    answer::{Parameters, SandboxAnswer, WireFormat},
    bill::SandboxInquiry,
    book::{BookingOutcome, PRODUCTS, SandboxOrder, SandboxPurchase},
    inquiry::is_number,
    scenario::{
        MISLEADING_CHECKS, Member, SELLS_INQUIRIES, ScenarioChecks, ScenarioReply, Script,
        script_for,
    },
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

pub(super) const SUCCESS: u16 = 0;
const DEPOSIT_EXHAUSTED: u16 = 203;
pub(super) const WRONG_ACCOUNT: u16 = 204;
pub(super) const WRONG_PRODUCT: u16 = 205;
pub(super) const BAD_FORMAT: u16 = 206;
const NOT_AUTHENTICATED: u16 = 207;
const DUPLICATE: u16 = 208;
const WRONG_SIGNATURE: u16 = 211;
const WRONG_USER: u16 = 213;
const UNKNOWN_TRANSACTION_CODE: u16 = 241;
pub(super) const INQUIRY_PAID: u16 = 401;
pub(super) const DATA_DIFFER: u16 = 402;
pub(super) const INQUIRY_EXPIRED: u16 = 403;
pub(super) const WRONG_CUSTOMER: u16 = 404;
pub(super) const NO_INQUIRY: u16 = 405;

/// The product whose purchase brings an advertisement along.
const ADVERTISED: &str = "DATA1GB";

/// How an answer leaves, and the answer.
pub(super) type ScriptedAnswer = (ScenarioReply, SandboxAnswer);

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
            self.book.received(asked.get("referencecode"), parameters);
        } else if operation == CHECK {
            self.book.checked(asked.get("referencecode"));
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

    fn purchase(
        self: &Arc<Self>,
        asked: &Parameters,
        format: WireFormat,
        trace_code: &str,
    ) -> ScriptedAnswer {
        let (product_code, account_number) = (asked.get("productcode"), asked.get("accnumber"));
        if product_code.is_empty() || account_number.is_empty() {
            return self.decline(asked, trace_code, BAD_FORMAT);
        }
        let Some((_, price)) = PRODUCTS.iter().find(|(code, _)| *code == product_code) else {
            return self.decline(asked, trace_code, WRONG_PRODUCT);
        };
        if !is_number(account_number) {
            return self.decline(asked, trace_code, WRONG_ACCOUNT);
        }
        if let Err(code) = self.verify_inquired(asked) {
            return self.decline(asked, trace_code, code);
        }
        let script = script_for(account_number);
        if script.reply == ScenarioReply::ResetBefore {
            return self.lose(asked, script);
        }
        let order = SandboxOrder {
            reference_code: asked.get("referencecode"),
            trace_code,
            product_code,
            price: *price,
            account_number,
            script,
            pays: None,
            owed_until_told: false,
        };
        self.book_order(asked, &order, format)
    }

    /// Resets the connection before anything is processed.
    pub(super) fn lose(&self, asked: &Parameters, script: Script) -> ScriptedAnswer {
        if let ScenarioChecks::OtherStatus(code) = script.checks {
            self.book.never_received(asked.get("referencecode"), code);
        }
        (script.reply, SandboxAnswer::default())
    }

    /// Books a purchase or payment and answers it as its script says.
    pub(super) fn book_order(
        self: &Arc<Self>,
        asked: &Parameters,
        order: &SandboxOrder<'_>,
        format: WireFormat,
    ) -> ScriptedAnswer {
        let trace_code = order.trace_code;
        let purchase = match self.book.order(order) {
            BookingOutcome::New(purchase) => purchase,
            BookingOutcome::Duplicate => return self.decline(asked, trace_code, DUPLICATE),
            BookingOutcome::DepositExhausted => {
                return self.decline(asked, trace_code, DEPOSIT_EXHAUSTED);
            }
            BookingOutcome::Paid => return self.decline(asked, trace_code, INQUIRY_PAID),
        };
        self.settle_later(order.reference_code, &purchase, format);
        let reply = order.script.reply;
        if matches!(reply, ScenarioReply::Answer | ScenarioReply::Slow) {
            self.book.told(order.reference_code, trace_code);
        }
        let answer = match (reply, &purchase.paid) {
            (ScenarioReply::LikeInquiry, _) => {
                self.inquiry(order.reference_code, trace_code, &purchase)
            }
            (_, Some((inquiry_code, inquiry))) => {
                self.paid(order, inquiry_code, inquiry, &purchase)
            }
            (_, None) => self.status(order.reference_code, trace_code, &purchase),
        };
        (reply, answer)
    }

    /// The answer to a payment.
    fn paid(
        &self,
        order: &SandboxOrder<'_>,
        inquiry_code: &str,
        inquiry: &SandboxInquiry,
        purchase: &SandboxPurchase,
    ) -> SandboxAnswer {
        let [one, two, three] = &inquiry.account_numbers;
        let [ref1, ref2, ref3] = &inquiry.refs;
        let answer = self
            .begin_bill(order.trace_code, purchase.status)
            .text("inquirycode", inquiry_code)
            .text("referencecode", order.reference_code)
            .text("accnumber1", one)
            .text("accnumber2", two)
            .text("accnumber3", three)
            .text("contactnumber", &inquiry.contact_number);
        // A payment's answer is printed without a member.
        let answer = match order.script.member {
            Member::Own => answer,
            _ => answer.text("userid", &self.member(order.account_number)),
        };
        let Some(bill) = inquiry.bill.as_ref().filter(|_| purchase.status < 200) else {
            return answer;
        };
        answer
            .amount("nominal", bill.nominal())
            .amount("adminfee", bill.admin_fee())
            .text("billingperiod", "202610")
            .text("ref1", ref1)
            .text("ref2", ref2)
            .text("ref3", ref3)
            .text("info", "TERIMA KASIH")
            .additional_data(bill.additional_data(one), bill.parts.len() - 1)
    }

    /// Every hit gets a trace code of its own, a check too; one that names the
    /// purchase's trace code is answered with it.
    fn check(&self, asked: &Parameters, trace_code: &str) -> ScriptedAnswer {
        let reference_code = asked.get("referencecode");
        let named = Some(asked.get("tracecode")).filter(|code| !code.is_empty());
        let Some(purchase) = self.book.find(reference_code, named) else {
            if let Some(inquiry) = self.book.inquiry_under(reference_code) {
                let shown = named.unwrap_or(trace_code);
                return (ScenarioReply::Answer, self.found_inquiry(&inquiry, shown));
            }
            let own = self.book.not_found_code(reference_code);
            let code = own.unwrap_or_else(|| self.not_found_code());
            return self.decline(asked, trace_code, code);
        };
        let is_well = self.book.read(reference_code).checks > MISLEADING_CHECKS;
        match purchase.script.checks {
            ScenarioChecks::OtherStatus(code) if !is_well => self.decline(asked, trace_code, code),
            ScenarioChecks::Reset if !is_well => (ScenarioReply::Reset, SandboxAnswer::default()),
            ScenarioChecks::Inquiry if !is_well => (
                ScenarioReply::Answer,
                self.inquiry(reference_code, trace_code, &purchase),
            ),
            _ => {
                let shown = named.unwrap_or(trace_code);
                self.book.told(reference_code, &purchase.trace_code);
                (
                    ScenarioReply::Answer,
                    self.status(reference_code, shown, &purchase),
                )
            }
        }
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

    /// What a check finds where only an inquiry used the reference code: its 000, in
    /// the form of a check's answer.
    fn found_inquiry(&self, inquiry: &SandboxInquiry, trace_code: &str) -> SandboxAnswer {
        self.begin(trace_code, SUCCESS)
            .text("serialnumber", "")
            .amount("harga", 0)
            .text("productcode", &inquiry.product_code)
            .text("accnumber", &inquiry.account_numbers[0])
            .text("userid", &self.settings.user_id)
            .text("referencecode", &inquiry.reference_code)
    }

    /// How an answer about a bill begins.
    pub(super) fn begin_bill(&self, trace_code: &str, status: u16) -> SandboxAnswer {
        let text = if status == SUCCESS { "SUKSES" } else { "GAGAL" };
        SandboxAnswer::default()
            .text("tracecode", trace_code)
            .text("responsecode", &format!("{status:03}"))
            .text("responsestatus", text)
            .text("responsetime", &self.time())
    }

    pub(super) fn begin(&self, trace_code: &str, status: u16) -> SandboxAnswer {
        SandboxAnswer::default()
            .text("tracecode", trace_code)
            .text("transactionstatus", &format!("{status:03}"))
            .text("transactiontime", &self.time())
    }

    fn status(
        &self,
        reference_code: &str,
        trace_code: &str,
        purchase: &SandboxPurchase,
    ) -> SandboxAnswer {
        let mut answer = self
            .begin(trace_code, purchase.status)
            .text("serialnumber", &serial_number(purchase, purchase.status));
        if purchase.status < 200 {
            answer = answer
                .amount("harga", purchase.price)
                .amount("balance", purchase.balance);
        }
        if purchase.status == SUCCESS && purchase.product_code == ADVERTISED {
            answer = answer.text("info", "PROMO DATA1GB SAMPAI AKHIR BULAN");
        }
        answer
            .text("productcode", &purchase.product_code)
            .text("accnumber", &purchase.account_number)
            .text("userid", &self.member(&purchase.account_number))
            .text("referencecode", reference_code)
    }

    /// Returns the member whom answers about an account number name.
    pub(super) fn member(&self, account_number: &str) -> String {
        let own = &self.settings.user_id;
        match script_for(account_number).member {
            Member::Own => own.clone(),
            Member::Another => format!("not-{own}"),
            Member::Masked => {
                let shown = own.chars().take(2);
                shown.chain("*****".chars()).collect()
            }
        }
    }

    /// What an inquiry under the same reference code was answered.
    fn inquiry(
        &self,
        reference_code: &str,
        trace_code: &str,
        purchase: &SandboxPurchase,
    ) -> SandboxAnswer {
        self.begin(trace_code, SUCCESS)
            .text("productcode", &purchase.product_code)
            .text("accnumber1", &purchase.account_number)
            .text("inquirycode", trace_code)
            .text("inquiryexpired", "2030-03-25 20:09:12.374")
            .text("userid", &self.settings.user_id)
            .text("referencecode", reference_code)
    }

    pub(super) fn decline(
        &self,
        asked: &Parameters,
        trace_code: &str,
        status: u16,
    ) -> ScriptedAnswer {
        let answer = self
            .begin(trace_code, status)
            .text("userid", asked.get("userid"))
            .text("referencecode", asked.get("referencecode"));
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

/// What a callback tells of a purchase.
pub(super) fn report(
    reference_code: &str,
    purchase: &SandboxPurchase,
    status: u16,
) -> SandboxAnswer {
    SandboxAnswer::default()
        .text("tracecode", &purchase.trace_code)
        .text("referencecode", reference_code)
        .text("status", &format!("{status:03}"))
        .text("serialnumber", &serial_number(purchase, status))
}

/// How every serial number begins, so that one is known where it does not belong.
const SERIAL_NUMBER_START: &str = "5599227700";
const SERIAL_NUMBER_DIGITS: usize = 20;

/// The proof of delivery of a success with serial number: derived from the trace
/// code, so that every mention agrees.
fn serial_number(purchase: &SandboxPurchase, status: u16) -> String {
    if status == SUCCESS {
        let own = purchase.trace_code.bytes();
        let own = own.map(|byte| char::from(b'0' + byte % 10));
        let digits = SERIAL_NUMBER_START.chars().chain(own);
        digits.take(SERIAL_NUMBER_DIGITS).collect()
    } else {
        String::new()
    }
}
