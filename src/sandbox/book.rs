//! The sandbox's books: products, deposit, inquiries, purchases and payments.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    bill::{Biller, SandboxBill},
    codes::{INQUIRY_EXPIRED, INQUIRY_PAID, NO_INQUIRY, SUCCESS},
    issued_inquiry::SandboxInquiry,
    scenario::Script,
};

/// The products and their prices in rupiah.
pub const PRODUCTS: [(&str, u64); 5] = [
    ("PULSA5", 5_750),
    ("PULSA10", 10_500),
    ("PULSA100", 98_250),
    ("DATA1GB", 14_900),
    ("HPLNPRA20", 20_250),
];

/// A booked purchase or payment with any status.
#[derive(Clone)]
pub struct SandboxPurchase {
    /// The trace code of the request.
    pub trace_code: String,
    /// The product code.
    pub product_code: String,
    /// The account number of the recipient.
    pub account_number: String,
    /// The price in rupiah.
    pub price: u64,
    /// The current status code.
    pub status: u16,
    /// The script of its scenario.
    pub script: Script,
    /// The deposit after the charge, in rupiah.
    pub balance: u64,
    /// The code and the inquiry of a payment; `None` for a prepaid purchase.
    pub paid: Option<(String, SandboxInquiry)>,
    /// The bill stays payable until an answer has reported success.
    owed_until_told: bool,
}

/// The prefix of every serial number; tests search for it in places where none may appear.
const SERIAL_NUMBER_START: &str = "5599227700";
const SERIAL_NUMBER_DIGITS: usize = 20;

impl SandboxPurchase {
    /// Returns the serial number, the proof of delivery of a success; empty for other status codes.
    /// It is derived from the trace code, so that all answers and callbacks agree.
    pub fn serial_number(&self, status: u16) -> String {
        if status == SUCCESS {
            let own = self.trace_code.bytes();
            let own = own.map(|byte| char::from(b'0' + byte % 10));
            let digits = SERIAL_NUMBER_START.chars().chain(own);
            digits.take(SERIAL_NUMBER_DIGITS).collect()
        } else {
            String::new()
        }
    }
}

/// A bill and the reference codes under which it was paid.
#[derive(Clone, Serialize)]
pub struct PaidBill {
    /// The product code.
    pub product_code: String,
    /// The customer: `accnumber1/accnumber2`.
    pub customer: String,
    /// The sequence number among the customer's bills.
    pub number: u64,
    /// The reference codes of the payments that charged the deposit.
    pub reference_codes: Vec<String>,
}

#[derive(Default)]
struct Books {
    deposit: u64,
    purchases: HashMap<String, Vec<SandboxPurchase>>,
    /// The status code of checks by reference code, for reference codes that were never received.
    not_received: HashMap<String, u16>,
    /// The inquiries by inquiry code, the latest last.
    inquiries: HashMap<String, Vec<SandboxInquiry>>,
    /// The reference codes of payments by product, customer and number of the bill.
    payments: BTreeMap<(String, String, u64), Vec<String>>,
    /// The number of paid bills by product and customer.
    bills_paid: HashMap<(String, String), u64>,
}

/// The reason for which an inquiry cannot be used.
pub enum InquiryRefusal {
    /// No such inquiry exists.
    Unknown,
    /// The inquiry has expired.
    Expired,
    /// The bill has been paid.
    Paid,
}

impl From<InquiryRefusal> for u16 {
    fn from(unusable: InquiryRefusal) -> Self {
        match unusable {
            InquiryRefusal::Unknown => NO_INQUIRY,
            InquiryRefusal::Expired => INQUIRY_EXPIRED,
            InquiryRefusal::Paid => INQUIRY_PAID,
        }
    }
}

/// The books, shared by all requests.
pub struct Book {
    books: Mutex<Books>,
}

/// The outcome of booking a well-formed purchase or payment.
pub enum BookingOutcome {
    /// The purchase was booked.
    New(Box<SandboxPurchase>),
    /// The same purchase exists under the same reference code.
    Duplicate,
    /// The deposit is too low.
    DepositExhausted,
    /// Another payment of the bill came first.
    Paid,
}

/// A purchase or payment to book.
pub struct SandboxOrder<'a> {
    /// The reference code that the partner chose.
    pub reference_code: &'a str,
    /// The trace code of this request.
    pub trace_code: &'a str,
    /// The product code.
    pub product_code: &'a str,
    /// The price in rupiah.
    pub price: u64,
    /// The account number of the recipient.
    pub account_number: &'a str,
    /// The script of its scenario.
    pub script: Script,
    /// The code and the inquiry of a payment; `None` for a prepaid purchase.
    pub pays: Option<(String, SandboxInquiry)>,
    /// The bill stays payable until an answer has reported success.
    pub owed_until_told: bool,
}

/// Returns the key of a customer: product code and `accnumber1/accnumber2`.
fn customer(product_code: &str, [one, two, _]: &[String; 3]) -> (String, String) {
    (product_code.to_owned(), format!("{one}/{two}"))
}

impl Books {
    /// Returns the number of bills that the customer of an inquiry has paid.
    fn paid(&mut self, inquiry: &SandboxInquiry) -> &mut u64 {
        let customer = customer(&inquiry.product_code, &inquiry.account_numbers);
        self.bills_paid.entry(customer).or_default()
    }
}

impl Book {
    /// Creates empty books; `deposit` is in rupiah.
    #[must_use]
    pub fn new(deposit: u64) -> Self {
        Self {
            books: Mutex::new(Books {
                deposit,
                ..Books::default()
            }),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next bill of a customer; `fine` is in rupiah.
    pub fn next_bill(
        &self,
        product_code: &str,
        biller: Biller,
        numbers: &[String; 3],
        fine: u64,
    ) -> SandboxBill {
        let customer = customer(product_code, numbers);
        let number = self.books().bills_paid.get(&customer).copied();
        let number = number.unwrap_or(0);
        SandboxBill::new(biller, numbers, number, fine)
    }

    /// Stores an inquiry under its code.
    pub fn add_inquiry(&self, inquiry_code: &str, inquiry: SandboxInquiry) {
        let mut books = self.books();
        let code = inquiry_code.to_owned();
        books.inquiries.entry(code).or_default().push(inquiry);
    }

    /// Returns all inquiries of a code, also paid and expired ones, the latest first.
    pub fn inquiries(&self, inquiry_code: &str) -> Vec<SandboxInquiry> {
        let books = self.books();
        let all = books.inquiries.get(inquiry_code).into_iter().flatten();
        all.rev().cloned().collect()
    }

    /// Returns the latest inquiry of a code, even if it is paid or expired.
    pub fn inquiry(&self, inquiry_code: &str) -> Option<SandboxInquiry> {
        self.inquiries(inquiry_code).into_iter().next()
    }

    /// Returns an inquiry that was made under a reference code.
    pub fn inquiry_under(&self, reference_code: &str) -> Option<SandboxInquiry> {
        let books = self.books();
        let mut all = books.inquiries.values().flatten();
        all.find(|inquiry| inquiry.reference_code == reference_code)
            .cloned()
    }

    /// Verifies that an inquiry is payable now.
    pub fn verify_payable(
        &self,
        inquiry: &SandboxInquiry,
        now: Timestamp,
        owed_until_told: bool,
    ) -> Result<(), InquiryRefusal> {
        let bill = inquiry.bill.as_ref().ok_or(InquiryRefusal::Unknown)?;
        if !owed_until_told && *self.books().paid(inquiry) > bill.number {
            return Err(InquiryRefusal::Paid);
        }
        if now >= inquiry.expires_at {
            return Err(InquiryRefusal::Expired);
        }
        Ok(())
    }

    /// Marks a bill as paid, once an answer has reported the success of its payment.
    pub fn report_success(&self, reference_code: &str, trace_code: &str) {
        let mut books = self.books();
        let Some(purchases) = books.purchases.get(reference_code) else {
            return;
        };
        let reported = purchases.iter().find(|known| {
            known.trace_code == trace_code && known.owed_until_told && known.status < 2
        });
        let Some((_, inquiry)) = reported.and_then(|known| known.paid.clone()) else {
            return;
        };
        let number = inquiry.bill.as_ref().map_or(0, |bill| bill.number);
        let paid = books.paid(&inquiry);
        *paid = (*paid).max(number + 1);
    }

    /// Returns all paid bills.
    pub fn paid_bills(&self) -> Vec<PaidBill> {
        let books = self.books();
        let bill =
            |((product_code, customer, number), codes): (&(String, String, u64), &Vec<String>)| {
                PaidBill {
                    product_code: product_code.clone(),
                    customer: customer.clone(),
                    number: *number,
                    reference_codes: codes.clone(),
                }
            };
        books.payments.iter().map(bill).collect()
    }

    /// Returns the latest inquiry about a meter, if it is usable now.
    pub fn latest_meter_inquiry(
        &self,
        product_code: &str,
        account_number: &str,
        now: Timestamp,
    ) -> Result<SandboxInquiry, InquiryRefusal> {
        let books = self.books();
        let about = |inquiry: &&SandboxInquiry| {
            inquiry.bill.is_none()
                && inquiry.product_code == product_code
                && inquiry.account_numbers[0] == account_number
        };
        let latest = books.inquiries.values().flatten().filter(about);
        let latest = latest.max_by_key(|inquiry| inquiry.expires_at);
        match latest {
            None => Err(InquiryRefusal::Unknown),
            Some(inquiry) if now >= inquiry.expires_at => Err(InquiryRefusal::Expired),
            Some(inquiry) => Ok(inquiry.clone()),
        }
    }

    /// Sets the status code of checks of a reference code that was never received.
    pub fn never_received(&self, reference_code: &str, code: u16) {
        let mut books = self.books();
        books.not_received.insert(reference_code.to_owned(), code);
    }

    /// Returns the status code of checks of a reference code that was never received, if one was
    /// set.
    pub fn not_found_code(&self, reference_code: &str) -> Option<u16> {
        self.books().not_received.get(reference_code).copied()
    }

    /// Books a purchase or payment. Two with equal account number, amount and reference code are
    /// duplicates (208); any other one under the same reference code is a separate purchase.
    pub fn order(&self, order: &SandboxOrder<'_>) -> BookingOutcome {
        let purchase = {
            let mut books = self.books();
            let known = books.purchases.get(order.reference_code);
            let same = |known: &SandboxPurchase| {
                known.account_number == order.account_number && known.price == order.price
            };
            if known.is_some_and(|known| known.iter().any(same)) {
                return BookingOutcome::Duplicate;
            }
            let charged = if order.script.charges() {
                order.price
            } else {
                0
            };
            let Some(deposit) = books.deposit.checked_sub(charged) else {
                return BookingOutcome::DepositExhausted;
            };
            if let Some((_, inquiry)) = &order.pays
                && let Some(bill) = &inquiry.bill
                && order.script.charges()
            {
                let paid = books.paid(inquiry);
                if !order.owed_until_told {
                    if *paid > bill.number {
                        return BookingOutcome::Paid;
                    }
                    *paid += 1;
                }
                let (product_code, customer) =
                    customer(&inquiry.product_code, &inquiry.account_numbers);
                let of_bill = books
                    .payments
                    .entry((product_code, customer, bill.number))
                    .or_default();
                of_bill.push(order.reference_code.to_owned());
            }
            books.deposit = deposit;
            let purchase = SandboxPurchase {
                trace_code: order.trace_code.to_owned(),
                product_code: order.product_code.to_owned(),
                account_number: order.account_number.to_owned(),
                price: order.price,
                status: order.script.first,
                script: order.script,
                balance: deposit,
                paid: order.pays.clone(),
                owed_until_told: order.owed_until_told,
            };
            let reference_code = order.reference_code.to_owned();
            books
                .purchases
                .entry(reference_code)
                .or_default()
                .push(purchase.clone());
            purchase
        };
        BookingOutcome::New(Box::new(purchase))
    }

    /// Changes the status of a purchase to its later one.
    pub fn settle(&self, reference_code: &str, trace_code: &str) {
        let mut books = self.books();
        let purchases = books
            .purchases
            .entry(reference_code.to_owned())
            .or_default();
        for purchase in purchases
            .iter_mut()
            .filter(|known| known.trace_code == trace_code)
        {
            purchase.status = purchase.script.last();
        }
    }

    /// Returns the purchase with the given trace code under a reference code, or else the latest
    /// one.
    pub fn find(&self, reference_code: &str, trace_code: Option<&str>) -> Option<SandboxPurchase> {
        let books = self.books();
        let purchases = books.purchases.get(reference_code)?;
        let named = purchases
            .iter()
            .find(|known| Some(known.trace_code.as_str()) == trace_code);
        named.or(purchases.last()).cloned()
    }

    /// Returns the remaining deposit, in rupiah.
    pub fn deposit(&self) -> u64 {
        self.books().deposit
    }
}
