//! The names of accounts among each other: the default one, former ones, and one name for each
//! user id.

use std::collections::BTreeMap;

use super::{accounts::ReadAccounts, reader::Reader};
use crate::transaction::AccountName;

/// The account of requests that name none; may be left out where there is one.
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
                    format!("{given:?} is not configured"),
                    "name one of accounts.*",
                );
            }
            found.map(|name| (*name).clone())
        }
        (None, [only]) => Some((*only).clone()),
        (None, []) => None,
        (None, _) => {
            reader.fault(
                "default_account",
                "there are several accounts",
                "name the default one",
            );
            None
        }
    }
}

/// Two accounts of one user id would be one account under two names.
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
                format!("it is the user id of account {other} too"),
                "configure each OKEBAYAR account once",
            );
        } else {
            known.insert(hash, name);
        }
    }
}

/// A former name stands for one account, and is no account of its own.
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
                let problem = format!("{former} stands in accounts.{other}.formerly too");
                reader.fault(&key, problem, "list each former name once");
            }
        }
    }
}
