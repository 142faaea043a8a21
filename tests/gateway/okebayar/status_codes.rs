//! Every status code of docs/OKEBAYAR.md, section 5, for every operation and in both formats: the
//! result that the caller receives.

use std::sync::{Arc, Mutex};

use Outcome::{Awaited, Doubtful, Failed, Pending, Succeeded, Unknown};
use okebayar_gateway::{
    grpc::v1::{
        CheckTransactionRequest, EchoRequest, GetBalanceRequest, Inquiry, NextStep, Transaction,
        TransactionReason, TransactionState, account_service_client::AccountServiceClient,
    },
    okebayar::format::Format,
    transaction::StatusCode,
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    repository::documents::document,
    support::{
        scripted_okebayar::{Script, Shape, Shared, serve},
        world::{
            Gateway, StoreKind, WATER, World, buy, error_info, pay, prepaid_question, question,
            reference,
        },
    },
};

/// The outcome of a purchase or payment by its own answer, or by a check.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Succeeded,
    /// Success whose serial number is still awaited.
    Awaited,
    Pending,
    Failed(TransactionReason),
    /// A failure that two checks must confirm.
    Doubtful(TransactionReason),
    Unknown,
}

/// One code: its outcome by the order's own answer and by a check (`None` if the check changes
/// nothing), and its gRPC code and reason for queries.
struct Row(u16, Outcome, Option<Outcome>, Code, &'static str);

const UNAVAILABLE: TransactionReason = TransactionReason::ProductUnavailable;

const CREDENTIALS: TransactionReason = TransactionReason::GatewayCredentials;

const PRECONDITION: Code = Code::FailedPrecondition;

#[rustfmt::skip]
const TABLE: [Row; 42] = [
    Row(0, Succeeded, Some(Succeeded), Code::Ok, ""),
    Row(1, Awaited, Some(Awaited), Code::Ok, ""),
    Row(2, Pending, Some(Pending), Code::Unavailable, "OKEBAYAR_UNWELL"),
    Row(3, Pending, Some(Pending), Code::Unavailable, "OKEBAYAR_UNWELL"),
    Row(99, Pending, Some(Pending), Code::Unavailable, "OKEBAYAR_UNWELL"),
    Row(150, Pending, Some(Pending), Code::Unavailable, "OKEBAYAR_UNWELL"),
    Row(200, Failed(UNAVAILABLE), Some(Failed(UNAVAILABLE)), PRECONDITION, "PRODUCT_UNAVAILABLE"),
    Row(201, Doubtful(TransactionReason::BillerTrouble), Some(Doubtful(TransactionReason::BillerTrouble)), Code::Unavailable, "BILLER_TROUBLE"),
    Row(202, Doubtful(TransactionReason::ServerTrouble), Some(Doubtful(TransactionReason::ServerTrouble)), Code::Unavailable, "SERVER_TROUBLE"),
    Row(203, Failed(TransactionReason::DepositExhausted), Some(Failed(TransactionReason::DepositExhausted)), PRECONDITION, "DEPOSIT_EXHAUSTED"),
    Row(204, Failed(TransactionReason::WrongAccountNumber), Some(Failed(TransactionReason::WrongAccountNumber)), Code::InvalidArgument, "WRONG_ACCOUNT_NUMBER"),
    Row(205, Failed(TransactionReason::WrongProductCode), Some(Failed(TransactionReason::WrongProductCode)), Code::InvalidArgument, "WRONG_PRODUCT_CODE"),
    Row(206, Failed(TransactionReason::BadFormat), None, Code::InvalidArgument, "BAD_FORMAT"),
    Row(207, Failed(CREDENTIALS), None, PRECONDITION, "GATEWAY_CREDENTIALS"),
    Row(208, Unknown, None, Code::Aborted, "REFERENCE_CODE_REFUSED"),
    Row(210, Failed(TransactionReason::CrossRegion), Some(Failed(TransactionReason::CrossRegion)), PRECONDITION, "CROSS_REGION"),
    Row(211, Failed(CREDENTIALS), None, PRECONDITION, "GATEWAY_CREDENTIALS"),
    Row(212, Failed(CREDENTIALS), None, PRECONDITION, "GATEWAY_CREDENTIALS"),
    Row(213, Failed(CREDENTIALS), None, PRECONDITION, "GATEWAY_CREDENTIALS"),
    Row(214, Failed(TransactionReason::RequestExpired), None, Code::Internal, "REQUEST_EXPIRED"),
    Row(215, Failed(TransactionReason::AccountCannotReceive), Some(Failed(TransactionReason::AccountCannotReceive)), PRECONDITION, "ACCOUNT_CANNOT_RECEIVE"),
    Row(216, Unknown, None, Code::InvalidArgument, "WRONG_DATE"),
    Row(217, Unknown, None, Code::InvalidArgument, "WRONG_DATE"),
    Row(232, Failed(TransactionReason::ProductAccountMismatch), Some(Failed(TransactionReason::ProductAccountMismatch)), Code::InvalidArgument, "PRODUCT_ACCOUNT_MISMATCH"),
    Row(233, Failed(TransactionReason::TooManyBills), Some(Failed(TransactionReason::TooManyBills)), PRECONDITION, "TOO_MANY_BILLS"),
    Row(234, Failed(TransactionReason::Cancelled), Some(Failed(TransactionReason::Cancelled)), Code::Internal, "CANCELLED"),
    Row(240, Doubtful(TransactionReason::Unidentified), Some(Doubtful(TransactionReason::Unidentified)), Code::Unavailable, "UNIDENTIFIED"),
    Row(241, Unknown, None, Code::Internal, "UNEXPECTED_ANSWER"),
    Row(260, Unknown, None, Code::Internal, "UNEXPECTED_ANSWER"),
    Row(261, Unknown, None, Code::Internal, "UNEXPECTED_ANSWER"),
    Row(270, Unknown, None, Code::Internal, "UNEXPECTED_ANSWER"),
    Row(299, Doubtful(TransactionReason::Unidentified), Some(Doubtful(TransactionReason::Unidentified)), Code::Internal, "UNIDENTIFIED"),
    Row(400, Failed(TransactionReason::BillNotFound), None, Code::NotFound, "BILL_NOT_FOUND"),
    Row(401, Failed(TransactionReason::BillPaidOrInvalid), None, PRECONDITION, "BILL_PAID_OR_INVALID"),
    Row(402, Failed(TransactionReason::InquiryMismatch), None, Code::Internal, "INQUIRY_MISMATCH"),
    Row(403, Failed(TransactionReason::InquiryExpired), None, PRECONDITION, "INQUIRY_EXPIRED"),
    Row(404, Failed(TransactionReason::WrongCustomerData), None, Code::InvalidArgument, "WRONG_CUSTOMER_DATA"),
    Row(405, Failed(TransactionReason::InquiryMissing), None, PRECONDITION, "INQUIRY_MISSING"),
    Row(500, Failed(TransactionReason::AccountBlacklisted), Some(Failed(TransactionReason::AccountBlacklisted)), PRECONDITION, "ACCOUNT_BLACKLISTED"),
    Row(510, Unknown, None, Code::Aborted, "REFERENCE_CODE_REFUSED"),
    Row(777, Doubtful(TransactionReason::Unidentified), Some(Doubtful(TransactionReason::Unidentified)), Code::Internal, "UNIDENTIFIED"),
    Row(999, Doubtful(TransactionReason::Unidentified), Some(Doubtful(TransactionReason::Unidentified)), Code::Internal, "UNIDENTIFIED"),
];

/// The next step after a failure by each code, written out from the contract's own table.
#[rustfmt::skip]
const NEXT_STEPS: [(&[u16], NextStep); 7] = [
    (&[200, 201, 202, 234, 240], NextStep::BuyAgain),
    (&[203, 206, 207, 211, 212, 213, 214], NextStep::ContactOperator),
    (&[204, 205, 210, 215, 232, 233], NextStep::CorrectAndBuyAgain),
    (&[500], NextStep::None),
    (&[400, 402, 403, 404, 405], NextStep::InquireAgain),
    (&[401], NextStep::DoNotBuyAgain),
    // Undocumented codes.
    (&[299, 777, 999], NextStep::BuyAgain),
];

/// Returns the next step that the contract states for an outcome.
fn next_step(found: &Transaction, expected: Outcome) -> NextStep {
    match expected {
        Succeeded => NextStep::None,
        Awaited | Pending | Doubtful(_) | Unknown => NextStep::Wait,
        Failed(_) => {
            let code: u16 = found.status_code.parse().unwrap();
            let row = NEXT_STEPS.iter().find(|(codes, _)| codes.contains(&code));
            row.unwrap().1
        }
    }
}

fn assert_outcome(found: &Transaction, expected: Outcome, case: &str) {
    let (state, reason, is_final) = match expected {
        Succeeded => (
            TransactionState::Succeeded,
            TransactionReason::Unspecified,
            true,
        ),
        Awaited => (
            TransactionState::Succeeded,
            TransactionReason::Unspecified,
            false,
        ),
        Pending => (
            TransactionState::Pending,
            TransactionReason::Unspecified,
            false,
        ),
        Failed(why) => (TransactionState::Failed, why, true),
        Doubtful(why) => (TransactionState::Confirming, why, false),
        Unknown => (
            TransactionState::Confirming,
            TransactionReason::UnclearAnswer,
            false,
        ),
    };
    assert_eq!((found.state(), found.reason()), (state, reason), "{case}");
    assert_eq!(found.terminal, is_final, "{case}");
    let failed = matches!(expected, Failed(_));
    assert_eq!(found.safe_to_refund, failed, "{case}");
    assert_eq!(found.next_step(), next_step(found, expected), "{case}");
    assert_eq!(found.serial_number_pending, expected == Awaited, "{case}");
}

fn assert_answer<T>(answer: Result<T, Status>, row: &Row, case: &str) {
    let found = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    assert_eq!(found, row.3, "{case}");
    if let Err(status) = answer {
        assert_eq!(
            error_info(&status),
            (row.4.to_owned(), "maybe".to_owned()),
            "{case}"
        );
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["status_code"], format!("{:03}", row.0), "{case}");
    }
}

struct Bench {
    gateway: Gateway,
    script: Shared,
    format: &'static str,
}

impl Bench {
    fn answer(&self, row: &Row, prepare: Option<&'static str>) {
        self.answer_in(row, prepare, Shape::Full);
    }

    fn answer_in(&self, row: &Row, prepare: Option<&'static str>, shape: Shape) {
        *self.script.lock().unwrap() = Script {
            code: row.0,
            prepare,
            shape,
        };
    }

    /// Buys, answers the purchase with 002, and checks it.
    async fn check(&self) -> (Transaction, Transaction) {
        let mut client = self.gateway.client().await;
        let open = reference();
        let pending = buy(&mut client, &open, "081234567890").await;
        assert_eq!(pending.state(), TransactionState::Pending);
        let request = CheckTransactionRequest {
            account: String::new(),
            reference_code: open,
        };
        let checked = client.check_transaction(request).await.unwrap();
        let checked = checked.into_inner();
        assert!(checked.checked);
        (pending, checked.transaction.unwrap())
    }

    /// Tests answers that name nothing of the purchase, or only echo the request.
    async fn unsigned(&self, row: &Row) {
        let Row(code, expected, ..) = *row;
        let format = self.format;
        let mut client = self.gateway.client().await;
        self.answer_in(row, None, Shape::Bare);
        let bought = buy(&mut client, &reference(), "081234567890").await;
        // A bare status may not come from OKEBAYAR. It may still reject credentials this way.
        let expected = match expected {
            Succeeded | Awaited => Unknown,
            Failed(why) if why != CREDENTIALS => Unknown,
            expected => expected,
        };
        assert_outcome(&bought, expected, &format!("bare {code:03} {format}"));

        self.answer_in(row, Some("order"), Shape::Echo);
        let (pending, checked) = self.check().await;
        let case = format!("check {code:03} on the reference code alone {format}");
        assert_outcome(&checked, Pending, &case);
        if expected != Pending {
            assert_eq!(checked.revision, pending.revision, "{case}");
        }
    }

    async fn orders(&self, row: &Row) {
        let Row(code, expected, by_check, ..) = *row;
        let format = self.format;
        let mut client = self.gateway.client().await;
        self.answer(row, None);
        let bought = buy(&mut client, &reference(), "081234567890").await;
        assert_outcome(&bought, expected, &format!("purchase {code:03} {format}"));

        // One customer per code: another open payment of the same bill would interfere.
        self.answer(row, Some("inquiry"));
        let customer = format!("55{code:03}{}", usize::from(format == "xml"));
        let inquiry: Inquiry = self.gateway.bill(WATER, &customer).await;
        let paid = pay(&mut client, &reference(), &inquiry).await.unwrap();
        assert_outcome(&paid, expected, &format!("payment {code:03} {format}"));

        self.answer(row, Some("order"));
        let (pending, checked) = self.check().await;
        let case = format!("check {code:03} {format}");
        assert_outcome(&checked, by_check.unwrap_or(Pending), &case);
        if by_check.is_none() {
            assert_eq!(checked.revision, pending.revision, "{case}");
        }
    }

    async fn questions(&self, row: &Row, accounts: &mut AccountServiceClient<Channel>) {
        let (code, format) = (row.0, self.format);
        self.answer(row, None);
        let mut inquirer = self.gateway.inquirer().await;
        let asked = prepaid_question(&reference(), "PULSA10", "081234567890");
        let answer = inquirer.inquire_prepaid(asked).await;
        assert_answer(answer, row, &format!("prepaid inquiry {code:03} {format}"));
        let answer = inquirer.inquire_postpaid(question(WATER, "123456")).await;
        assert_answer(answer, row, &format!("postpaid inquiry {code:03} {format}"));
        let answer = accounts.get_balance(GetBalanceRequest::default()).await;
        if let Ok(answer) = &answer {
            let money = answer.get_ref().balance.as_ref().unwrap();
            assert_eq!((money.units, money.nanos), (1, 500_000_000));
        }
        assert_answer(answer, row, &format!("balance {code:03} {format}"));
        let echo = EchoRequest {
            account: String::new(),
            message: "ping".into(),
        };
        let answer = accounts.echo(echo).await;
        assert_answer(answer, row, &format!("echo {code:03} {format}"));
    }
}

async fn assert_every_code(format: &'static str) {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.check_rarely().set("accounts.main.format", format);
    world.set("checks.serial_number", "1h");
    let script = Arc::new(Mutex::new(Script {
        code: 0,
        prepare: None,
        shape: Shape::Full,
    }));
    let codec = Format::parse(format).unwrap();
    serve(world.sandbox_port, codec, Arc::clone(&script)).await;
    let gateway = world.start_gateway().await;
    let url = format!("http://{}", gateway.grpc);
    let mut accounts = AccountServiceClient::connect(url).await.unwrap();
    let bench = Bench {
        gateway,
        script,
        format,
    };
    for row in &TABLE {
        bench.orders(row).await;
        bench.unsigned(row).await;
        bench.questions(row, &mut accounts).await;
    }
}

/// Returns every documented code with its meaning.
fn documented() -> impl Iterator<Item = (StatusCode, &'static str)> {
    let codes = (0..1000).filter_map(|code| StatusCode::read(&format!("{code:03}")));
    codes.filter_map(|code| Some((code, code.documented()?)))
}

#[test]
fn table_has_every_documented_code() {
    let has_row = |code: &StatusCode| TABLE.iter().any(|row| row.0 == code.number());
    let missing: Vec<_> = documented().filter(|(code, _)| !has_row(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(documented().count() > 30);
}

#[test]
fn okebayar_page_has_every_documented_code_with_its_meaning() {
    let page = document("docs/OKEBAYAR.md");
    for (code, meaning) in documented() {
        let row = format!("\n| {code} | {meaning}");
        let ends = page
            .split_once(&row)
            .map(|(_, rest)| rest.starts_with([' ', ',']));
        assert!(ends == Some(true), "{row}");
    }
}

#[tokio::test]
async fn every_status_code_has_documented_result_in_json() {
    assert_every_code("json").await;
}

#[tokio::test]
async fn every_status_code_has_documented_result_in_xml() {
    assert_every_code("xml").await;
}
