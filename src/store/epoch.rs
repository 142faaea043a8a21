//! The replication epoch of a store and the seals of its partitions, as a claim names them.
//!
//! The epoch changes when committed records may be lost: a replica was promoted, Redis was
//! restarted, a backup was restored. A store that is emptied while it runs keeps its epoch, but
//! loses its seals. So a claim names both, as `<epoch> <seal>`.

/// The seal of each partition of a store; `None` where a partition carries none.
pub type Seals = Vec<Option<String>>;

/// Splits the name that a claim gives into the epoch and the seal; the seal is empty when the
/// name has none.
#[must_use]
pub fn parts_of(name: &str) -> (&str, &str) {
    name.rsplit_once(' ').unwrap_or((name, ""))
}
