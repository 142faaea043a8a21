//! The identity of a store: its schema, and the names and user ids of its accounts.
//!
//! | fact | value |
//! | --- | --- |
//! | `schema` | the version of the stored form; another text marks a store that is copied (`copy_mark.rs`) |
//! | `copy:schema`, `copy:id`, `copy:peer` | of a store that is copied: its schema, the copy, the other store |
//! | `created` | the schema with which the store was created; missing in one that the release before created |
//! | `partitions` | Redis: the number of partitions |
//! | `key:<id>` | the check value of a key of encryption (`keys.rs`) |
//! | `account:<name>` | the SHA-256 of the account's user id; former names are kept, with the present hash |
//! | `userid:<SHA-256>` | the present name of the account; user ids that it had before are kept |
//!
//! A name belongs to one user id permanently, and a user id to one name at a time. So a start
//! detects a renamed account or another user id before anything is claimed under a name that
//! older records do not have. Both changes must be explicit: by `accounts.<name>.formerly`, and
//! by `store change-userid`.
//!
//! SUBTLE: the comparison and the write are one atomic step of the store (a transaction of redb, a
//! compare-and-set script of Redis over everything that was read). Otherwise:
//! 1. gateway A (account `old`) and gateway B (account `new`), with the same user id, start
//!    concurrently on an empty store, and both read nothing;
//! 2. both write, and the store has two names for one user id.
//!
//! With the atomic step the second writer reads again and is rejected. A crash leaves all facts
//! or none.
//!
//! A Redis that is emptied loses its identity, and a gateway with another identity could adopt
//! it. So each gateway keeps in memory every fact that it has seen, and each verification
//! restores the missing ones. The result is the union of the facts of all running gateways, in
//! any order.

mod accounts;
mod adopt;
mod copy_mark;
mod facts;
mod faults;
mod keys;
mod seen;
mod user_id;

#[cfg(test)]
mod tests;

pub use accounts::{Identity, KnownAccounts};
pub(in crate::store) use adopt::{Adoption, verify_partitions};
pub use copy_mark::{CopyMark, CopyRole};
pub(in crate::store) use copy_mark::{refuse_marked, true_schema};
pub(in crate::store) use facts::{
    Facts, SCHEMA_FACT, account_names, is_unshared, schema_of, upgraded,
};
pub(in crate::store) use faults::faults;
pub(in crate::store) use keys::{key_facts, verify_keys};
pub(in crate::store) use seen::SeenIdentity;
pub use user_id::{UserIdBefore, UserIdChange};
