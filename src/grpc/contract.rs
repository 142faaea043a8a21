//! The code and the descriptor set that `build.rs` generates from `proto/`.

/// The generated messages, clients and service traits.
#[expect(clippy::pedantic, reason = "generated; the documentation is in proto/")]
pub mod v1 {
    tonic::include_proto!("okebayar.gateway.v1");
}

impl v1::NextStep {
    /// Returns true when the caller may purchase the same product now, under this reference code
    /// or a new one.
    #[must_use]
    pub fn allows_purchase(self) -> bool {
        match self {
            Self::RetrySameReference
            | Self::BuyAgain
            | Self::CorrectAndBuyAgain
            | Self::InquireAgain
            | Self::CorrectAndRetrySameReference => true,
            Self::Unspecified
            | Self::Wait
            | Self::None
            | Self::ContactOperator
            | Self::DoNotBuyAgain
            | Self::ReadTransaction => false,
        }
    }
}

/// The descriptor set of the contract, for reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
