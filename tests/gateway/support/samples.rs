//! OKEBAYAR's published samples, and the purchase that they are about.

use std::{path::Path, sync::Arc};

use jiff::tz::TimeZone;
use okebayar_gateway::{
    okebayar::{
        account::{Account, Credentials, TransactionCodes},
        answer::Answer,
        deployment_codes::CodeLists,
        format::Format,
        interpret::interpret,
        subject::Subject,
        verdict::{self, Ignored},
    },
    transaction::{
        AttemptToken, Bill, Contents, Details, InquiredData, InquiriesMade, InquiryCode, Statement,
        StatusCode, Transaction, Verbatim,
    },
};

use crate::support::core::{RULES, arming, schedule, wish};

pub fn sample(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/okebayar")
            .join(name),
    )
    .unwrap()
}

pub fn wib() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(7))
}

/// Returns the purchase of the samples.
pub fn asked() -> Arc<Transaction> {
    let (intent, order) = wish("kodeReferensiPartner", "productCode");
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    Transaction::begin(intent, order, arming(token, 0), RULES, &schedule()).transaction
}

/// Interprets the fields of an answer.
pub fn answer(fields: &[(&str, &str)]) -> Answer {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    interpret(fields.iter().map(owned).collect(), &wib()).unwrap()
}

pub fn account(format: Format) -> Account {
    Account {
        format,
        credentials: Credentials {
            user_id: "userId".into(),
            pin: "userPin".into(),
        },
        transaction_codes: TransactionCodes {
            prepaid: "OkeBayar-prabayar".into(),
            inquiry: "OkeBayar-inquiry".into(),
            payment: "OkeBayar-inquiry".into(),
            check: "OkeBayar-cek-status".into(),
            balance: "OkeBayar-cek-balance".into(),
            echo: "OkeBayar-echo".into(),
        },
        code_lists: CodeLists::default(),
        json_numbers: true,
        omits_hyphens: false,
        verify_user_id: true,
        zone: wib(),
    }
}

/// Notes an inquiry and the status code of its answer.
pub fn note(made: &mut InquiriesMade, id: &str, code: &str) {
    made.note(id);
    made.note_answer(id, StatusCode::read(code).unwrap(), &Details::default());
}

/// Returns the verdict on a check where no inquiry was made.
pub fn of_check(
    answer: &Answer,
    about: &Transaction,
    lists: &CodeLists,
) -> Result<Statement, Ignored> {
    let asked = Subject {
        transaction: about,
        inquired: &InquiriesMade::default(),
    };
    verdict::of_check(answer, asked, lists)
}

pub fn read(body: &[u8], format: Format) -> Answer {
    interpret(format.read(body).unwrap(), &wib()).unwrap()
}

pub fn format_of(name: &str) -> Format {
    if Path::new(name).extension().unwrap() == "xml" {
        Format::Xml
    } else {
        Format::Json
    }
}

/// Returns the payment of a bill whose texts must survive unchanged.
pub fn payment() -> Arc<Transaction> {
    let inquiry_code = InquiryCode::parse("inquiry-1").unwrap();
    let text = Verbatim::new;
    let (mut intent, mut order) = wish("kodeReferensiPartner", "HPLNPASCA");
    intent.contents = Contents::PayPostpaid {
        inquiry_code,
        total: None,
    };
    order.inquired = Some(InquiredData {
        refs: [
            Some(text(" a<b> ")),
            Some(text("")),
            Some(text("\"c\" & 'd'")),
        ],
        at: None,
        customer: text("c"),
        bill: Some(Bill {
            account_numbers: [text("0812"), text("0021"), text("")],
            contact_number: text("x@y.z"),
            nominal: text("110000.00"),
            admin_fee: text("0002500"),
        }),
    });
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    Transaction::begin(intent, order, arming(token, 0), RULES, &schedule()).transaction
}

/// The signature of the samples' parts; the published ones are masked.
pub const SIGNATURE: &str = "329e765e5e7f0732522ffe45e12b3b3a";
