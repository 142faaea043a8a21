//! `store`: inspects and changes the store by order of an operator, one file for each subcommand.

mod action;
mod change_userid;
mod copy;
mod erase;
mod opening;
mod stats;
mod upgrade;
mod verify;

pub(super) use action::{StoreAction, run};
pub(super) use verify::Unverified;
