//! Bills, the customers who owe them, and payments beside an open one.

use okebayar_gateway::{
    grpc::v1::{Inquiry, PayPostpaidRequest, Transaction},
    inquiries::bill_list,
    store::{
        Identity,
        redis::{RedisSettings, RedisStore},
    },
    transaction::{AccountNames, ReferenceCode, TransactionKey, Verbatim},
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{
    accounts::redis_settings,
    process::PATIENCE,
    world::{Client, StoreKind, World, assert_refused, get, payment},
};

/// Two customers whose first bills have the same total.
pub const ANNA: &str = "1111111";

pub const BUDI: &str = "2222222";

pub const TOTAL: i64 = 53_500;

/// Creates a world whose OKEBAYAR accepts repeated payments of a bill until it has reported a
/// success.
pub async fn world_with_repeatable_payments(kind: StoreKind, format: &str) -> World {
    let mut world = World::new(kind).await;
    world.set("accounts.main.format", format);
    world.bill_as("*", json!({ "owed_until_told": true })).await;
    world
}

pub async fn pay_beside(
    client: &mut Client,
    code: &str,
    inquiry: &Inquiry,
    open: &[&str],
) -> Result<Transaction, Status> {
    let request = PayPostpaidRequest {
        acknowledged_open_reference_codes: open.iter().map(|code| (*code).to_owned()).collect(),
        ..payment(code, inquiry)
    };
    let paid = client.pay_postpaid(request).await?;
    Ok(paid.into_inner().transaction.unwrap())
}

/// Asserts that a payment is rejected for an open one, which the error names, before anything is
/// stored.
pub async fn assert_open(
    (world, client): (&World, &mut Client),
    refused: Result<Transaction, Status>,
    code: &str,
    open: &str,
) {
    let reason = "BILL_PAYMENT_OPEN";
    let status = assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["other_reference_code"], open);
    let text = status.message();
    assert!(text.contains(open) && text.contains("wait"), "{text}");
    assert!(!text.contains("inquire again"), "{text}");
    assert_eq!(world.ledger(code).await.received, 0);
    let absent = get(client, code).await;
    assert_refused(absent, Code::NotFound, "TRANSACTION_NOT_FOUND", "no");
}

/// Opens the store of a world as a second gateway does.
pub async fn store_of(world: &World) -> RedisStore {
    let settings = RedisSettings {
        partitions: world.partitions(),
        timeout: PATIENCE,
        ..redis_settings(world.redis.as_ref().unwrap())
    };
    let identity = Identity {
        accounts: std::collections::BTreeMap::new(),
        names: AccountNames::default(),
        epoch: uuid::Uuid::nil(),
    };
    RedisStore::open(settings, &identity).await.unwrap()
}

pub fn key(code: &str) -> TransactionKey {
    TransactionKey::new(&ReferenceCode::parse(code).unwrap())
}

/// Lists a transaction without a record under a customer's bill, as a gateway leaves it that is
/// killed before its claim.
pub async fn list_without_record(world: &World, customer: &str, code: &str) {
    let store = store_of(world).await;
    let customer = Verbatim::new(format!("{customer}/"));
    let listed = bill_list::of_bill(&store, &customer).await.unwrap();
    let now = jiff::Timestamp::from_second(2_000_000_000).unwrap();
    let key = key(code);
    let listing = bill_list::list_last(&store, &customer, &listed, &key, &[], now);
    assert!(listing.await.unwrap());
}

/// More payments than the list of one bill holds.
pub const MANY: usize = 70;
