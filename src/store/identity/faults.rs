//! The faults of a stored identity.

use super::{
    copy_mark::{refuse_marked, true_schema},
    facts::{ACCOUNT, Facts, PARTITIONS_FACT, USER_ID, account_fact, user_id_fact},
};

/// Returns the faults of an identity, one text for each. `partitions` is the configured number of
/// partitions.
pub(in crate::store) fn faults(partitions: Option<u64>, stored: &Facts) -> Vec<String> {
    let mut faults = Vec::new();
    if stored.is_empty() {
        faults.push("the store has no identity: no gateway has used it, or it was lost".to_owned());
        return faults;
    }
    if let Err(error) = refuse_marked(stored) {
        faults.push(error.to_string());
    }
    if true_schema(stored).is_none() {
        faults.push("the schema is missing".to_owned());
    }
    if let Some(ours) = partitions
        && stored.get(PARTITIONS_FACT) != Some(&ours.to_string())
    {
        let known = stored.get(PARTITIONS_FACT).map_or("no", String::as_str);
        faults.push(format!(
            "the store has {known} partitions, the configuration {ours}: set store.partitions to \
             the number of the store"
        ));
    }
    for (fact, value) in stored {
        if let Some(name) = fact.strip_prefix(ACCOUNT)
            && !stored.contains_key(&user_id_fact(value))
        {
            faults.push(format!(
                "account {name} has a user id without an entry of its own"
            ));
        }
        if let Some(hash) = fact.strip_prefix(USER_ID)
            && !stored.contains_key(&account_fact(value))
        {
            faults.push(format!(
                "the user id {hash} belongs to account {value}, which is unknown"
            ));
        }
    }
    faults
}
