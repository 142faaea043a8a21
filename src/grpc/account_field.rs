//! The fields `account` and `accounts` of the requests.

use super::{context::RpcContext, violations::Violations};
use crate::transaction::AccountName;

/// The violation of an account that is not configured.
pub(super) const NO_SUCH_ACCOUNT: &str = "it is not configured; name one of the gateway's accounts";

/// Parses the account that a request names; returns `None` if it names none. The account need
/// not be configured: transactions of a removed account stay readable.
pub(super) fn optional(name: &str, violations: &mut Violations) -> Option<AccountName> {
    violations.optional("account", name, |name| AccountName::parse(name))
}

/// Returns the configured account that a request names, or the default one if it names none.
pub(super) fn configured(
    context: &RpcContext,
    name: &str,
    violations: &mut Violations,
) -> Option<AccountName> {
    if name.is_empty() {
        return Some(context.gateway.accounts.default_account().clone());
    }
    find(context, "account", name, violations)
}

/// Returns the configured accounts that a request names.
pub(super) fn configured_list(
    context: &RpcContext,
    names: &[String],
    violations: &mut Violations,
) -> Vec<AccountName> {
    let mut found = Vec::new();
    for name in names {
        found.extend(find(context, "accounts", name, violations));
    }
    found
}

fn find(
    context: &RpcContext,
    field: &str,
    name: &str,
    violations: &mut Violations,
) -> Option<AccountName> {
    let known = AccountName::parse(name)
        .ok()
        .and_then(|name| context.gateway.accounts.configured(&name));
    if known.is_none() {
        violations.add(field, NO_SUCH_ACCOUNT);
    }
    known
}
