//! The identity of a store: its schema, and the names and user ids of its accounts.
//!
//! | fact | value |
//! | --- | --- |
//! | `schema` | the version of the stored form |
//! | `partitions` | Redis: the number of partitions |
//! | `account:<name>` | the SHA-256 of the account's user id; former names are kept, with the present hash |
//! | `userid:<SHA-256>` | the present name of the account; user ids that it had before are kept |
//!
//! A name belongs to one user id for good, and a user id to one name at a time. So an
//! account that is renamed, or whose user id changes, is noticed at start, before anything
//! is claimed under a name that other records do not carry. Both are possible, but only
//! explicitly: by `accounts.<name>.formerly`, and by `store change-userid`.
//!
//! SUBTLE: deciding and writing are one atomic step of the store (a transaction of redb, a
//! compare-and-set script of Redis over everything that was read). Otherwise:
//! 1. gateway A (account `old`) and gateway B (account `new`), of one user id, start at
//!    once on an empty store and both read nothing;
//! 2. both write, and the store has two names for one user id.
//!
//! With it the second writer reads again and is refused. A crash leaves all facts or none.
//!
//! A Redis that is emptied loses its identity, and a gateway of another one could take it. So
//! each gateway keeps in memory every fact that it has seen, and each verification writes
//! those that are gone again: the union of what all running gateways know, in any order.

use std::collections::{BTreeMap, BTreeSet};

use super::{Identity, StoreError, belongs_elsewhere};
use crate::transaction::{AccountName, AccountNames};

/// Fact to value, as stored.
pub(super) type Facts = BTreeMap<String, String>;

const ACCOUNT: &str = "account:";
const USER_ID: &str = "userid:";

fn account_fact(name: &str) -> String {
    format!("{ACCOUNT}{name}")
}

fn user_id_fact(hash: &str) -> String {
    format!("{USER_ID}{hash}")
}

/// Returns the account names that a store has ever been used with.
pub(super) fn account_names(stored: &Facts) -> BTreeSet<AccountName> {
    let names = stored.keys().filter_map(|fact| fact.strip_prefix(ACCOUNT));
    names
        .filter_map(|name| AccountName::parse(name).ok())
        .collect()
}

/// Returns the facts to write so that the store belongs to `identity`; none where it does
/// already. Everything of it is verified before any is written.
pub(super) fn take(
    identity: &Identity,
    partitions: Option<u64>,
    stored: &Facts,
) -> Result<Facts, StoreError> {
    if identity.accounts.is_empty() && stored.is_empty() {
        return Err(StoreError::Unsuitable(
            "there is no store yet; a gateway makes it when it starts first".to_owned(),
        ));
    }
    let mut facts = stored.clone();
    for (fact, ours) in Identity::facts(partitions) {
        match stored.get(&fact) {
            Some(stored) if *stored != ours => return Err(belongs_elsewhere(&fact, stored, &ours)),
            Some(_) => {}
            None => drop(facts.insert(fact, ours)),
        }
    }
    for (name, hash) in &identity.accounts {
        take_account(identity, name, hash, &mut facts)?;
    }
    facts.retain(|fact, value| stored.get(fact) != Some(value));
    Ok(facts)
}

fn take_account(
    identity: &Identity,
    name: &AccountName,
    hash: &str,
    facts: &mut Facts,
) -> Result<(), StoreError> {
    if let Some(known) = facts.get(&account_fact(name.as_str()))
        && known != hash
    {
        return Err(other_user_id(name, known, hash));
    }
    for former in identity.names.former(name) {
        let known = facts.get(&account_fact(former.as_str()));
        if known.is_some_and(|known| known != hash) {
            return Err(StoreError::Unsuitable(format!(
                "accounts.{name}.formerly: the store knows account {former} with another user id \
                 than that of {name}; name only an account that had the same user id. If the user \
                 id changed as well: okebayar-gateway store change-userid first, with the name as \
                 it was, then rename"
            )));
        }
    }
    // A damaged identity may lack the present name: any other name of the user id counts.
    let known = facts.get(&user_id_fact(hash)).map(String::as_str);
    let known = known.or_else(|| {
        let names = facts
            .iter()
            .filter_map(|(fact, known)| Some((fact.strip_prefix(ACCOUNT)?, known)));
        let mut names = names.filter(|(other, known)| *other != name.as_str() && *known == hash);
        names.next().map(|(other, _)| other)
    });
    if let Some(known) = known
        && known != name.as_str()
    {
        let is_renamed = identity
            .names
            .former(name)
            .any(|former| former.as_str() == known && !identity.accounts.contains_key(former));
        if !is_renamed {
            return Err(other_name(name, known));
        }
        let known = known.to_owned();
        for (fact, present) in &mut *facts {
            if fact.starts_with(USER_ID) && *present == known {
                name.as_str().clone_into(present);
            }
        }
    }
    facts.insert(account_fact(name.as_str()), hash.to_owned());
    facts.insert(user_id_fact(hash), name.to_string());
    Ok(())
}

/// The identity as a running gateway knows it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) identity: Identity,
    /// Every fact that was seen in the store.
    pub(super) seen: Facts,
}

impl Kept {
    /// Returns true when facts are gone that were seen before. Others may be gone as well.
    pub(super) fn is_torn(&self, stored: &Facts) -> bool {
        self.seen.keys().any(|fact| !stored.contains_key(fact))
    }

    /// Returns the facts that are gone, to be written again. Facts with another value stay: an
    /// account may be renamed, or get another user id, while gateways run.
    pub(super) fn restore(
        &self,
        partitions: Option<u64>,
        stored: &Facts,
    ) -> Result<Facts, StoreError> {
        for (fact, ours) in Identity::facts(partitions) {
            if let Some(stored) = stored.get(&fact)
                && *stored != ours
            {
                return Err(belongs_elsewhere(&fact, stored, &ours));
            }
        }
        for (name, hash) in &self.identity.accounts {
            if !may_be_ours(stored, &self.identity.names, name, hash) {
                return Err(StoreError::Unsuitable(format!(
                    "it was emptied or restored, and has account {name} with another user id or \
                     name now. If a gateway with another configuration has taken it: stop that one, \
                     and see docs/OPERATIONS.md. If a backup from before a change of the user id \
                     was restored: okebayar-gateway store change-userid --account {name} again"
                )));
            }
        }
        let mut gone = self.seen.clone();
        gone.retain(|fact, _| !stored.contains_key(fact));
        Ok(gone)
    }
}

/// Returns true where nothing stored contradicts that an account has this user id, or had it
/// before it was renamed or got another one: both leave the former facts behind.
fn may_be_ours(stored: &Facts, names: &AccountNames, name: &AccountName, hash: &str) -> bool {
    let known = stored.get(&account_fact(name.as_str()));
    let is_name = |present: &str| present == name.as_str();
    match (stored.get(&user_id_fact(hash)), known) {
        (None, None) => true,
        (None, Some(known)) => known == hash,
        // A backup from before it was renamed.
        (Some(present), None) => {
            is_name(present) || names.former(name).any(|former| former.as_str() == present)
        }
        (Some(present), Some(_)) => is_name(present) || stored.get(&account_fact(present)) == known,
    }
}

fn other_user_id(name: &AccountName, known: &str, ours: &str) -> StoreError {
    StoreError::Unsuitable(format!(
        "accounts.{name}.userid: the store was made with account:{name} = {known} (SHA-256 of the \
         user id), the configuration says {ours}; configure the user id that it had, or another \
         store. If OKEBAYAR assigned another member id to the same contract: okebayar-gateway \
         store change-userid --account {name}. Another contract is another account: give it a \
         name of its own"
    ))
}

fn other_name(name: &AccountName, known: &str) -> StoreError {
    StoreError::Unsuitable(format!(
        "accounts.{name}.userid: the store knows this user id as account {known}; call the account \
         {known}, or, if it was renamed, set accounts.{name}.formerly = [\"{known}\"]"
    ))
}

/// A change of the user id of an account: OKEBAYAR assigned another member id to the same
/// contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdChange {
    /// The account, by its present name.
    pub account: AccountName,
    /// The SHA-256 of the new user id, in hex.
    pub to: String,
}

/// The user id of an account before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdBefore {
    /// Its SHA-256, in hex.
    pub hash: String,
    /// Every name that the store has for it, former ones included.
    pub names: BTreeSet<AccountName>,
}

impl UserIdChange {
    /// Returns what the store holds now, and the facts to write; none where the user id is
    /// the new one already.
    pub(super) fn plan(&self, stored: &Facts) -> Result<(UserIdBefore, Facts), StoreError> {
        let (name, to) = (&self.account, &self.to);
        let Some(from) = stored.get(&account_fact(name.as_str())) else {
            return Err(StoreError::Unsuitable(format!(
                "it does not know account {name}, so there is no user id to change; name an \
                 account that this store was used with"
            )));
        };
        let belongs_to = |hash: &str| {
            let present = stored.get(&user_id_fact(hash))?;
            (present != name.as_str()).then_some(present)
        };
        if let Some(present) = belongs_to(from) {
            return Err(StoreError::Unsuitable(format!(
                "account {name} is a former name of {present}; change the user id of {present}"
            )));
        }
        if let Some(other) = belongs_to(to) {
            return Err(StoreError::Unsuitable(format!(
                "accounts.{name}.userid: the new user id belongs to account {other}; two accounts \
                 cannot have one user id"
            )));
        }
        let mut facts = Facts::new();
        let mut names = BTreeSet::new();
        for known in account_names(stored) {
            let fact = account_fact(known.as_str());
            if stored.get(&fact) == Some(from) {
                facts.insert(fact, to.clone());
                names.insert(known);
            }
        }
        facts.insert(user_id_fact(to), name.to_string());
        facts.retain(|fact, value| stored.get(fact) != Some(value));
        let before = UserIdBefore {
            hash: from.clone(),
            names,
        };
        Ok((before, facts))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn name(text: &str) -> AccountName {
        AccountName::parse(text).unwrap()
    }

    fn identity(accounts: &[(&str, &str)], formerly: &[(&str, &str)]) -> Identity {
        let accounts = accounts
            .iter()
            .map(|(account, hash)| (name(account), (*hash).to_owned()));
        let renamed = formerly
            .iter()
            .map(|(former, present)| (name(former), name(present)));
        Identity {
            accounts: accounts.collect(),
            names: AccountNames::new(renamed),
            epoch: Uuid::nil(),
        }
    }

    /// The facts after a start; a refusal is an error.
    fn after(stored: &Facts, identity: &Identity) -> Result<Facts, String> {
        let written = take(identity, None, stored).map_err(|error| error.to_string())?;
        let mut facts = stored.clone();
        facts.extend(written);
        assert_eq!(take(identity, None, &facts).unwrap(), Facts::new());
        Ok(facts)
    }

    fn is(facts: &Facts, fact: &str, value: &str) -> bool {
        facts.get(fact).is_some_and(|stored| stored == value)
    }

    #[test]
    fn both_directions_are_stored_and_verified() {
        let facts = after(&Facts::new(), &identity(&[("a", "1"), ("b", "2")], &[])).unwrap();
        assert!(is(&facts, "account:a", "1") && is(&facts, "userid:2", "b"));
        let refused = |accounts: &[(&str, &str)]| after(&facts, &identity(accounts, &[])).err();
        assert_eq!(refused(&[("a", "1")]), None);
        assert_eq!(refused(&[("a", "1"), ("c", "3")]), None);
        let user_id = refused(&[("a", "3")]).unwrap();
        assert!(
            user_id.contains("store change-userid --account a"),
            "{user_id}"
        );
        let renamed = refused(&[("c", "1")]).unwrap();
        assert!(
            renamed.contains("accounts.c.formerly = [\"a\"]"),
            "{renamed}"
        );
        assert!(refused(&[("a", "2"), ("b", "1")]).is_some(), "swapped");
    }

    #[test]
    fn one_user_id_has_one_account() {
        let two = identity(&[("a", "1"), ("b", "1")], &[]);
        assert!(after(&Facts::new(), &two).is_err());
        let both = identity(&[("a", "1"), ("b", "1")], &[("a", "b")]);
        assert!(
            after(&Facts::new(), &both).is_err(),
            "a former name that is in use"
        );
    }

    #[test]
    fn a_rename_is_explicit_in_both_directions() {
        let old = identity(&[("old", "1"), ("b", "2")], &[]);
        let facts = after(&Facts::new(), &old).unwrap();
        let new = identity(&[("new", "1")], &[("old", "new")]);
        let renamed = after(&facts, &new).unwrap();
        assert!(is(&renamed, "account:old", "1") && is(&renamed, "userid:1", "new"));
        // What starts afterwards with the old configuration is refused.
        assert!(after(&renamed, &old).is_err());
        assert!(after(&renamed, &identity(&[("old", "3")], &[])).is_err());
        // Without the former name the account is known, its old transactions are nobody's.
        assert!(after(&renamed, &identity(&[("new", "1")], &[])).is_ok());
        let back = identity(&[("old", "1")], &[("new", "old")]);
        let back = after(&renamed, &back).unwrap();
        assert!(is(&back, "userid:1", "old"));
        assert!(after(&back, &new).is_ok());
    }

    #[test]
    fn a_former_name_must_have_had_the_user_id() {
        let facts = after(&Facts::new(), &identity(&[("a", "1"), ("b", "2")], &[])).unwrap();
        let refused = after(&facts, &identity(&[("c", "1")], &[("b", "c"), ("a", "c")]));
        let refused = refused.unwrap_err();
        assert!(
            refused.starts_with("the store cannot be used: accounts.c.formerly"),
            "{refused}"
        );
        assert!(after(&facts, &identity(&[("c", "3")], &[("a", "c")])).is_err());
        assert!(after(&Facts::new(), &identity(&[("c", "3")], &[("a", "c")])).is_ok());
    }

    #[test]
    fn half_an_identity_is_completed_or_refused() {
        let one = |fact: &str, value: &str| Facts::from([(fact.to_owned(), value.to_owned())]);
        let a = identity(&[("a", "1")], &[]);
        let whole = after(&Facts::new(), &a).unwrap();
        assert_eq!(after(&one("account:a", "1"), &a).unwrap(), whole);
        assert_eq!(after(&one("userid:1", "a"), &a).unwrap(), whole);
        let b = identity(&[("b", "1")], &[]);
        assert!(after(&one("account:a", "1"), &b).is_err());
        assert!(after(&one("userid:1", "a"), &b).is_err());
    }

    fn kept(seen: &Facts, accounts: &[(&str, &str)]) -> Kept {
        Kept {
            identity: identity(accounts, &[]),
            seen: seen.clone(),
        }
    }

    #[test]
    fn facts_that_are_gone_are_restored_and_nothing_else_is() {
        let facts = after(&Facts::new(), &identity(&[("old", "1"), ("b", "2")], &[])).unwrap();
        let kept = kept(&facts, &[("b", "2")]);
        assert!(!kept.is_torn(&facts) && kept.is_torn(&Facts::new()));
        assert_eq!(kept.restore(None, &facts).unwrap(), Facts::new());
        assert_eq!(kept.restore(None, &Facts::new()).unwrap(), facts);
        // Another gateway that knew less came first.
        let less = after(&Facts::new(), &identity(&[("b", "2"), ("c", "3")], &[])).unwrap();
        let restored = kept.restore(None, &less).unwrap();
        assert!(is(&restored, "account:old", "1") && is(&restored, "userid:1", "old"));
        assert_eq!(restored.len(), 2);
        // An earlier one that served the account wins where they differ.
        let renamed = identity(&[("new", "1"), ("b", "2")], &[("old", "new")]);
        let renamed = after(&Facts::new(), &renamed).unwrap();
        assert_eq!(kept.restore(None, &renamed).unwrap().len(), 1);
    }

    #[test]
    fn another_identity_in_the_place_of_the_one_that_is_gone_is_refused() {
        let facts = after(&Facts::new(), &identity(&[("a", "1"), ("b", "2")], &[])).unwrap();
        let kept = kept(&facts, &[("a", "1"), ("b", "2")]);
        for other in [
            &[("a", "3")][..],
            &[("c", "1")],
            &[("a", "2"), ("b", "1")],
            &[("a", "2"), ("c", "1")],
        ] {
            let other = after(&Facts::new(), &identity(other, &[])).unwrap();
            assert!(kept.restore(None, &other).is_err(), "{other:?}");
        }
        let schema = Facts::from([("schema".to_owned(), "0".to_owned())]);
        assert!(kept.restore(None, &schema).is_err());
        let partitions = Facts::from([("partitions".to_owned(), "4".to_owned())]);
        assert!(kept.restore(Some(8), &partitions).is_err());
        assert!(kept.restore(Some(4), &partitions).is_ok());
    }

    #[test]
    fn a_rename_and_another_user_id_do_not_stop_what_runs() {
        let facts = after(&Facts::new(), &identity(&[("old", "1")], &[])).unwrap();
        let kept = kept(&facts, &[("old", "1")]);
        let to = |facts: &Facts, account: &str, to: &str| {
            let (account, to) = (name(account), to.to_owned());
            let written = UserIdChange { account, to }.plan(facts).unwrap().1;
            let mut facts = facts.clone();
            facts.extend(written);
            facts
        };
        let new = identity(&[("new", "1")], &[("old", "new")]);
        let renamed = after(&facts, &new).unwrap();
        for changed in [
            to(&facts, "old", "2"),
            to(&renamed, "new", "2"),
            renamed.clone(),
            after(
                &to(&facts, "old", "2"),
                &identity(&[("new", "2")], &[("old", "new")]),
            )
            .unwrap(),
        ] {
            assert_eq!(kept.restore(None, &changed).unwrap(), Facts::new());
        }
        // A backup from before the rename is restored while the renamed one runs.
        let kept = Kept {
            identity: new,
            seen: renamed,
        };
        let mut restored = facts;
        restored.extend(kept.restore(None, &restored).unwrap());
        assert!(is(&restored, "account:new", "1"));
        assert_eq!(kept.restore(None, &restored).unwrap(), Facts::new());
    }

    #[test]
    fn a_user_id_changes_with_all_names_of_its_account() {
        let facts = after(&Facts::new(), &identity(&[("old", "1"), ("b", "2")], &[])).unwrap();
        let facts = after(&facts, &identity(&[("new", "1")], &[("old", "new")])).unwrap();
        let change = |facts: &Facts, account: &str, to: &str| {
            let (account, to) = (name(account), to.to_owned());
            let (before, written) = UserIdChange { account, to }.plan(facts).ok()?;
            let mut facts = facts.clone();
            facts.extend(written);
            Some((before, facts))
        };
        assert!(change(&facts, "old", "3").is_none(), "a former name");
        assert!(change(&facts, "other", "3").is_none(), "unknown");
        assert!(change(&facts, "new", "2").is_none(), "the user id of b");
        let (before, changed) = change(&facts, "new", "3").unwrap();
        assert_eq!(before.hash, "1");
        assert_eq!(before.names, BTreeSet::from([name("new"), name("old")]));
        assert!(is(&changed, "account:old", "3") && is(&changed, "userid:3", "new"));
        let new = |hash| identity(&[("new", hash)], &[("old", "new")]);
        assert!(after(&changed, &new("1")).is_err());
        assert!(after(&changed, &new("3")).is_ok());
        // The user id that it had stays its own, and it can have it back.
        assert!(after(&changed, &identity(&[("c", "1")], &[])).is_err());
        let renamed = identity(&[("newer", "3")], &[("old", "newer"), ("new", "newer")]);
        let renamed = after(&changed, &renamed).unwrap();
        let (before, back) = change(&renamed, "newer", "1").unwrap();
        assert_eq!((before.hash.as_str(), before.names.len()), ("3", 3));
        assert_eq!(
            change(&back, "newer", "1").unwrap().1,
            back,
            "nothing to do"
        );
    }
}
