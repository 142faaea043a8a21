//! The faults of a part of a store.

/// The fault of one server of a store, while others answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFault {
    /// The address of the server.
    pub server: String,
    /// The partitions that it holds.
    pub partitions: Vec<usize>,
    /// The problem, for operators.
    pub problem: String,
}

impl std::fmt::Display for PartFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.partitions.len();
        write!(
            f,
            "{}, with {count} partitions: {}",
            self.server, self.problem
        )
    }
}
