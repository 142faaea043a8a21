//! Answers in the form of the published samples.

use super::{
    answer::SandboxAnswer,
    book::{SandboxOrder, SandboxPurchase},
    codes::SUCCESS,
    issued_inquiry::SandboxInquiry,
    parameters::Parameters,
    scenario::{Member, ScenarioReply, script_for},
    state::Sandbox,
};

/// An answer, and the way in which it is delivered.
pub(super) type ScriptedAnswer = (ScenarioReply, SandboxAnswer);

/// The product whose successful purchase is answered with an advertisement in `info`.
const ADVERTISED: &str = "DATA1GB";

impl Sandbox {
    /// Builds the first fields of an answer about a prepaid transaction or a status check.
    pub(super) fn begin(&self, trace_code: &str, status: u16) -> SandboxAnswer {
        SandboxAnswer::default()
            .text("tracecode", trace_code)
            .text("transactionstatus", &format!("{status:03}"))
            .text("transactiontime", &self.time())
    }

    /// Builds the first fields of an answer about a bill.
    pub(super) fn begin_bill(&self, trace_code: &str, status: u16) -> SandboxAnswer {
        let text = if status == SUCCESS { "SUKSES" } else { "GAGAL" };
        SandboxAnswer::default()
            .text("tracecode", trace_code)
            .text("responsecode", &format!("{status:03}"))
            .text("responsestatus", text)
            .text("responsetime", &self.time())
    }

    /// Builds an answer that rejects the request with a status code.
    pub(super) fn decline(
        &self,
        request: &Parameters,
        trace_code: &str,
        status: u16,
    ) -> ScriptedAnswer {
        let answer = self
            .begin(trace_code, status)
            .text("userid", request.get("userid"))
            .text("referencecode", request.get("referencecode"));
        (ScenarioReply::Answer, answer)
    }

    /// Builds the answer with the status of a purchase.
    pub(super) fn purchase_status(
        &self,
        reference_code: &str,
        trace_code: &str,
        purchase: &SandboxPurchase,
    ) -> SandboxAnswer {
        let mut answer = self
            .begin(trace_code, purchase.status)
            .text("serialnumber", &purchase.serial_number(purchase.status));
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

    /// Builds the answer to a payment.
    pub(super) fn payment(
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
        // The sample of a payment's answer has no `userid`.
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

    /// Builds the answer to a status check where only an inquiry used the reference code: the 000
    /// of the inquiry in the form of a check's answer.
    pub(super) fn found_inquiry(
        &self,
        inquiry: &SandboxInquiry,
        trace_code: &str,
    ) -> SandboxAnswer {
        self.begin(trace_code, SUCCESS)
            .text("serialnumber", "")
            .amount("harga", 0)
            .text("productcode", &inquiry.product_code)
            .text("accnumber", &inquiry.account_numbers[0])
            .text("userid", &self.settings.user_id)
            .text("referencecode", &inquiry.reference_code)
    }

    /// Builds an answer that looks like one to an inquiry under the same reference code.
    pub(super) fn like_inquiry(
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

    /// Returns the `userid` in answers about an account number.
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
}
