//! The process as a whole: start, shutdown, crashes, replicas, memory.

pub mod connection_age;
pub mod crash;
pub mod double_purchase_rounds;
pub mod memory_bounds;
pub mod replicas;
pub mod shutdown;
