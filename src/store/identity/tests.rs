//! Tests of the adoption, the restoration and the change of the identity of a store.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;

use super::{Adoption, Facts, Identity, SeenIdentity, UserIdChange};
use crate::{
    store::{
        SCHEMA, SCHEMA_BEFORE, StoreError,
        record::{EncryptionKey, EncryptionKeys},
    },
    transaction::{AccountName, AccountNames},
};

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

fn adopt(identity: &Identity, keys: &EncryptionKeys, stored: &Facts) -> Result<Facts, StoreError> {
    let adoption = Adoption {
        identity,
        keys,
        partitions: None,
        new_schema: SCHEMA,
    };
    adoption.facts(stored)
}

/// Adopts the store, and returns its facts.
fn after(stored: &Facts, identity: &Identity) -> Result<Facts, String> {
    let written =
        adopt(identity, &EncryptionKeys::default(), stored).map_err(|error| error.to_string())?;
    let mut facts = stored.clone();
    facts.extend(written);
    let again = adopt(identity, &EncryptionKeys::default(), &facts);
    assert_eq!(again.unwrap(), Facts::new());
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
    // A later start with the old configuration is rejected.
    assert!(after(&renamed, &old).is_err());
    assert!(after(&renamed, &identity(&[("old", "3")], &[])).is_err());
    // Without the former name, no account owns the old transactions.
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

fn kept(seen: &Facts, accounts: &[(&str, &str)]) -> SeenIdentity {
    SeenIdentity {
        identity: identity(accounts, &[]),
        keys: Arc::default(),
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
    // Another gateway, which had seen fewer facts, wrote first.
    let less = after(&Facts::new(), &identity(&[("b", "2"), ("c", "3")], &[])).unwrap();
    let restored = kept.restore(None, &less).unwrap();
    assert!(is(&restored, "account:old", "1") && is(&restored, "userid:1", "old"));
    assert_eq!(restored.len(), 2);
    // Where the facts differ, the stored ones stay.
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

/// A Redis that is emptied after the upgrade may be adopted by a gateway that had not learnt of it.
#[test]
fn a_schema_is_only_ever_raised() {
    let facts = after(&Facts::new(), &identity(&[("a", "1")], &[])).unwrap();
    assert!(is(&facts, "schema", "4"));
    let mut before = facts.clone();
    before.insert("schema".to_owned(), "3".to_owned());
    // The release before created it, and this one leaves it as it is.
    assert_eq!(
        after(&before, &identity(&[("a", "1")], &[])).unwrap(),
        before
    );
    let upgraded = Facts::from([("schema".to_owned(), "4".to_owned())]);
    assert_eq!(super::upgraded(&before).unwrap(), upgraded);
    assert_eq!(super::upgraded(&facts).unwrap(), Facts::new());
    assert!(super::upgraded(&Facts::new()).is_err());
    let seen_after = kept(&facts, &[("a", "1")]);
    assert_eq!(seen_after.restore(None, &before).unwrap(), upgraded);
    let seen_before = kept(&before, &[("a", "1")]);
    assert_eq!(seen_before.restore(None, &facts).unwrap(), Facts::new());
    let later = Facts::from([("schema".to_owned(), "5".to_owned())]);
    assert!(seen_after.restore(None, &later).is_err());
    assert!(after(&later, &identity(&[("a", "1")], &[])).is_err());
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
    // A backup from before the rename is restored while the renamed account is in use.
    let kept = SeenIdentity {
        identity: new,
        keys: Arc::default(),
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
    // The account keeps its former user id, and can change back to it.
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

fn key(id: &str, byte: u8) -> EncryptionKey {
    EncryptionKey::parse(id, &STANDARD.encode([byte; 32])).unwrap()
}

/// The facts of a store that a gateway encrypts with `k1`.
fn encrypted() -> (Identity, Facts) {
    let identity = identity(&[("a", "1")], &[]);
    let keys = EncryptionKeys::new(vec![key("k1", 1)]);
    let facts = adopt(&identity, &keys, &Facts::new()).unwrap();
    (identity, facts)
}

#[test]
fn another_key_under_a_known_id_is_refused_at_start_and_by_verification() {
    let (identity, facts) = encrypted();
    for keys in [
        EncryptionKeys::new(vec![key("k1", 2)]),
        EncryptionKeys::new(vec![key("k2", 2), key("k1", 2)]),
        EncryptionKeys::only_decrypting(vec![key("k1", 2)]),
    ] {
        let refused = adopt(&identity, &keys, &facts).unwrap_err().to_string();
        assert!(refused.contains("another key \"k1\""), "{refused}");
        let seen = SeenIdentity {
            keys: Arc::new(keys),
            ..kept(&Facts::new(), &[("a", "1")])
        };
        assert!(seen.restore(None, &facts).is_err());
    }
    // A new key gets a fact beside the one that it replaces.
    let rotated = EncryptionKeys::new(vec![key("k2", 2), key("k1", 1)]);
    let written = adopt(&identity, &rotated, &facts).unwrap();
    assert_eq!(written.keys().collect::<Vec<_>>(), ["key:k2"]);
}

#[test]
fn store_with_keys_is_opened_without_any_only_if_that_is_explicit() {
    let (identity, facts) = encrypted();
    let refused = adopt(&identity, &EncryptionKeys::default(), &facts).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("[\"k1\"]") && refused.contains("\"none\""),
        "{refused}"
    );
    for keys in [vec![], vec![key("k1", 1)]] {
        let plain = EncryptionKeys::only_decrypting(keys);
        assert_eq!(adopt(&identity, &plain, &facts).unwrap(), Facts::new());
    }
    // A gateway that runs without keys goes on while another one begins to encrypt.
    let seen = kept(&Facts::new(), &[("a", "1")]);
    assert_eq!(seen.restore(None, &facts).unwrap(), Facts::new());
}

#[test]
fn keys_that_only_decrypt_leave_no_trace_and_suit_schema_3() {
    let identity = identity(&[("a", "1")], &[]);
    let shared = |keys: &EncryptionKeys, stored: &Facts| {
        let adoption = Adoption {
            identity: &identity,
            keys,
            partitions: None,
            new_schema: SCHEMA_BEFORE,
        };
        adoption.facts(stored)
    };
    let plain = EncryptionKeys::only_decrypting(vec![key("k1", 1)]);
    let facts = shared(&plain, &Facts::new()).unwrap();
    assert!(is(&facts, "schema", "3") && !facts.contains_key("key:k1"));
    let encrypting = EncryptionKeys::new(vec![key("k1", 1)]);
    assert!(shared(&encrypting, &facts).is_err());
    assert!(shared(&encrypting, &Facts::new()).is_err());
}

/// A store that the release before created never gets the fact by which records end at once.
#[test]
fn only_a_store_that_was_created_with_this_schema_was_never_shared() {
    let identity = identity(&[("a", "1")], &[]);
    let created = after(&Facts::new(), &identity).unwrap();
    assert!(super::is_unshared(&created));
    let before = Facts::from([("schema".to_owned(), "3".to_owned())]);
    let mut upgraded = after(&before, &identity).unwrap();
    upgraded.extend(super::upgraded(&upgraded).unwrap());
    assert!(is(&upgraded, "schema", "4") && !super::is_unshared(&upgraded));
}
