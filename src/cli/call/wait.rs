//! Options of a call that spends money: how long it waits, and whether it watches afterwards.

use clap::{Args, ValueEnum};

use crate::grpc::v1;

/// The wait of a purchase or payment.
#[derive(Args)]
pub struct WaitArguments {
    /// Wait until this is known.
    #[arg(long, default_value = "answered")]
    wait_until: WaitName,
    /// Print every further change until the outcome is known.
    #[arg(long)]
    pub watch: bool,
}

/// The condition that a call waits for.
#[derive(Clone, Copy, ValueEnum)]
enum WaitName {
    /// The intent is stored.
    Stored,
    /// OKEBAYAR has answered.
    Answered,
    /// The state is terminal.
    Terminal,
}

impl WaitArguments {
    /// Returns the number of the `WaitUntil` that the gateway waits for.
    pub(super) fn until(&self) -> i32 {
        let until = match self.wait_until {
            WaitName::Stored => v1::WaitUntil::Stored,
            WaitName::Answered => v1::WaitUntil::Answered,
            WaitName::Terminal => v1::WaitUntil::Terminal,
        };
        until.into()
    }
}
