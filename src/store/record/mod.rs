//! The stored forms of a record and of an event. What is stored is input: decoding verifies it.
//!
//! # Forms
//!
//! The first byte of a body names its form:
//!
//! | first byte | form | written |
//! | --- | --- | --- |
//! | `{` | JSON (`json.rs`) | in a store of schema 3 |
//! | `1` to `63` (a number) | JSON, compressed with the dictionary of that number (`compact.rs`) | in a store of schema 4 |
//! | `0xE1` | one of the forms above, encrypted (`cipher.rs`) | in a store of schema 4, when a key is configured |
//!
//! Every form is read at all times, whatever the schema of the store. A form that a release has
//! written is never changed: `golden.rs` pins the bytes of each. A dictionary is never changed
//! either, only added (`dictionary.rs`).
//!
//! All forms hold the same JSON, so the fields that only a later release knows survive a save in
//! every form (`docs/decisions/0010-what-a-later-release-stored.md`).
//!
//! # Schema
//!
//! A store is created with [`SCHEMA`]. One that an earlier release created keeps [`SCHEMA_BEFORE`],
//! and this release writes to it exactly what that release can read, until an operator runs
//! `store upgrade`. A gateway learns of the upgrade at its next verification, or from the first
//! compact body that it reads ([`Codec`]).
//!
//! # Events
//!
//! An event holds what a reader of that revision can see, in the form of a record, so it needs no
//! other event and no record. In the compact forms it lacks the attempt token and the trace of the
//! call, which no reader of an event sees.

mod cipher;
mod codec;
mod compact;
mod dictionary;
mod json;

#[cfg(test)]
mod golden;

pub use cipher::{BadKey, EncryptionKey, EncryptionKeys};
pub(in crate::store) use codec::{Codec, Form};
pub use codec::{SCHEMA, SCHEMA_BEFORE};
