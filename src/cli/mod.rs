//! The command line of the program, one file for each subcommand.
//!
//! `arguments` lists the subcommands, and `run` starts one. `call` has a folder of its own, with a
//! file for each RPC.

mod arguments;
mod call;
mod completions;
mod dev;
mod guard;
mod health;
mod man;
mod process;
mod run;
mod sandbox;
mod serve;
mod store;

pub use arguments::{Cli, CliCommand};
pub use run::run;
