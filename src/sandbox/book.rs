//! The sandbox's books: products, the deposit, inquiries, every purchase and payment.

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

/// One purchase that was accepted or declined under its own reference code.
#[derive(Clone)]
pub struct SandboxPurchase {
    /// The trace code of its POST.
    pub trace_code: String,
    /// The product.
    pub product_code: String,
    /// Who receives it.
    pub account_number: String,
    /// The price in rupiah.
    pub price: u64,
    /// The status now.
    pub status: u16,
    /// What happens to it.
    pub script: Script,
    /// The deposit after it, in rupiah.
    pub balance: u64,
    /// The inquiry that is paid; none for a prepaid purchase.
    pub paid: Option<(String, SandboxInquiry)>,
    /// Its bill is owed until the success is told.
    owed_until_told: bool,
}

/// How every serial number begins, so that one is known where it does not belong.
const SERIAL_NUMBER_START: &str = "5599227700";
const SERIAL_NUMBER_DIGITS: usize = 20;

impl SandboxPurchase {
    /// The proof of delivery of a success with serial number: derived from the trace
    /// code, so that every mention agrees.
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

/// One bill, and the reference codes under which it was paid.
#[derive(Clone, Serialize)]
pub struct PaidBill {
    /// The product.
    pub product_code: String,
    /// The customer.
    pub customer: String,
    /// Which of the customer's bills it is.
    pub number: u64,
    /// The reference codes of the payments for which the deposit was charged.
    pub reference_codes: Vec<String>,
}

#[derive(Default)]
struct Books {
    deposit: u64,
    purchases: HashMap<String, Vec<SandboxPurchase>>,
    /// Reference code that was never received to what checks of it are answered with.
    not_received: HashMap<String, u16>,
    /// Inquiry code to the inquiries that were given it, the latest last.
    inquiries: HashMap<String, Vec<SandboxInquiry>>,
    /// Product, customer and number of a bill to the reference codes that paid it.
    payments: BTreeMap<(String, String, u64), Vec<String>>,
    /// Product and customer to the number of bills paid.
    bills_paid: HashMap<(String, String), u64>,
}

/// Why an inquiry cannot be used.
pub enum InquiryRefusal {
    /// There was none.
    Unknown,
    /// It is too late.
    Expired,
    /// The bill is paid.
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

/// Everything that the sandbox remembers.
pub struct Book {
    books: Mutex<Books>,
}

/// What became of a purchase that is well formed.
pub enum BookingOutcome {
    /// It is new.
    New(Box<SandboxPurchase>),
    /// The same was bought under the same reference code.
    Duplicate,
    /// The deposit does not suffice.
    DepositExhausted,
    /// The bill was paid meanwhile.
    Paid,
}

/// A purchase to book.
pub struct SandboxOrder<'a> {
    /// The partner's id.
    pub reference_code: &'a str,
    /// The trace code of this hit.
    pub trace_code: &'a str,
    /// The product.
    pub product_code: &'a str,
    /// Its price in rupiah.
    pub price: u64,
    /// Who receives it.
    pub account_number: &'a str,
    /// What happens to it.
    pub script: Script,
    /// The inquiry that is paid, by its code; none for a prepaid purchase.
    pub pays: Option<(String, SandboxInquiry)>,
    /// Its bill is owed until the success is told.
    pub owed_until_told: bool,
}

/// Product and customer.
fn customer(product_code: &str, [one, two, _]: &[String; 3]) -> (String, String) {
    (product_code.to_owned(), format!("{one}/{two}"))
}

impl Books {
    /// How many bills the customer of an inquiry has paid.
    fn paid(&mut self, inquiry: &SandboxInquiry) -> &mut u64 {
        let customer = customer(&inquiry.product_code, &inquiry.account_numbers);
        self.bills_paid.entry(customer).or_default()
    }
}

impl Book {
    /// Books with this deposit, in rupiah.
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

    /// The bill that a customer has to pay next, with a fine in rupiah.
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

    /// Remembers an inquiry.
    pub fn inquired(&self, inquiry_code: &str, inquiry: SandboxInquiry) {
        let mut books = self.books();
        let code = inquiry_code.to_owned();
        books.inquiries.entry(code).or_default().push(inquiry);
    }

    /// The inquiries of a code, whatever became of them, the latest first.
    pub fn inquiries(&self, inquiry_code: &str) -> Vec<SandboxInquiry> {
        let books = self.books();
        let all = books.inquiries.get(inquiry_code).into_iter().flatten();
        all.rev().cloned().collect()
    }

    /// The latest inquiry of a code, whatever became of it.
    pub fn inquiry(&self, inquiry_code: &str) -> Option<SandboxInquiry> {
        self.inquiries(inquiry_code).into_iter().next()
    }

    /// An inquiry that was made under a reference code.
    pub fn inquiry_under(&self, reference_code: &str) -> Option<SandboxInquiry> {
        let books = self.books();
        let mut all = books.inquiries.values().flatten();
        all.find(|inquiry| inquiry.reference_code == reference_code)
            .cloned()
    }

    /// Verifies that an inquiry can be paid now.
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

    /// Notes that the success of a payment was told.
    pub fn told(&self, reference_code: &str, trace_code: &str) {
        let mut books = self.books();
        let Some(purchases) = books.purchases.get(reference_code) else {
            return;
        };
        let told = purchases.iter().find(|known| {
            known.trace_code == trace_code && known.owed_until_told && known.status < 2
        });
        let Some((_, inquiry)) = told.and_then(|known| known.paid.clone()) else {
            return;
        };
        let number = inquiry.bill.as_ref().map_or(0, |bill| bill.number);
        let paid = books.paid(&inquiry);
        *paid = (*paid).max(number + 1);
    }

    /// Returns every bill that was paid.
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

    /// The latest inquiry about a meter, if it can be used now.
    pub fn metered(
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

    /// Has checks of a reference code that was never received answered with a code.
    pub fn never_received(&self, reference_code: &str, code: u16) {
        let mut books = self.books();
        books.not_received.insert(reference_code.to_owned(), code);
    }

    /// Returns the code with which checks of such a reference code are answered, if it has one
    /// of its own.
    pub fn not_found_code(&self, reference_code: &str) -> Option<u16> {
        self.books().not_received.get(reference_code).copied()
    }

    /// Books a purchase. Two are the same when account number, amount and
    /// reference code are (code 208); another one under the same reference code
    /// is a purchase of its own.
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

    /// Gives a purchase its later status.
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

    /// The latest purchase under a reference code, or with a trace code.
    pub fn find(&self, reference_code: &str, trace_code: Option<&str>) -> Option<SandboxPurchase> {
        let books = self.books();
        let purchases = books.purchases.get(reference_code)?;
        let named = purchases
            .iter()
            .find(|known| Some(known.trace_code.as_str()) == trace_code);
        named.or(purchases.last()).cloned()
    }

    /// The deposit left, in rupiah.
    pub fn deposit(&self) -> u64 {
        self.books().deposit
    }
}
