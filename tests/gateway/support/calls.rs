//! Requests of callers, their calls, and assertions on the answers.

use okebayar_gateway::grpc::v1::{
    GetTransactionRequest, InquirePostpaidRequest, InquirePrepaidRequest, Inquiry, Money,
    PayPostpaidRequest, PurchasePrepaidRequest, PurchasePrepaidResponse, Transaction,
    TransactionState, get_transaction_request::Code, inquire_postpaid_request::Customer,
    inquiry_service_client::InquiryServiceClient,
    transaction_service_client::TransactionServiceClient,
};
use tokio::task::JoinHandle;
use tonic::{IntoRequest, Response, Status, transport::Channel};
use tonic_types::StatusExt;

use super::process::PATIENCE;

pub const PRODUCT: &str = "PULSA10";

pub const PRODUCT_PRICE: i64 = 10_500;

pub const DEPOSIT: i64 = 1_000_000_000;

/// An ordinary account number: immediate success.
pub const PLAIN: &str = "081234567890";

pub const SERIAL_NUMBER_LATER: &str = "080000000001";

pub const PENDING_THEN_SUCCESS: &str = "080000000002";

pub const PENDING_THEN_FAILURE: &str = "080000000003";

pub const CALLBACK_LOST: &str = "080000000004";

pub const ANSWER_LOST: &str = "080000000005";

pub const RESET: &str = "080000000006";

pub const ANSWER_AND_CALLBACK_LOST: &str = "080000000007";

pub const RESET_AND_CALLBACK_LOST: &str = "080000000008";

pub const PENDING_FOR_EVER: &str = "080000000009";

pub const SLOW: &str = "080000000010";

pub type Client = TransactionServiceClient<Channel>;

pub type Inquirer = InquiryServiceClient<Channel>;

/// A water bill: one number, one bill, no detail.
pub const WATER: &str = "HPDAM";

/// A meter with two bills.
pub const TWO_BILLS: &str = "512345678902";

pub const CONTACT: &str = "081299990000";

/// Returns a new reference code.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may ask the machine for randomness"
)]
pub fn reference() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Returns a reference code whose mint time is this long after now, or before.
pub fn minted(milliseconds: i64) -> String {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = i64::try_from(now.as_millis()).unwrap() + milliseconds;
    let random = uuid::Uuid::parse_str(&reference()).unwrap().into_bytes();
    let random: [u8; 10] = random[6..].try_into().unwrap();
    uuid::Builder::from_unix_timestamp_millis(at.try_into().unwrap(), &random)
        .into_uuid()
        .to_string()
}

pub fn order(reference_code: &str, account_number: &str) -> PurchasePrepaidRequest {
    PurchasePrepaidRequest {
        reference_code: reference_code.to_owned(),
        product_code: PRODUCT.to_owned(),
        account_number: account_number.to_owned(),
        ..PurchasePrepaidRequest::default()
    }
}

/// Builds an inquiry for a bill of a customer with one number.
pub fn question(product_code: &str, account_number: &str) -> InquirePostpaidRequest {
    InquirePostpaidRequest {
        product_code: product_code.to_owned(),
        customer: Some(Customer::AccountNumber(account_number.to_owned())),
        contact_number: CONTACT.to_owned(),
        ..InquirePostpaidRequest::default()
    }
}

/// Builds an inquiry before a purchase under the same reference code.
pub fn prepaid_question(
    reference_code: &str,
    product_code: &str,
    account_number: &str,
) -> InquirePrepaidRequest {
    InquirePrepaidRequest {
        reference_code: reference_code.to_owned(),
        product_code: product_code.to_owned(),
        account_number: account_number.to_owned(),
        ..InquirePrepaidRequest::default()
    }
}

pub fn payment(reference_code: &str, inquiry: &Inquiry) -> PayPostpaidRequest {
    PayPostpaidRequest {
        reference_code: reference_code.to_owned(),
        inquiry_code: inquiry.inquiry_code.clone(),
        // A bill with an unreadable total is rejected whatever the payment states.
        total: inquiry.total.clone().or(Some(Money {
            units: 1,
            ..Money::default()
        })),
        ..PayPostpaidRequest::default()
    }
}

pub async fn pay(
    client: &mut Client,
    reference_code: &str,
    inquiry: &Inquiry,
) -> Result<Transaction, Status> {
    let paid = client
        .pay_postpaid(payment(reference_code, inquiry))
        .await?;
    Ok(paid.into_inner().transaction.unwrap())
}

pub async fn buy(client: &mut Client, reference_code: &str, account_number: &str) -> Transaction {
    bought(
        client
            .purchase_prepaid(order(reference_code, account_number))
            .await
            .unwrap()
            .into_inner(),
    )
}

/// Starts a purchase, and returns while it is in flight.
pub fn start_purchase(
    mut client: Client,
    request: impl IntoRequest<PurchasePrepaidRequest> + Send + 'static,
) -> JoinHandle<Result<Response<PurchasePrepaidResponse>, Status>> {
    tokio::spawn(async move { client.purchase_prepaid(request).await })
}

pub fn bought(response: PurchasePrepaidResponse) -> Transaction {
    response.transaction.unwrap()
}

pub async fn get(client: &mut Client, reference_code: &str) -> Result<Transaction, Status> {
    let code = Some(Code::ReferenceCode(reference_code.to_owned()));
    let request = GetTransactionRequest {
        account: String::new(),
        code,
    };
    Ok(client
        .get_transaction(request)
        .await?
        .into_inner()
        .transaction
        .unwrap())
}

/// Retries a purchase until it is claimed, and returns the transaction.
pub async fn buy_until_taken(
    client: &mut Client,
    reference_code: &str,
    account_number: &str,
) -> Transaction {
    let taken = async {
        loop {
            let bought_now = client.purchase_prepaid(order(reference_code, account_number));
            match bought_now.await {
                Ok(answer)
                    if bought(answer.get_ref().clone()).state() == TransactionState::Sending => {}
                Ok(answer) => return bought(answer.into_inner()),
                Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, taken)
        .await
        .unwrap_or_else(|_| panic!("{reference_code} was never claimed"))
}

/// Asserts that a purchase succeeded in full.
pub fn assert_succeeded(transaction: &Transaction) {
    assert_eq!(
        transaction.state(),
        TransactionState::Succeeded,
        "{transaction:#?}"
    );
    assert!(transaction.terminal, "{transaction:#?}");
    assert!(!transaction.serial_number.is_empty(), "{transaction:#?}");
    assert!(!transaction.safe_to_refund && !transaction.next_step().allows_purchase());
}

/// Returns the reason and `sent` of an error's `ErrorInfo`.
pub fn error_info(status: &Status) -> (String, String) {
    let info = status
        .get_details_error_info()
        .expect("an error has no ErrorInfo");
    assert_eq!(info.domain, okebayar_gateway::grpc::ERROR_DOMAIN);
    (
        info.reason,
        info.metadata.get("sent").cloned().unwrap_or_default(),
    )
}

/// Returns the trailer that directs the retry policy of a gRPC client: milliseconds, or -1 for never.
pub fn pushback_ms(status: &Status) -> Option<i64> {
    let pushback = status.metadata().get("grpc-retry-pushback-ms")?;
    Some(pushback.to_str().unwrap().parse().unwrap())
}

/// Returns the delay of an error's `RetryInfo` in milliseconds.
pub fn retry_delay_ms(status: &Status) -> Option<i64> {
    let delay = status.get_details_retry_info()?.retry_delay?;
    Some(delay.as_millis().try_into().unwrap())
}

/// Asserts the gRPC code, the reason and `sent` of a rejected call.
pub fn assert_refused<T: std::fmt::Debug>(
    result: Result<T, Status>,
    code: tonic::Code,
    reason: &str,
    sent: &str,
) -> Status {
    let status = result.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    assert_eq!(error_info(&status), (reason.to_owned(), sent.to_owned()));
    status
}

pub const FORMATS: [&str; 2] = ["json", "xml"];

#[expect(clippy::unnecessary_wraps, reason = "as the messages have it")]
pub fn rupiah(units: i64) -> Option<Money> {
    Some(Money {
        currency_code: "IDR".into(),
        units,
        nanos: 0,
    })
}

/// Tries to buy.
pub async fn try_buy(
    client: &mut Client,
    request: PurchasePrepaidRequest,
) -> Result<PurchasePrepaidResponse, Status> {
    let answer = client.purchase_prepaid(request).await;
    answer.map(tonic::Response::into_inner)
}

/// Returns one entry of the metadata of an error.
pub fn metadata(status: &Status, key: &str) -> String {
    let info = status.get_details_error_info().unwrap();
    info.metadata.get(key).cloned().unwrap_or_default()
}

/// Asserts that the gateway stores nothing under a reference code.
pub async fn assert_not_stored(client: &mut Client, code: &str) {
    let found = get(client, code).await;
    assert_refused(found, tonic::Code::NotFound, "TRANSACTION_NOT_FOUND", "no");
}
