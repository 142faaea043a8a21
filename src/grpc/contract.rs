//! The code and the descriptor that `build.rs` generates from `proto/`.

/// The generated code.
#[expect(clippy::pedantic, reason = "generated; the documentation is in proto/")]
pub mod v1 {
    tonic::include_proto!("okebayar.gateway.v1");
}

/// The descriptor of every served message, for reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
