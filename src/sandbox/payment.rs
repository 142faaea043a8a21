//! Payments of bills, which must repeat the data of the inquiry exactly.

use std::sync::Arc;

use super::{
    bill::Biller,
    book::{InquiryRefusal, SandboxOrder},
    codes::{BAD_FORMAT, DATA_DIFFER, NO_INQUIRY, WRONG_ACCOUNT},
    format::{WireFormat, rupiah},
    inquiry::{REFS, account_numbers, is_number},
    issued_inquiry::SandboxInquiry,
    parameters::Parameters,
    samples::ScriptedAnswer,
    scenario::{ScenarioReply, script_for},
    state::Sandbox,
};

impl Sandbox {
    /// Processes the payment of a bill, which must repeat the data of the inquiry exactly.
    pub(super) fn pay(
        self: &Arc<Self>,
        request: &Parameters,
        format: WireFormat,
        trace_code: &str,
    ) -> ScriptedAnswer {
        let inquiry_code = request.get("inquirycode");
        let now = (self.ambient.now)();
        let billing = self.billings.of(request.get("accnumber1"));
        let payable = self.inquiry_to_pay(request).and_then(|inquiry| {
            let owed = billing.owed_until_told;
            self.book.verify_payable(&inquiry, now, owed)?;
            Ok(inquiry)
        });
        let (reply, status) = match payable {
            Err(unusable) => (ScenarioReply::Answer, unusable.into()),
            Ok(inquiry) => match verify_payment(request, &inquiry) {
                Err(code) => (ScenarioReply::Answer, code),
                Ok(price) => {
                    let script = script_for(&inquiry.account_numbers[0]);
                    if script.reply == ScenarioReply::ResetBefore {
                        return self.reset_unprocessed(request, script);
                    }
                    let account_number = inquiry.account_numbers[0].clone();
                    let order = SandboxOrder {
                        reference_code: request.get("referencecode"),
                        trace_code,
                        product_code: request.get("productcode"),
                        price,
                        account_number: &account_number,
                        script,
                        pays: Some((inquiry_code.to_owned(), inquiry)),
                        owed_until_told: billing.owed_until_told,
                    };
                    return self.book_order(request, &order, format);
                }
            },
        };
        let answer = self.begin_bill(trace_code, status);
        let answer = answer.text("referencecode", request.get("referencecode"));
        (reply, answer)
    }

    /// Returns the inquiry with the given code whose data the payment repeats, or else the latest
    /// inquiry with that code.
    fn inquiry_to_pay(&self, request: &Parameters) -> Result<SandboxInquiry, InquiryRefusal> {
        let mut all = self.book.inquiries(request.get("inquirycode"));
        let same = |inquiry: &SandboxInquiry| verify_payment(request, inquiry).is_ok();
        match all.iter().position(same) {
            Some(same) => Ok(all.swap_remove(same)),
            None => all.into_iter().next().ok_or(InquiryRefusal::Unknown),
        }
    }
}

/// Returns the price of a payment.
///
/// # Errors
/// The status code that rejects the payment, when its data differ from the inquiry's.
fn verify_payment(request: &Parameters, inquiry: &SandboxInquiry) -> Result<u64, u16> {
    let Some(bill) = &inquiry.bill else {
        return Err(NO_INQUIRY);
    };
    let numbers = account_numbers(request).ok_or(BAD_FORMAT)?;
    let mut expected = inquiry.account_numbers.clone();
    if bill.biller == Biller::Bpjs {
        if !is_number(&numbers[1]) {
            return Err(WRONG_ACCOUNT);
        }
        expected[1].clone_from(&numbers[1]);
    }
    let same = |(name, text): (&str, &str)| inquiry.matches(name, text, request.get(name));
    let refs = inquiry.refs.iter().map(String::as_str);
    let amounts = [
        rupiah(bill.nominal(), inquiry.format),
        rupiah(bill.admin_fee(), inquiry.format),
    ];
    let is_same = numbers == expected
        && request.get("productcode") == inquiry.product_code
        && same(("contactnumber", &inquiry.contact_number))
        && same(("nominal", &amounts[0]))
        && same(("adminfee", &amounts[1]))
        && REFS.into_iter().zip(refs).all(same);
    if is_same {
        Ok(bill.nominal() + bill.admin_fee())
    } else {
        Err(DATA_DIFFER)
    }
}
