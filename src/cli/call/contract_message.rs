//! Answers as messages of the contract, whose fields are known by name at run time.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::grpc::v1;

/// A message with its name in the contract.
pub(super) trait ContractMessage: Message {
    /// The name in the contract, without the package.
    const NAME: &'static str;
}

macro_rules! named {
    ($($message:ident),* $(,)?) => {
        $(impl ContractMessage for v1::$message {
            const NAME: &'static str = stringify!($message);
        })*
    };
}

named!(
    PurchasePrepaidResponse,
    PayPostpaidResponse,
    GetTransactionResponse,
    CheckTransactionResponse,
    WatchTransactionResponse,
    WatchTransactionsResponse,
    ListTransactionsResponse,
    ResolveTransactionResponse,
    InquirePrepaidResponse,
    InquirePostpaidResponse,
    GetBalanceResponse,
    EchoResponse,
    ListNoticesResponse,
    ListOrphanCallbacksResponse,
);

const PACKAGE: &str = "okebayar.gateway.v1";

/// Converts a message to one that has its fields by name; `None` if the pool lacks it.
pub(super) fn to_dynamic<T: ContractMessage>(
    message: &T,
    pool: &DescriptorPool,
) -> Option<DynamicMessage> {
    let descriptor = pool.get_message_by_name(&format!("{PACKAGE}.{}", T::NAME))?;
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()
}
