//! The shared store: one Redis, a primary with replicas, or a cluster, for any number of gateways.
//!
//! # Servers
//!
//! `servers.rs` finds the server of each call by its key:
//!
//! | topology | servers | found by |
//! | --- | --- | --- |
//! | standalone | one | its URL |
//! | sentinel | the primary | the sentinels, at each connection and each verification (`sentinel.rs`) |
//! | cluster | the primary of each slot | `CLUSTER NODES`, read again after `MOVED` and after a call without a reply (`cluster.rs`) |
//!
//! Calls that span partitions go to each server once, in one pipeline. A server that is down fails
//! its own partitions: due checks and events of the others are read on, and claims of the others are
//! stored. Listings and counts, which would be incomplete, fail.
//!
//! # Keys
//!
//! `p` is the partition: the first 8 bytes of SHA-256(reference) modulo the number of
//! partitions, where `<reference>` is the reference code in lower case and without
//! hyphens. All keys of one commit carry `{p}` as their hash tag, so that they lie in one slot
//! of a Redis Cluster.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `okb:{p}:tx:<reference>` | hash | `version` (the head, below), `body` (the record), `lease`, `lease_ends` and `lease_lasts` (of its check) |
//! | `okb:{p}:due` | sorted set | `<reference>` by due time in ms, or by the end of its lease |
//! | `okb:{p}:due:<account>` | sorted set | the same for one account; may lack a commit of an earlier release |
//! | `okb:{p}:asked:<account>` | sorted set | those whose check a callback or a caller requested |
//! | `okb:{p}:listing` | sorted set | `<state> <accepted, in ms> <reference>`, by that text |
//! | `okb:{p}:events` | stream | `key` (`packed_key.rs`), `number`, `body` of every event |
//! | `okb:{p}:erased` | hash | stream id to `<number> <key> <body>` of an event that was erased, and is deleted from the stream |
//! | `okb:{p}:number` | string | the number of the last event |
//! | `okb:{p}:traces` | hash | `count` of trace codes, `top` level of their buckets; `p` is the trace code's own |
//! | `okb:{p}:traces:<level>:<bucket>` | hash | `<account>:<trace code>` to `<reference>` (`index_trace.lua`) |
//! | `okb:{p}:note:<name>` | string | a note; `p` is the name's own |
//! | `okb:{p}:gone:<bucket>` | hash | tombstones, by a part of the hash of their reference |
//! | `okb:{p}:note:inquired:<reference>` | string | in a cluster, a mark lies in the partition of its reference code |
//! | `okb:{p}:seal` | string | the id of the note `guard`, which a claim must name |
//! | `okb:orphans`, `okb:notices`, `okb:guard-endings` | list | see [`super::BoundedList`], newest first |
//! | `okb:identity` | hash | schema, partitions, accounts, keys of encryption: see `store/identity/` |
//! | `okb:gateway:<id>` | string | a constant; the presence of a gateway (`presence.rs`): each verification writes it, and it expires |
//! | `okb:verify`, `okb:{p}:verify` | string | a constant; other verifications write it, and it expires |
//!
//! The head of a record is 16 bytes of attempt token, then `<version> <revision> <state> <index>` and
//! the stream ids of its latest events. `<index>` is the due index that holds it: `none`, `due`, or
//! `asked` for both. So a commit reads no record, and removes nothing that is not there.
//!
//! # Schema 3
//!
//! The release before this one shares a store of schema 3, so this release writes there what that
//! one reads: `version` is the version alone, `listed` is the entry in the listing, each
//! `event:<revision>` is a stream id, `key` of an event is text, and a trace code is a string
//! `okb:{p}:trace:<account>:<trace code>`. After an upgrade these stay, and are read, until a commit
//! replaces them or they are trimmed.
//!
//! SUBTLE: a gateway of the release before may run for some seconds after the upgrade, until its
//! next verification. Its script compares `version` with digits or nothing, which a head never
//! equals, and otherwise returns `body`, which it cannot read: it overwrites no compact record, and
//! never takes one for a free reference code.
//!
//! # Updates
//!
//! Scripts are atomic:
//!
//! - `commit.lua` compares epoch, seal, version and attempt token, then writes the record, its
//!   entry in the listing, its due indexes, the end of its lease, its event and the event's
//!   number, and publishes the notification. It writes all of it or, on a mismatch, nothing.
//! - `lease.lua` writes the lease of one check and moves its entries in the due indexes.
//! - `retire.lua` compares version and attempt token, then deletes the record with its entries in
//!   the listing and the due indexes, and writes its tombstone, or does nothing. `sweep.lua` removes
//!   ended tombstones.
//! - `put_note.lua` compares and sets one note or one seal; no note of a moved partition. The seals of
//!   all partitions are set one by one: a crash leaves some of them set, and the next gateway sets the rest.
//! - `index_trace.lua` writes or removes the entry of a trace code.
//! - `trim_events.lua` removes old events of a partition that receives no commits, which trim as well.
//! - `erase_event.lua` replaces one event by its erased form.
//! - `identity.lua` compares all facts that were read of the identity, and writes all facts or
//!   none.
//! - `push_item.lua` appends to a list and removes its oldest items; a seal is read after it.
//!
//! Nothing is atomic across two of these. The trace index is written beside the commit; a
//! missing entry costs a lookup, since the reference code always finds the transaction.
//!
//! # Determinate and indeterminate failures
//!
//! A call that was never handed to a connection wrote nothing, and neither did one that the
//! server rejected before it executed anything (`error.rs` lists the codes). After any other
//! failure (a time-out, a broken connection, an unreadable reply) the server may have executed
//! the call, or may still execute it.
//!
//! # What survives a crash
//!
//! A gateway that crashes loses nothing; its leases expire by the clock of Redis. The loss in a
//! crash of Redis depends on its persistence:
//!
//! | Redis | what a crash or restart loses |
//! | --- | --- |
//! | `appendfsync always` | nothing that was acknowledged, while the disk keeps what it synced |
//! | `appendfsync everysec` | about the last second |
//! | without AOF | everything since the last snapshot |
//!
//! # What a failover loses
//!
//! Replication is asynchronous. A promoted replica lacks what the old primary acknowledged and
//! had not replicated yet; the old primary may still serve the gateways that reach it.
//! Every restart and promotion changes the replication epoch ([`super::Store::epoch`]), and an
//! emptied partition lacks its seal, so `commit.lua` rejects each claim that names the earlier
//! epoch or seal; the failover guard then quarantines what may have been sent already. A cursor
//! of another epoch is out of range. This needs no gateway to detect the failover first.
//!
//! In a cluster each partition has the epoch of its server, so a promotion quarantines the reference
//! codes of that server only. A partition that moves between servers keeps its records: it is no loss
//! while the server that it came from runs unchanged, and the one that it moved to was known before
//! (`epoch.rs`).
//!
//! During a network partition the old primary still accepts claims, and the promoted replica does as
//! well. With `store.acknowledging_replicas` a claim is sent only after that many replicas have it
//! (`acknowledgement.rs`): the old primary, cut off from its replicas, gets no acknowledgement.
//!
//! Two losses are not covered (docs/RELIABILITY.md): a Redis that is emptied while no gateway is
//! connected looks new, and, where claims wait for fewer replicas than may be promoted, both sides of
//! a network partition may serve the same reference code.

mod access;
mod acknowledgement;
mod address;
mod bounded_lists;
mod cas_reply;
mod claim_connections;
mod cluster;
mod cluster_node;
mod commit;
mod connection;
mod description;
mod due;
mod epoch;
mod erasure;
mod error;
mod events;
mod health;
mod identity;
mod inspection;
mod keys;
mod listing;
mod next_event;
mod notes;
mod open;
mod packed_key;
mod partitions;
mod presence;
mod raw_event;
mod records;
mod script;
mod sentinel;
mod server;
mod server_info;
mod servers;
mod settings;
mod sizes;
mod slot;
mod store;
mod store_impl;
mod subscription;
mod tombstones;
mod topology;
mod traces;
mod trimming;
mod trouble;
mod walk;

pub use access::{RedisCertificates, RedisUser};
pub use settings::RedisSettings;
pub use store::RedisStore;
pub use topology::{AcknowledgingReplicas, RedisAccess, RedisTopology};
