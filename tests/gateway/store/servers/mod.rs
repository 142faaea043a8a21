//! The servers that the tests start, in the topologies of production: that the harness produces the
//! failures that other tests rely on.

pub mod cluster;
pub mod sentinels;
pub mod tls;
