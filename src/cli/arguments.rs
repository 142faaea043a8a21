//! The subcommands of the program and their arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use jiff::SignedDuration;

use super::{
    call::CallArguments, guard::GuardAction, sandbox::SandboxArguments, store::StoreAction,
};

/// Buy at OKEBAYAR over gRPC, each reference code at most once.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    /// The subcommand to run.
    #[command(subcommand)]
    pub command: CliCommand,
}

/// One subcommand of the program.
#[derive(Subcommand)]
pub enum CliCommand {
    /// Run the gateway.
    Serve {
        /// Read settings from this TOML file; environment variables override it. See
        /// docs/CONFIGURATION.md.
        #[arg(long, value_hint = ValueHint::FilePath)]
        config: Option<PathBuf>,
        /// Verify the configuration and the store, print every fault and warning, and exit. Connects
        /// to the servers of a shared store, and writes nothing.
        #[arg(long)]
        check: bool,
        /// With --check, do not connect to the store.
        #[arg(long, requires = "check")]
        offline: bool,
    },
    /// Show or change the failover guard.
    ///
    /// While the guard is on, because the store may have lost records, purchases under unknown
    /// reference codes that are not provably newer than the loss are quarantined.
    Guard {
        /// The action on the guard.
        #[command(subcommand)]
        action: GuardAction,
        /// Read settings from this TOML file; environment variables override it.
        #[arg(long, global = true, value_hint = ValueHint::FilePath)]
        config: Option<PathBuf>,
    },
    /// Change the store: what it records about accounts, its schema, personal data.
    ///
    /// Stop the gateway of an embedded store first; on Redis, gateways may run.
    Store {
        /// The change.
        #[command(subcommand)]
        action: StoreAction,
        /// Read settings from this TOML file; environment variables override it.
        #[arg(long, global = true, value_hint = ValueHint::FilePath)]
        config: Option<PathBuf>,
    },
    /// Check whether a running gateway serves: exit with 0 if it does, with 1 if not.
    Health {
        /// Check the gateway at this gRPC address.
        #[arg(long, default_value = "http://127.0.0.1:50051", value_hint = ValueHint::Url)]
        address: String,
    },
    /// Wait and exit, for a preStop hook in an image that has no shell.
    Pause {
        /// Wait for this time, such as 5s.
        #[arg(value_hint = ValueHint::Other)]
        duration: SignedDuration,
    },
    /// Run a sandbox of OKEBAYAR, for development and tests.
    Sandbox(SandboxArguments),
    /// Call a running gateway
    ///
    /// The exit code reports the outcome:
    ///
    ///   0  done; a transaction is SUCCEEDED
    ///   1  refused, or --address cannot be read; if the gateway refused a purchase or payment:
    ///      nothing was ever sent under its reference code
    ///   2  wrong arguments
    ///   3  no money is spent: FAILED, NOT_SENT or REVERSED
    ///   4  open: SENDING, PENDING or CONFIRMING
    ///   5  an operator must resolve it: NEEDS_REVIEW
    ///   6  something may have been sent under the reference code:
    ///      repeat the very same call, or read the transaction
    #[command(verbatim_doc_comment)]
    Call(CallArguments),
    /// Run gateway and sandbox on loopback, and buy one product.
    Dev {
        /// Use free ports and a temporary store, and exit after the purchase.
        #[arg(long)]
        once: bool,
    },
    /// Print the completions of a shell, to be stored where it looks for them or sourced.
    Completions {
        /// Print the completions of this shell.
        shell: Shell,
    },
    /// Print the man page, such as for `man -l -`.
    Man,
}
