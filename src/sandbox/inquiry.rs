//! Inquiries: prepaid ones about electricity meters, and postpaid ones about bills.

use jiff::tz::TimeZone;

use super::{
    answer::SandboxAnswer,
    bill::{BILLERS, Biller},
    book::PRODUCTS,
    codes::{BAD_FORMAT, SUCCESS, WRONG_CUSTOMER, WRONG_PRODUCT},
    format::WireFormat,
    issued_inquiry::SandboxInquiry,
    parameters::Parameters,
    samples::ScriptedAnswer,
    scenario::{ScenarioReply, inquiry_code},
    state::{Sandbox, WIB_OFFSET_HOURS},
};

const MONTHS_MAX: u8 = 12;
pub(super) const REFS: [&str; 3] = ["ref1", "ref2", "ref3"];

impl Sandbox {
    /// Answers the inquiry before a prepaid purchase.
    pub(super) fn inquire_prepaid(
        &self,
        request: &Parameters,
        format: WireFormat,
        trace_code: &str,
    ) -> ScriptedAnswer {
        let (product_code, meter) = (request.get("productcode"), request.get("accnumber"));
        if product_code.is_empty() || meter.is_empty() {
            return self.decline(request, trace_code, BAD_FORMAT);
        }
        if !PRODUCTS.iter().any(|(code, _)| *code == product_code) {
            return self.decline(request, trace_code, WRONG_PRODUCT);
        }
        if !is_number(meter) {
            return self.decline(request, trace_code, WRONG_CUSTOMER);
        }
        let code = inquiry_code(meter);
        if code != SUCCESS {
            return self.decline(request, trace_code, code);
        }
        let inquiry = SandboxInquiry {
            reference_code: request.get("referencecode").to_owned(),
            product_code: product_code.to_owned(),
            account_numbers: [meter.to_owned(), String::new(), String::new()],
            contact_number: String::new(),
            expires_at: self.inquiry_expires(),
            refs: [
                request.get("referencecode").to_owned(),
                String::new(),
                format!("32 & <{}>", &trace_code[..4]),
            ],
            format,
            bill: None,
            misprints: self.misprints.of(&[meter]),
        };
        let answer = self
            .begin(trace_code, SUCCESS)
            .text("productcode", product_code);
        let code = self.billings.of(meter).inquirycode;
        let code = code.unwrap_or_else(|| trace_code.to_owned());
        let mut answer = identify(answer, &inquiry, &code);
        if product_code.starts_with("HPLN") {
            answer = pln_detail(answer, meter);
        }
        for (name, text) in REFS.into_iter().zip(&inquiry.refs) {
            answer = answer.text(name, text);
        }
        let answer = answer
            .text("serialnumber", "")
            .text("userid", &self.member(meter))
            .text("referencecode", request.get("referencecode"));
        self.book.add_inquiry(&code, inquiry);
        (ScenarioReply::Answer, answer)
    }

    /// Answers the inquiry about a bill.
    pub(super) fn inquire_postpaid(
        &self,
        request: &Parameters,
        format: WireFormat,
        trace_code: &str,
    ) -> ScriptedAnswer {
        let numbers = account_numbers(request);
        let (Some(numbers), false) = (numbers, request.get("contactnumber").is_empty()) else {
            return self.decline(request, trace_code, BAD_FORMAT);
        };
        let product_code = request.get("productcode");
        let Some((_, biller)) = BILLERS.iter().find(|(code, _)| *code == product_code) else {
            return self.decline(request, trace_code, WRONG_PRODUCT);
        };
        if !is_customer(*biller, &numbers) {
            return self.decline(request, trace_code, WRONG_CUSTOMER);
        }
        let code = inquiry_code(&numbers[0]);
        if code != SUCCESS {
            return self.decline(request, trace_code, code);
        }
        let billing = self.billings.of(&numbers[0]);
        let code = billing.inquirycode.unwrap_or_else(|| trace_code.to_owned());
        let fine = billing.fine;
        let bill = self.book.next_bill(product_code, *biller, &numbers, fine);
        let form = bill.parts.len() - 1;
        let inquiry = SandboxInquiry {
            reference_code: request.get("referencecode").to_owned(),
            product_code: product_code.to_owned(),
            contact_number: request.get("contactnumber").to_owned(),
            expires_at: self.inquiry_expires(),
            refs: [
                request.get("ref1").to_owned(),
                // The payment must preserve leading and trailing blanks.
                format!(" R\"{}\" ", &trace_code[..6]),
                // It must also preserve white space that the formats tend to normalize.
                format!("<{}>\t&\r\nA\rB\n", &trace_code[..4]),
            ],
            format,
            bill: Some(bill.clone()),
            misprints: self.misprints.of(&[&numbers[0]]),
            account_numbers: numbers,
        };
        let answer = self.begin_bill(trace_code, SUCCESS);
        let answer = identify(answer, &inquiry, &code)
            .text("referencecode", request.get("referencecode"))
            .text("contactnumber", &inquiry.contact_number)
            .amount("nominal", bill.nominal())
            .amount("adminfee", bill.admin_fee());
        let answer = REFS
            .into_iter()
            .zip(&inquiry.refs)
            .fold(answer, |answer, (name, text)| answer.text(name, text))
            .additional_data(bill.additional_data(&inquiry.account_numbers[0]), form);
        self.book.add_inquiry(&code, inquiry);
        (ScenarioReply::Answer, answer)
    }

    fn inquiry_expires(&self) -> jiff::Timestamp {
        let now = (self.ambient.now)();
        now.checked_add(self.settings.inquiry_valid).unwrap_or(now)
    }
}

/// Adds the fields that identify an inquiry to its answer.
fn identify(answer: SandboxAnswer, inquiry: &SandboxInquiry, inquiry_code: &str) -> SandboxAnswer {
    let [one, two, three] = &inquiry.account_numbers;
    let expires = inquiry
        .expires_at
        .to_zoned(TimeZone::fixed(jiff::tz::offset(WIB_OFFSET_HOURS)))
        .strftime("%Y-%m-%d %H:%M:%S.%3f")
        .to_string();
    answer
        .text("accnumber1", one)
        .text("accnumber2", two)
        .text("accnumber3", three)
        .text("inquirycode", inquiry_code)
        .text("inquiryexpired", &expires)
}

/// Returns `accnumber1` to `accnumber3`; all must be present, and the first must not be empty.
pub(super) fn account_numbers(request: &Parameters) -> Option<[String; 3]> {
    let one = |name| request.has(name).then(|| request.get(name).to_owned());
    let numbers = [one("accnumber1")?, one("accnumber2")?, one("accnumber3")?];
    (!numbers[0].is_empty()).then_some(numbers)
}

/// Returns true for a text of ASCII digits.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// Returns true when the account numbers have the form that the biller requires.
fn is_customer(biller: Biller, [one, two, three]: &[String; 3]) -> bool {
    is_number(one)
        && match biller {
            Biller::Pln | Biller::Water => two.is_empty() && three.is_empty(),
            Biller::Telephone => is_number(two) && three.is_empty(),
            Biller::Bpjs => {
                let months = three.parse::<u8>();
                two.is_empty() && months.is_ok_and(|months| (1..=MONTHS_MAX).contains(&months))
            }
        }
}

/// Adds the details of the published sample; two fields are empty, as in the sample.
fn pln_detail(answer: SandboxAnswer, meter: &str) -> SandboxAnswer {
    [
        ("PLN_IDPELANGGAN", "514444444444"),
        ("PLN_NOMETER", meter),
        ("PLN_NAMAPELANGGAN", "MELISA"),
        ("PLN_TARIFDAYA", "R1/1300"),
        ("PLN_TARIF", "R1"),
        ("PLN_KATEGORIDAYA", "1300"),
        ("PLN_NOREFPLN", "0MUP210Z83A4C2E165D4522042E5CF9E"),
        ("PLN_NOREFVENDOR", "8D722CD016BD085AFF58FA0FC4320431"),
        ("PLN_KODEDISTRIBUSI", "51"),
        ("PLN_UPJ", "51106"),
        ("PLN_UPJPHONE", "021222222"),
        ("PLN_KWHLIMIT", "6000"),
        ("PLN_TOKENUNSOLD1", ""),
        ("PLN_TOKENUNSOLD2", ""),
    ]
    .into_iter()
    .fold(answer, |answer, (name, text)| answer.text(name, text))
}
