//! The code and the descriptor set that `build.rs` generates from `proto/`.

/// The generated messages, clients and service traits.
#[expect(clippy::pedantic, reason = "generated; the documentation is in proto/")]
pub mod v1 {
    tonic::include_proto!("okebayar.gateway.v1");
}

/// The descriptor set of the contract, for reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
