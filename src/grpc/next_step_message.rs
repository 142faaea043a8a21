//! The next step of a caller, as the contract names it.

use super::contract::v1;
use crate::transaction::NextStep;

/// Builds the value of the contract.
pub(super) fn build(step: NextStep) -> v1::NextStep {
    match step {
        NextStep::Wait => v1::NextStep::Wait,
        NextStep::Nothing => v1::NextStep::None,
        NextStep::ContactOperator => v1::NextStep::ContactOperator,
        NextStep::RetrySameReference => v1::NextStep::RetrySameReference,
        NextStep::BuyAgain => v1::NextStep::BuyAgain,
        NextStep::CorrectAndBuyAgain => v1::NextStep::CorrectAndBuyAgain,
        NextStep::InquireAgain => v1::NextStep::InquireAgain,
        NextStep::DoNotBuyAgain => v1::NextStep::DoNotBuyAgain,
        NextStep::CorrectAndRetrySameReference => v1::NextStep::CorrectAndRetrySameReference,
        NextStep::ReadTransaction => v1::NextStep::ReadTransaction,
    }
}

/// Returns the value of the metadata key `next_step`: the name without its prefix.
pub(super) fn name(step: NextStep) -> &'static str {
    let name = build(step).as_str_name();
    name.strip_prefix("NEXT_STEP_").unwrap_or(name)
}
