//! OKEBAYAR's amounts: exact, absent or unreadable, never guessed. `105.000` is 105 to a program
//! and 105 thousand in Indonesia.

use okebayar_gateway::grpc::v1::{
    GetBalanceRequest, Money, TransactionState, account_service_client::AccountServiceClient,
};
use tonic::Code;

use crate::support::{
    calls::{FORMATS, rupiah},
    world::{Gateway, StoreKind, WATER, World, assert_refused, buy, pay, reference},
};

/// The meaning of a misprinted amount.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    Rupiah(i64),
    Absent,
    Unreadable,
}
use Meaning::{Absent, Rupiah, Unreadable};

impl Meaning {
    fn money(self) -> Option<Money> {
        match self {
            Rupiah(units) => rupiah(units),
            Absent | Unreadable => None,
        }
    }
}

const TEXTS: [(&str, Meaning); 11] = [
    ("11000.00", Rupiah(11_000)),
    ("110000", Rupiah(110_000)),
    ("0", Rupiah(0)),
    ("2500", Rupiah(2_500)),
    ("10000.0", Rupiah(10_000)),
    ("", Absent),
    ("105.000", Unreadable),
    ("105.000,00", Unreadable),
    ("105,000", Unreadable),
    ("1.5E3", Unreadable),
    ("-5000", Unreadable),
];
/// The same amounts as JSON numbers, where they are valid numbers.
const NUMBERS: [(&str, Meaning); 9] = [
    ("11000.00", Rupiah(11_000)),
    ("110000", Rupiah(110_000)),
    ("0", Rupiah(0)),
    ("2500", Rupiah(2_500)),
    ("10000.0", Rupiah(10_000)),
    ("105.000", Unreadable),
    ("1.5E3", Rupiah(1_500)),
    ("5.1E7", Rupiah(51_000_000)),
    ("-5000", Unreadable),
];

/// One row: the misprint, its text, and its meaning.
struct Row {
    value: String,
    text: &'static str,
    meaning: Meaning,
}

/// Returns the table for one format; XML has texts only.
fn table(format: &str) -> Vec<Row> {
    let texts = TEXTS.iter().map(|(text, meaning)| Row {
        value: format!("\"{text}\""),
        text,
        meaning: *meaning,
    });
    let numbers = NUMBERS.iter().map(|(text, meaning)| Row {
        value: (*text).to_owned(),
        text,
        meaning: *meaning,
    });
    let numbers = numbers.filter(|_| format == "json");
    texts.chain(numbers).collect()
}

async fn gateway(format: &str) -> (World, Gateway) {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("accounts.main.format", format);
    let gateway = world.start_gateway().await;
    (world, gateway)
}

#[tokio::test]
async fn unreadable_price_does_not_affect_status() {
    for format in FORMATS {
        let (world, gateway) = gateway(format).await;
        let mut client = gateway.client().await;
        for (number, row) in (0..).zip(table(format)) {
            let Row { value, text, .. } = &row;
            let account_number = format!("08120000{number:04}");
            let fields = format!("{{\"harga\": {value}}}");
            world.misprint(&account_number, fields).await;
            let bought = buy(&mut client, &reference(), &account_number).await;
            assert_eq!(
                bought.state(),
                TransactionState::Succeeded,
                "{format} {value}"
            );
            assert!(bought.terminal && !bought.serial_number.is_empty());
            assert_eq!(bought.price, row.meaning.money(), "{format} {value}");
            let descriptions = bought.timeline.iter().map(|entry| &entry.description);
            let unread = format!("unreadable harga {text:?}");
            let is_unread = descriptions
                .clone()
                .any(|description| description.contains(&unread));
            assert_eq!(is_unread, row.meaning == Unreadable, "{format} {value}");
            let is_any = descriptions
                .clone()
                .any(|description| description.contains("unreadable"));
            assert_eq!(is_any, is_unread, "{format} {value}");
        }
    }
}

#[tokio::test]
async fn balance_is_exact_or_unknown() {
    for format in FORMATS {
        let (world, gateway) = gateway(format).await;
        let url = format!("http://{}", gateway.grpc);
        let mut client = AccountServiceClient::connect(url).await.unwrap();
        for row in table(format) {
            let value = &row.value;
            world
                .misprint("*", format!("{{\"balance\": {value}}}"))
                .await;
            let answer = client.get_balance(GetBalanceRequest::default()).await;
            if row.meaning.money().is_some() {
                let balance = answer.unwrap().into_inner().balance;
                assert_eq!(balance, row.meaning.money(), "{format} {value}");
            } else {
                assert_refused(answer, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
            }
        }
    }
}

/// Inquires and pays a bill whose nominal or fee is misprinted; `total` is the payable total, or
/// `None` if the bill is not payable.
async fn assert_bill(
    (world, gateway): &(World, Gateway),
    (name, row): (&str, &Row),
    account_number: &str,
    total: Option<i64>,
) {
    let case = format!("{name} {} of {account_number}", row.value);
    let fields = format!("{{\"{name}\": {}}}", row.value);
    world.misprint(account_number, fields).await;
    let inquiry = gateway.bill(WATER, account_number).await;
    assert_eq!(inquiry.total, total.and_then(rupiah), "{case}");
    let code = reference();
    let paid = pay(&mut gateway.client().await, &code, &inquiry).await;
    let ledger = world.ledger(&code).await;
    if total.is_none() {
        assert_refused(paid, Code::FailedPrecondition, "TOTAL_UNKNOWN", "no");
        assert_eq!(ledger.received, 0, "{case}");
        return;
    }
    let bill = paid.unwrap().bill.unwrap();
    assert_eq!(bill.total, total.and_then(rupiah), "{case}");
    assert_eq!((ledger.received, ledger.executed), (1, 1), "{case}");
    let sent = ledger.parameters[name].as_str().unwrap();
    if row.text.contains('E') {
        // The same number without the exponent.
        let Rupiah(units) = row.meaning else {
            panic!("{case} was paid");
        };
        assert_eq!(sent, units.to_string(), "{case}");
    } else {
        assert_eq!(sent, row.text, "{case}");
    }
}

#[tokio::test]
async fn bill_with_unreadable_amount_is_not_payable() {
    // The sandbox's fee and its first bill.
    let (fee, nominal) = (2_500, 51_000);
    for format in FORMATS {
        let around = gateway(format).await;
        for (number, row) in (0..).zip(table(format)) {
            let total = match row.meaning {
                Rupiah(units) => Some(units + fee),
                Absent | Unreadable => None,
            };
            let account_number = format!("71{number:04}");
            assert_bill(&around, ("nominal", &row), &account_number, total).await;
            let total = match row.meaning {
                Rupiah(units) => Some(nominal + units),
                // No fee is named, so the fee is zero.
                Absent => Some(nominal),
                Unreadable => None,
            };
            let account_number = format!("72{number:04}");
            assert_bill(&around, ("adminfee", &row), &account_number, total).await;
        }
    }
}

#[tokio::test]
async fn electricity_bill_items_keep_their_signs() {
    use okebayar_gateway::grpc::v1::inquiry::Detail;
    for format in FORMATS {
        let (world, gateway) = gateway(format).await;
        let inside = "<subscriberid>1</subscriberid><blth1>202610</blth1><RPTAG1>105.000</RPTAG1>\
                      <incentive1>C0000001500</incentive1><incentive2>D0000000250</incentive2>\
                      <blth2>202611</blth2><RPTAG2>00000051000</RPTAG2>";
        let fields = serde_json::json!({ "additionaldata": inside }).to_string();
        world.misprint("512345678909", fields).await;
        let inquiry = gateway.bill("HPLNPASCA", "512345678909").await;
        let Some(Detail::PlnPostpaid(pln)) = inquiry.detail else {
            panic!("{format}: no detail");
        };
        assert_eq!(pln.bills[0].incentive, rupiah(-1_500), "{format}");
        assert_eq!(pln.bills[1].incentive, rupiah(250), "{format}");
        assert_eq!(pln.bills[1].amount, rupiah(51_000), "{format}");
        assert_eq!(pln.bills[0].amount, None, "{format}");
        let left = inquiry.fields.iter();
        let left: Vec<&str> = left
            .filter(|field| field.name.ends_with("RPTAG1"))
            .map(|field| field.value.as_str())
            .collect();
        assert_eq!(left, ["105.000"], "{format}: it is shown as it came");
    }
}
