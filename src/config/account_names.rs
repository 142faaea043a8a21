//! Rules across accounts: the default account, former names, and unique user ids.

use std::collections::BTreeMap;

use super::{accounts::ReadAccounts, reader::Reader};
use crate::transaction::AccountName;

/// Reads the account of requests that name none. The key is optional with a single account.
pub(super) fn read_default_account(
    reader: &mut Reader,
    accounts: &ReadAccounts,
) -> Option<AccountName> {
    let names: Vec<&AccountName> = accounts.keys().collect();
    match (reader.text("default_account"), names.as_slice()) {
        (Some(given), names) => {
            let found = names.iter().find(|name| name.as_str() == given);
            if found.is_none() {
                reader.fault(
                    "default_account",
                    format!("there is no account {given:?}"),
                    "use the name of an account in accounts.*",
                );
            }
            found.map(|name| (*name).clone())
        }
        (None, [only]) => Some((*only).clone()),
        (None, []) => None,
        (None, _) => {
            reader.fault(
                "default_account",
                "required, because several accounts are configured",
                "set it to the name of the default account",
            );
            None
        }
    }
}

/// Verifies that no two accounts have the same user id: they would be one account under two names.
pub(super) fn verify_user_ids(reader: &mut Reader, accounts: &ReadAccounts) {
    let mut known: BTreeMap<String, &AccountName> = BTreeMap::new();
    for (name, settings) in accounts {
        let Some(settings) = settings else {
            continue;
        };
        let hash = settings.user_id_hash();
        if let Some(other) = known.get(&hash) {
            reader.fault(
                &format!("accounts.{name}.userid"),
                format!("duplicates the user id of account {other}"),
                "configure each OKEBAYAR account once",
            );
        } else {
            known.insert(hash, name);
        }
    }
}

/// Verifies that each former name belongs to one account, and is not the name of an account.
pub(super) fn verify_former_names(reader: &mut Reader, accounts: &ReadAccounts) {
    let mut known: BTreeMap<&AccountName, &AccountName> = BTreeMap::new();
    for (name, settings) in accounts {
        let formerly = settings.iter().flat_map(|settings| &settings.formerly);
        let key = format!("accounts.{name}.formerly");
        for former in formerly {
            if accounts.contains_key(former) {
                let problem = format!("{former} is the name of a configured account");
                reader.fault(&key, problem, "list only names that are no longer in use");
            } else if let Some(other) = known.insert(former, name) {
                let problem = format!("{former} is already listed in accounts.{other}.formerly");
                reader.fault(&key, problem, "list each former name once");
            }
        }
    }
}
