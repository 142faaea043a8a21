//! `InquiryService`: every kind of customer, every form of an answer, and no field dropped.

use okebayar_gateway::grpc::v1::{
    BpjsCustomer, Date, InquirePostpaidRequest, Inquiry, PlnPostpaid, PstnCustomer,
    inquire_postpaid_request::Customer, inquiry::Detail,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{
    calls::{FORMATS, rupiah},
    world::{
        CONTACT, Gateway, StoreKind, WATER, World, assert_refused, prepaid_question, question,
        reference,
    },
};

async fn gateway(format: &str) -> (World, Gateway) {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("accounts.main.format", format);
    let gateway = world.start_gateway().await;
    (world, gateway)
}

async fn ask(gateway: &Gateway, request: InquirePostpaidRequest) -> Result<Inquiry, Status> {
    let answer = gateway.inquirer().await.inquire_postpaid(request).await?;
    Ok(answer.into_inner().inquiry.unwrap())
}

fn customer(product_code: &str, customer: Customer) -> InquirePostpaidRequest {
    InquirePostpaidRequest {
        product_code: product_code.into(),
        customer: Some(customer),
        contact_number: CONTACT.into(),
        ..InquirePostpaidRequest::default()
    }
}

#[tokio::test]
async fn electricity_meter_inquiry_returns_every_field() {
    for format in FORMATS {
        let (_world, gateway) = gateway(format).await;
        let code = reference();
        let request = prepaid_question(&code, "HPLNPRA20", "14234567895");
        let answer = gateway.inquirer().await.inquire_prepaid(request).await;
        let inquiry = answer.unwrap().into_inner().inquiry.unwrap();
        assert_eq!(
            (inquiry.account.as_str(), &inquiry.reference_code),
            ("main", &code)
        );
        assert_eq!(inquiry.product_code, "HPLNPRA20");
        assert_eq!(inquiry.account_number, "14234567895");
        assert!(!inquiry.inquiry_code.is_empty() && !inquiry.trace_code.is_empty());
        assert!(inquiry.expire_time.is_some() && inquiry.response_time.is_some());
        assert_eq!((&inquiry.ref1, inquiry.ref2.as_str()), (&code, ""));
        assert!(
            inquiry.ref3.starts_with("32 & <"),
            "{format}: {}",
            inquiry.ref3
        );
        assert_eq!((inquiry.nominal, inquiry.total), (None, None));
        let Some(Detail::PlnPrepaid(pln)) = inquiry.detail else {
            panic!("{format}: no detail");
        };
        let returned = [
            pln.customer_id,
            pln.meter_number,
            pln.customer_name,
            pln.tariff_and_power,
            pln.tariff,
            pln.power_category,
            pln.pln_reference,
            pln.vendor_reference,
            pln.distribution_code,
            pln.service_unit,
            pln.service_unit_phone,
            pln.energy_limit_kwh,
            pln.unsold_token1,
            pln.unsold_token2,
        ];
        let expected = [
            "514444444444",
            "14234567895",
            "MELISA",
            "R1/1300",
            "R1",
            "1300",
            "0MUP210Z83A4C2E165D4522042E5CF9E",
            "8D722CD016BD085AFF58FA0FC4320431",
            "51",
            "51106",
            "021222222",
            "6000",
            "",
            "",
        ];
        assert_eq!(returned, expected, "{format}");
        let left: Vec<(&str, &str)> = inquiry
            .fields
            .iter()
            .map(|field| (field.name.as_str(), field.value.as_str()))
            .collect();
        assert_eq!(left, [("serialnumber", "")], "{format}");
    }
}

fn assert_bills(pln: &PlnPostpaid, customer: &str, count: usize) {
    let digits = i64::try_from(count).unwrap();
    assert_eq!(pln.subscriber_id, customer);
    assert_eq!(pln.subscriber_name, "BUDI & SITI");
    assert_eq!(pln.billing_status, count.to_string());
    let months = i32::try_from(count).unwrap();
    assert_eq!(
        (pln.payments_due, pln.months_outstanding),
        (Some(0), Some(months))
    );
    assert_eq!(
        [
            &pln.collecting_agent_id,
            &pln.switch_reference,
            &pln.service_unit,
            &pln.service_unit_phone,
            &pln.tariff,
            &pln.power,
            &pln.address,
            &pln.pln_tax_number,
            &pln.subscriber_tax_number,
            &pln.receipt_text,
        ],
        [
            "0000000",
            "0SYM212Z83A4C2E165D4522042E5CF9E",
            "51106",
            "021222222",
            "R1",
            "000001300",
            "JL. MELATI NO. 1",
            "010016087051000",
            "000000000000000",
            "Informasi: hubungi 123",
        ]
    );
    assert_eq!(pln.total_admin_fee, rupiah(2_500 * digits));
    assert_eq!(pln.bills.len(), count);
    for (number, bill) in (1..).zip(&pln.bills) {
        let month = i32::try_from(number).unwrap();
        let date = |day| Date {
            year: 2026,
            month,
            day,
        };
        assert_eq!(bill.billing_period, Some(date(0)));
        assert_eq!(bill.due_date, Some(date(20)));
        assert_eq!(bill.meter_reading_date, Some(date(1)));
        assert_eq!(bill.amount, rupiah(50_000 + 1_000 * number));
        let sign = if number % 2 == 0 { 1 } else { -1 };
        assert_eq!(bill.incentive, rupiah(sign * 100 * number), "bill {number}");
        assert_eq!(bill.value_added_tax, rupiah(110));
        assert_eq!(bill.penalty_fee, rupiah(3_000 * (number - 1)));
        assert_eq!(bill.previous_reading1, format!("{:08}", 1_000 * number));
        assert_eq!(
            bill.current_reading1,
            format!("{:08}", 1_000 * number + 150)
        );
        for reading in [
            &bill.previous_reading2,
            &bill.current_reading2,
            &bill.previous_reading3,
            &bill.current_reading3,
        ] {
            assert_eq!(reading, "00000000");
        }
    }
}

#[tokio::test]
async fn electricity_bill_inquiry_returns_one_to_four_bills() {
    for format in FORMATS {
        let (_world, gateway) = gateway(format).await;
        // The sandbox writes additionaldata differently for each number of bills.
        for (count, customer) in (1..).zip(["5123456789011", "512345678902", "5123453", "54"]) {
            let inquiry = gateway.bill("HPLNPASCA", customer).await;
            let total: i64 = (1..=count).map(|number| 50_000 + 1_000 * number).sum();
            assert_eq!(inquiry.nominal, rupiah(total), "{format} {customer}");
            assert_eq!(inquiry.admin_fee, rupiah(2_500 * count));
            assert_eq!(inquiry.total, rupiah(total + 2_500 * count));
            assert_eq!(inquiry.account_number, customer);
            assert_eq!(inquiry.contact_number, CONTACT);
            assert!(inquiry.expire_time.is_some());
            let names: Vec<&str> = inquiry.fields.iter().map(|f| f.name.as_str()).collect();
            assert_eq!(names, ["responsestatus"], "{format} {customer}");
            assert_eq!(inquiry.status_code, "000");
            let Some(Detail::PlnPostpaid(pln)) = inquiry.detail else {
                panic!("{format} {customer}: no detail");
            };
            assert_eq!(pln.total_amount, rupiah(total));
            assert_bills(&pln, customer, usize::try_from(count).unwrap());
        }
    }
}

#[tokio::test]
async fn telephone_and_bpjs_customers_have_their_own_messages() {
    for format in FORMATS {
        let (_world, gateway) = gateway(format).await;
        let line = Customer::Pstn(PstnCustomer {
            area_code: "021".into(),
            number: "5551234".into(),
        });
        let inquiry = ask(&gateway, customer("HTELEPON", line)).await.unwrap();
        let numbers = [
            inquiry.account_number.as_str(),
            &inquiry.account_number2,
            &inquiry.account_number3,
        ];
        assert_eq!(numbers, ["021", "5551234", ""], "{format}");
        assert_eq!(inquiry.detail, None);
        let name = inquiry
            .fields
            .iter()
            .find(|field| field.name == "additionaldata.namapelanggan");
        assert_eq!(name.unwrap().value, "BUDI & SITI", "{format}");

        let member = |months| {
            Customer::Bpjs(BpjsCustomer {
                member_number: "0001234567890".into(),
                months,
                payer_phone: "081288887777".into(),
            })
        };
        let inquiry = ask(&gateway, customer("HBPJSKES", member(3)))
            .await
            .unwrap();
        let numbers = [
            inquiry.account_number.as_str(),
            &inquiry.account_number2,
            &inquiry.account_number3,
        ];
        assert_eq!(numbers, ["0001234567890", "", "3"], "{format}");
        assert_eq!(inquiry.nominal, rupiah(450_000));
        for months in [0, 13, -1] {
            let refused = ask(&gateway, customer("HBPJSKES", member(months))).await;
            let status = assert_refused(refused, Code::InvalidArgument, "INVALID_REQUEST", "no");
            assert!(
                status.message().starts_with("bpjs.months: it is"),
                "{status}"
            );
        }
    }
}

#[tokio::test]
async fn inquiry_reports_all_violations() {
    let (world, gateway) = gateway("json").await;
    let request = InquirePostpaidRequest {
        account: "nobody".into(),
        product_code: String::new(),
        ref1: "two words".into(),
        ..InquirePostpaidRequest::default()
    };
    let status = ask(&gateway, request).await.unwrap_err();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
    let all = [
        "account",
        "product_code",
        "customer",
        "contact_number",
        "ref1",
    ];
    assert_eq!(fields, all);
    let refused = ask(&gateway, question("UNKNOWN", "12345")).await;
    let status = assert_refused(
        refused,
        Code::InvalidArgument,
        "WRONG_PRODUCT_CODE",
        "maybe",
    );
    let metadata = status.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["status_code"], "205");
    let refused = ask(&gateway, question(WATER, "080000008400")).await;
    assert_refused(refused, Code::NotFound, "BILL_NOT_FOUND", "maybe");
    drop(world);
}

#[tokio::test]
async fn prepaid_inquiry_uses_reference_code_of_caller_or_own() {
    for (setting, shared) in [("caller", true), ("own", false)] {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.prepaid_inquiry_reference", setting);
        let gateway = world.start_gateway().await;
        let code = reference();
        for given in [code.as_str(), ""] {
            let request = prepaid_question(given, "PULSA10", "081234567890");
            let answer = gateway.inquirer().await.inquire_prepaid(request).await;
            let used = answer.unwrap().into_inner().inquiry.unwrap().reference_code;
            assert_eq!(
                used == code,
                shared && !given.is_empty(),
                "{setting} {given}"
            );
            assert!(used.len() >= 8);
        }
    }
}
