//! Answers as messages of the contract, whose fields are known by name at run time.

use prost::Name;
use prost_reflect::{DescriptorPool, DynamicMessage};

/// Converts a message to one that has its fields by name; `None` if the pool lacks it.
pub(super) fn to_dynamic<T: Name>(message: &T, pool: &DescriptorPool) -> Option<DynamicMessage> {
    let descriptor = pool.get_message_by_name(&T::full_name())?;
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()
}
