//! Options of a call that spends money: how long it waits, and whether it watches afterwards.

use clap::Args;

use crate::grpc::v1;

/// The wait of a purchase or payment.
#[derive(Args)]
pub struct WaitArguments {
    /// Wait for a terminal state instead of OKEBAYAR's first answer.
    #[arg(long = "final")]
    pub is_final: bool,
    /// Print every further change until the outcome is known.
    #[arg(long)]
    pub watch: bool,
}

impl WaitArguments {
    /// Returns the number of the `WaitUntil` that the gateway waits for.
    pub(super) fn until(&self) -> i32 {
        if self.is_final {
            v1::WaitUntil::Terminal.into()
        } else {
            v1::WaitUntil::Answered.into()
        }
    }
}
