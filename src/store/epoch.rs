//! The replication epoch of a store and the seals of its partitions, as a claim names them.
//!
//! The epoch changes when committed records may be lost: a replica was promoted, Redis was
//! restarted, a backup was restored. A store that is emptied while it runs keeps its epoch, but
//! loses its seals. So a claim names both, as `<epoch> <seal>`.
//!
//! A store on several servers has one epoch for each partition: that of the server that holds it.
//! They are named together, as `<epoch>,<epoch>/<index>.<index>...`: the epochs of all servers, those
//! without a partition included, and for each partition which one of them is its own. A store on one
//! server names its one epoch.

use std::collections::BTreeSet;

use super::error::StoreError;

/// The seal of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It carries this one.
    Carried(String),
    /// It carries none.
    Missing,
    /// Its server does not answer.
    Unknown,
}

/// The seal of each partition of a store.
pub type Seals = Vec<Seal>;

/// Before the name of the store that the records were moved to, in a seal that no claim names.
/// `commit.lua` and `put_note.lua` know it too.
const MOVED: &str = "moved:";

/// Returns the seal of a partition whose records are moved to another store.
#[must_use]
pub fn moved_seal(peer: &str) -> String {
    format!("{MOVED}{peer}")
}

/// Returns true for the seal of a partition whose records are moved to another store.
#[must_use]
pub fn is_moved(seal: &Seal) -> bool {
    matches!(seal, Seal::Carried(seal) if seal.starts_with(MOVED))
}

/// Verifies that no partition is, or was, moved to another store.
///
/// # Errors
/// [`StoreError::Unsuitable`] with the remedy, when one is.
pub fn refuse_moved(seals: &[Seal]) -> Result<(), StoreError> {
    let peer = |seal: &Seal| match seal {
        Seal::Carried(seal) => seal.strip_prefix(MOVED).map(str::to_owned),
        Seal::Missing | Seal::Unknown => None,
    };
    match seals.iter().find_map(peer) {
        Some(peer) => Err(StoreError::Unsuitable(format!(
            "it was moved to {peer}, or is being moved there: configure that store, or, if the move \
             is not finished, return to this one with okebayar-gateway store copy --cancel"
        ))),
        None => Ok(()),
    }
}

/// Returns the name by which a commit gives a seal alone: it is accepted in every epoch.
#[must_use]
pub fn seal_name(seal: &str) -> String {
    format!(" {seal}")
}

/// Splits the name that a claim gives into the epoch and the seal; either is empty when the name
/// has none.
#[must_use]
pub fn parts_of(name: &str) -> (&str, &str) {
    name.rsplit_once(' ').unwrap_or((name, ""))
}

/// Names the epochs of all partitions together, and those of the servers without a partition.
pub(super) fn join(epochs: &[String], others: &[String]) -> String {
    let mut different: Vec<&str> = Vec::new();
    let mut indexes = Vec::new();
    for epoch in epochs {
        let known = different.iter().position(|known| known == epoch);
        indexes.push(known.unwrap_or_else(|| {
            different.push(epoch);
            different.len() - 1
        }));
    }
    for other in others {
        if !different.contains(&other.as_str()) {
            different.push(other);
        }
    }
    if different.len() == 1 {
        return different[0].to_owned();
    }
    let indexes: Vec<String> = indexes.iter().map(usize::to_string).collect();
    format!("{}/{}", different.join(","), indexes.join("."))
}

/// Returns the epoch of one partition in a name that [`join`] returned; empty when the name has
/// none.
pub(super) fn of_partition(name: &str, partition: usize) -> &str {
    let Some((epochs, indexes)) = name.split_once('/') else {
        return name;
    };
    let index = indexes.split('.').nth(partition);
    let index = index.and_then(|index| index.parse().ok());
    index
        .and_then(|index| epochs.split(',').nth(index))
        .unwrap_or_default()
}

/// Returns the epochs in a name, each once.
pub(super) fn all_in(name: &str) -> impl Iterator<Item = &str> {
    let epochs = name.split_once('/').map_or(name, |(epochs, _)| epochs);
    epochs.split(',')
}

/// Returns the number of partitions that a name distinguishes; `None` when it is of one epoch.
fn partitions_in(name: &str) -> Option<usize> {
    let (_, indexes) = name.split_once('/')?;
    Some(indexes.split('.').count())
}

/// The epoch of a store, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochReading {
    /// Its name.
    pub name: String,
    /// The partitions that another server holds since the epoch that the reader knew, with their
    /// epochs at the former server, which still runs and lost nothing.
    pub(super) moved: Vec<(usize, String)>,
    /// A partition is half moved: its records lie at two servers, of which the epoch names one.
    pub(super) is_slot_open: bool,
}

impl From<String> for EpochReading {
    /// Builds the epoch of a store of which no partition moved.
    fn from(name: String) -> Self {
        Self {
            name,
            moved: Vec::new(),
            is_slot_open: false,
        }
    }
}

impl EpochReading {
    /// Returns the partitions that may have lost records, where these have.
    ///
    /// SUBTLE: 1. a slot is moved from A to B, and B has some of its records; 2. B fails, and its
    /// replica is promoted without the last of these. The loss shows in the other partitions of B,
    /// and not in the half-moved one, whose epoch is that of A.
    #[must_use]
    pub fn widen(&self, lost: LostPartitions) -> LostPartitions {
        match lost {
            LostPartitions::Some(_) if self.is_slot_open => LostPartitions::All,
            lost => lost,
        }
    }

    /// Returns the partitions that may have lost records since an earlier epoch.
    #[must_use]
    pub fn lost_since(&self, earlier: &str) -> LostPartitions {
        if self.name == earlier {
            return LostPartitions::None;
        }
        let count = partitions_in(&self.name).max(partitions_in(earlier));
        let Some(count) = count else {
            return LostPartitions::All;
        };
        let is_lost = |partition: &usize| {
            let before = of_partition(earlier, *partition);
            let has_moved = |(moved, from): &(usize, String)| moved == partition && from == before;
            before != of_partition(&self.name, *partition) && !self.moved.iter().any(has_moved)
        };
        LostPartitions::of((0..count).filter(is_lost).collect(), count)
    }
}

/// The partitions that may have lost records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostPartitions {
    /// None.
    None,
    /// All.
    All,
    /// These, but not all.
    Some(BTreeSet<usize>),
}

impl LostPartitions {
    /// Builds the value from the lost ones of `count` partitions.
    #[must_use]
    pub fn of(lost: BTreeSet<usize>, count: usize) -> Self {
        if lost.is_empty() {
            Self::None
        } else if lost.len() == count {
            Self::All
        } else {
            Self::Some(lost)
        }
    }

    /// Returns the partitions that are lost in one of two readings of `count` partitions.
    #[must_use]
    pub fn and(self, other: Self, count: usize) -> Self {
        match (self, other) {
            (Self::None, other) | (other, Self::None) => other,
            (Self::Some(one), Self::Some(two)) => Self::of(&one | &two, count),
            _ => Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(epochs: &[&str]) -> String {
        let epochs: Vec<String> = epochs.iter().map(ToString::to_string).collect();
        join(&epochs, &[])
    }

    fn lost(partitions: &[usize]) -> LostPartitions {
        LostPartitions::Some(partitions.iter().copied().collect())
    }

    #[test]
    fn epoch_of_each_partition_reads_back() {
        assert_eq!(name(&["a:1", "a:1"]), "a:1");
        let several = name(&["a:1", "b:2", "a:1", "c:3"]);
        let read: Vec<&str> = (0..4).map(|index| of_partition(&several, index)).collect();
        assert_eq!(read, ["a:1", "b:2", "a:1", "c:3"]);
        assert_eq!(of_partition(&several, 4), "");
        assert_eq!(of_partition("a:1", 63), "a:1");
        let joined = join(&["a:1".to_owned()], &["b:2".to_owned(), "a:1".to_owned()]);
        assert_eq!(of_partition(&joined, 0), "a:1");
        assert_eq!(all_in(&joined).collect::<Vec<_>>(), ["a:1", "b:2"]);
    }

    #[test]
    fn only_partitions_of_a_changed_epoch_are_lost() {
        let before = name(&["a", "b", "a"]);
        let since = |now: &[&str], moved: &[(usize, &str)]| {
            let moved = moved
                .iter()
                .map(|(index, from)| (*index, (*from).to_owned()));
            let reading = EpochReading {
                name: name(now),
                moved: moved.collect(),
                is_slot_open: false,
            };
            reading.lost_since(&before)
        };
        assert_eq!(since(&["a", "b", "a"], &[]), LostPartitions::None);
        assert_eq!(since(&["a", "c", "a"], &[]), lost(&[1]));
        assert_eq!(since(&["c", "b", "c"], &[]), lost(&[0, 2]));
        assert_eq!(since(&["c", "d", "c"], &[]), LostPartitions::All);
        assert_eq!(since(&["a", "b", "b"], &[(2, "a")]), LostPartitions::None);
        // It moved from a server that was another one already.
        assert_eq!(since(&["a", "b", "b"], &[(2, "x")]), lost(&[2]));
        assert_eq!(since(&["b", "b", "b"], &[]), lost(&[0, 2]));
    }

    #[test]
    fn store_on_one_server_loses_all_or_nothing() {
        let reading = EpochReading::from("a".to_owned());
        assert_eq!(reading.lost_since("a"), LostPartitions::None);
        assert_eq!(reading.lost_since("b"), LostPartitions::All);
    }
}
