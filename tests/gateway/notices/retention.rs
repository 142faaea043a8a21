//! OKEBAYAR's texts to the partner: announcements are kept, texts about one customer are not, and
//! neither the list nor the store grows with purchases.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    grpc::v1::{
        ListNoticesRequest, Notice, TransactionState, WaitUntil,
        notice_service_client::NoticeServiceClient,
    },
    notices::texts::{self as notices, NoticeOutcome},
    store::LIST_MAX,
    transaction::AccountName,
};
use serde_json::json;

use crate::{
    store::contract::open,
    support::{
        calls::FORMATS,
        metrics::{admin, metrics_when},
        on_both_stores,
        process::PATIENCE,
        world::{
            Client, Gateway, PENDING_THEN_SUCCESS, PLAIN, StoreKind, WATER, World, buy, order, pay,
            prepaid_question, reference,
        },
    },
};

async fn list(gateway: &Gateway, request: ListNoticesRequest) -> (Vec<Notice>, String) {
    let url = format!("http://{}", gateway.grpc);
    let mut client = NoticeServiceClient::connect(url).await.unwrap();
    let page = client.list_notices(request).await.unwrap().into_inner();
    (page.notices, page.next_page_token)
}

async fn texts(gateway: &Gateway) -> Vec<String> {
    let (notices, _) = list(gateway, ListNoticesRequest::default()).await;
    notices.into_iter().map(|notice| notice.text).collect()
}

/// Waits until this many texts were handled with a result.
async fn counted(gateway: &Gateway, result: &str, at_least: f64) {
    let series = format!("okebayar_notices_total{{okebayar_account=\"main\",result=\"{result}\"");
    metrics_when(gateway, &series, at_least).await;
}

/// Customer data in the answers of a test.
const NAME: &str = "RINA HARTATI";
const METER: &str = "14055556666";
const TOKEN: &str = "7777-8888-9999-1111-2222";

/// Makes an answer contain the customer's data and a text.
async fn tell(world: &World, account_number: &str, info: &str) {
    let fields = json!({
        "info": info,
        "serialnumber": format!("{TOKEN}/{NAME}/R1/1300VA"),
        "PLN_NAMAPELANGGAN": NAME,
        "PLN_NOMETER": METER,
        "additionaldata": "<subscribername>WATI S</subscribername>",
    });
    world.misprint(account_number, fields.to_string()).await;
}

/// Texts about one customer, whose number is 0812-3456-7890.
const RECEIPTS: [&str; 10] = [
    "Token 77778888999911112222",
    "TOKEN: 7777 8888 9999 1111 2222",
    "7777.8888.9999.1111.2222 berhasil",
    "Terima kasih RINA HARTATI",
    "Yth. Ibu Hartati, terima kasih",
    "Meter 1405-5556-666 lunas",
    "Pembayaran a/n wati s lunas",
    "Pulsa ke 081234567890 sukses",
    "Pulsa ke +62 812-3456-7890 sukses",
    "Pulsa ke 0812 3456 7890 sukses",
];

async fn purchase(client: &mut Client, account_number: &str) {
    let mut request = order(&reference(), account_number);
    request.set_wait_until(WaitUntil::Terminal);
    let bought = client.purchase_prepaid(request).await.unwrap();
    assert_eq!(
        bought.into_inner().transaction.unwrap().state(),
        TransactionState::Succeeded
    );
}

async fn text_about_customer_is_not_kept_as_notice(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let mut expected = 0.0;
        for info in RECEIPTS {
            tell(&world, PLAIN, info).await;
            purchase(&mut client, PLAIN).await;
            expected += 1.0;
            counted(&gateway, "about_customer", expected).await;
        }
        // A serial number that OKEBAYAR writes without slashes, and the deposit.
        for (serial_number, info) in [
            (format!("{TOKEN} {NAME} R1/1300VA"), RECEIPTS[1]),
            (format!("{TOKEN}#{NAME}#R1"), "Terima kasih Rina"),
            (String::from("1"), "Sisa saldo Rp 510.000.123"),
        ] {
            let fields = json!({
                "info": info,
                "serialnumber": serial_number,
                "balance": "510000123.00",
            });
            world.misprint(PLAIN, fields.to_string()).await;
            purchase(&mut client, PLAIN).await;
            expected += 1.0;
            counted(&gateway, "about_customer", expected).await;
        }
        // A payment and its inquiry, an inquiry before a purchase, and a check.
        tell(&world, "7100001", "Tagihan 71.000.01 lunas").await;
        let inquiry = gateway.bill(WATER, "7100001").await;
        pay(&mut client, &reference(), &inquiry).await.unwrap();
        tell(&world, "14050001234", "Pelanggan Rina").await;
        let question = prepaid_question(&reference(), "HPLNPRA20", "14050001234");
        gateway
            .inquirer()
            .await
            .inquire_prepaid(question)
            .await
            .unwrap();
        tell(&world, PENDING_THEN_SUCCESS, "SN 7777888899991111-2222").await;
        purchase(&mut client, PENDING_THEN_SUCCESS).await;
        expected += 5.0;
        counted(&gateway, "about_customer", expected).await;
        // An answer that names no customer; the request did.
        let fields = json!({ "info": "Pulsa 0812.9876.5432 ok", "accnumber": null });
        world.misprint("081298765432", fields.to_string()).await;
        buy(&mut client, &reference(), "081298765432").await;
        counted(&gateway, "about_customer", expected + 1.0).await;
        assert_eq!(texts(&gateway).await, Vec::<String>::new(), "{format}");

        // The transaction itself keeps its text.
        tell(&world, PLAIN, RECEIPTS[0]).await;
        let code = reference();
        assert_eq!(buy(&mut client, &code, PLAIN).await.info, RECEIPTS[0]);
        let announced = "Gangguan PLN 12-12-2026 pukul 20.00 (0800-1500-123)";
        tell(&world, PLAIN, announced).await;
        buy(&mut client, &reference(), PLAIN).await;
        counted(&gateway, "kept", 1.0).await;
        assert_eq!(texts(&gateway).await, [announced], "{format}");
    }
}

async fn texts_of_one_pattern_take_one_place(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let answer_with = async |info: String| {
        tell(&world, PLAIN, &info).await;
        buy(&mut client.clone(), &reference(), PLAIN).await;
    };
    for number in 0..10 {
        answer_with(format!(
            "Kode promo {number}x{number}, berlaku 1{number} menit"
        ))
        .await;
    }
    counted(&gateway, "kept", 3.0).await;
    counted(&gateway, "too_many", 7.0).await;
    answer_with("Gangguan server".to_owned()).await;
    counted(&gateway, "kept", 4.0).await;
    assert_eq!(texts(&gateway).await.len(), 4);
    // A known pattern is still counted.
    answer_with("Kode promo 0x0, berlaku 10 menit".to_owned()).await;
    counted(&gateway, "repeated", 1.0).await;
    // Different words each time: limited to this many a day.
    for letter in 'a'..='z' {
        answer_with(format!("Pesan {letter}{letter}{letter}")).await;
    }
    counted(&gateway, "kept", 24.0).await;
    counted(&gateway, "too_many", 7.0 + 26.0 - 20.0).await;
    assert_eq!(texts(&gateway).await.len(), 24);
    buy(&mut client, &reference(), "081200000009").await;
}

/// Returns a word of letters for a number: texts that differ in digits only share a pattern.
fn word(number: usize) -> String {
    let letter = |digit: u8| char::from(digit - b'0' + b'a');
    number.to_string().bytes().map(letter).collect()
}

/// A full list of different texts, as many a day as an account may add, and some more.
async fn evicted_notice_leaves_no_note(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let main = AccountName::parse("main").unwrap();
    let start: Timestamp = "2100-01-01T00:00:00Z".parse().unwrap();
    let day = |number: usize| {
        let hours = 24 * i64::try_from(number).unwrap();
        start
            .checked_add(SignedDuration::from_hours(hours))
            .unwrap()
    };
    let add = async |number: usize, at: usize| {
        let text = format!("text {}", word(number));
        notices::add_notice(store, &main, &text, day(at))
            .await
            .unwrap()
    };
    let count = LIST_MAX + 3;
    for number in 0..count {
        assert_eq!(
            add(number, number / 24).await,
            NoticeOutcome::Kept,
            "{number}"
        );
    }
    let count = count / 24 + 1;
    assert_eq!(
        add(3, count).await,
        NoticeOutcome::Repeated,
        "it is the oldest one left"
    );
    let kept = notices::notices(store, 0, LIST_MAX).await.unwrap();
    assert_eq!(kept.len(), LIST_MAX);
    let pages = [
        (0, 3),
        (500, 2),
        (LIST_MAX - 1, 5),
        (LIST_MAX, 5),
        (usize::MAX, 1),
        (3, 0),
    ];
    for (from, limit) in pages {
        let page = notices::notices(store, from, limit).await.unwrap();
        let end = from.saturating_add(limit).min(LIST_MAX);
        assert_eq!(page, kept[from.min(LIST_MAX)..end.max(from.min(LIST_MAX))]);
    }
    // Its note was evicted with it, so the text is new.
    assert_eq!(add(0, count).await, NoticeOutcome::Kept);
    assert_eq!(
        add(3, count).await,
        NoticeOutcome::Kept,
        "the one before pushed it out"
    );
}

/// Gateways whose clocks are on both sides of midnight.
async fn clock_set_back_evicts_no_notice(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let main = AccountName::parse("main").unwrap();
    let before: Timestamp = "2100-06-01T23:59:59Z".parse().unwrap();
    let after: Timestamp = "2100-06-02T00:00:00Z".parse().unwrap();
    let mut kept = 0;
    for number in 0..60 {
        let now = if number % 2 == 0 { before } else { after };
        let text = format!("text {}", word(number));
        let noted = notices::add_notice(store, &main, &text, now).await.unwrap();
        kept += u32::from(noted == NoticeOutcome::Kept);
    }
    // One more before the first after midnight.
    assert_eq!(kept, 25);
    let later: Timestamp = "2100-06-03T00:00:00Z".parse().unwrap();
    let noted = notices::add_notice(store, &main, "tomorrow", later).await;
    assert_eq!(noted.unwrap(), NoticeOutcome::Kept);
    // Another account has a limit of its own.
    let other = AccountName::parse("other").unwrap();
    let noted = notices::add_notice(store, &other, "text", after).await;
    assert_eq!(noted.unwrap(), NoticeOutcome::Kept);
}

#[tokio::test]
async fn notice_page_reads_only_its_items() {
    let mut world = World::new(StoreKind::Redis).await;
    let _sandbox = world.add_account("second").await;
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    // In the form that an earlier release stores.
    for number in 0..LIST_MAX {
        let account = if number % 300 == 0 { "second" } else { "main" };
        let at = "2026-01-01T00:00:00Z";
        let item = json!({
            "account": account, "text": format!("text {number}"), "first": at, "last": at,
            "count": 1,
        });
        redis
            .command(&["LPUSH", "okb:notices", &item.to_string()])
            .await;
    }
    let mut request = ListNoticesRequest {
        page_size: 5,
        ..ListNoticesRequest::default()
    };
    redis.command(&["CONFIG", "RESETSTAT"]).await;
    let (first, token) = list(&gateway, request.clone()).await;
    let read = redis.info("stats", "total_net_output_bytes").await;
    assert!(read < 20_000, "{read} bytes were read for five notices");
    let gets = redis.info("commandstats", "cmdstat_get").await;
    assert!(gets < 50, "{gets} notes were read for five notices");
    let listed: Vec<&str> = first.iter().map(|notice| notice.text.as_str()).collect();
    assert_eq!(
        listed,
        ["text 999", "text 998", "text 997", "text 996", "text 995"]
    );
    request.page_token = token;
    let (second, _) = list(&gateway, request).await;
    assert_eq!(second[0].text, "text 994");

    // One account among many: short pages, and finally the whole list.
    for (accounts, count, found) in [(vec![], 200, LIST_MAX), (vec!["second".to_owned()], 2, 4)] {
        let mut request = ListNoticesRequest {
            accounts,
            page_size: count,
            ..ListNoticesRequest::default()
        };
        let mut all = HashSet::new();
        let pages = async {
            loop {
                let (page, token) = list(&gateway, request.clone()).await;
                all.extend(page.into_iter().map(|notice| notice.text));
                if token.is_empty() {
                    break;
                }
                request.page_token = token;
            }
        };
        tokio::time::timeout(PATIENCE, pages).await.unwrap();
        assert_eq!(all.len(), found);
    }
    assert_eq!(admin(&gateway, "/healthz").await.0, 200);
}

on_both_stores!(
    clock_set_back_evicts_no_notice,
    text_about_customer_is_not_kept_as_notice,
    texts_of_one_pattern_take_one_place,
    evicted_notice_leaves_no_note,
);
