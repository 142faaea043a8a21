//! The subcommands of `store`.

use anyhow::Result;
use clap::Subcommand;

use super::{
    change_userid::{self, ChangeUseridArguments},
    copy::{self, CopyArguments},
    erase::{self, EraseArguments},
    stats, upgrade, verify,
};
use crate::{ambient::Ambient, config::Settings};

/// An inspection or a change of the store.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum StoreAction {
    /// Change the user id of an account in the store to the configured one
    ///
    /// Use this when OKEBAYAR assigned another member id to the same contract. Without --yes,
    /// nothing is changed.
    ChangeUserid(ChangeUseridArguments),
    /// Read everything in the store, and report what is inconsistent
    ///
    /// Writes nothing. Exits with 0 if the store is consistent, with 1 if not, with 2 if it cannot be
    /// read.
    Verify,
    /// Show the records by state, the bytes that they take, and their growth
    Stats,
    /// Copy the store to another one, which replaces it
    ///
    /// Stop every gateway first. From the beginning of the copy on, gateways refuse this store; once
    /// it is finished, configure the other one. Run the command again after an interruption.
    Copy(CopyArguments),
    /// Raise the store to the schema of this release, for ever
    ///
    /// Records are then compact, and can be encrypted; an earlier release can no longer use the
    /// store. Run it when every gateway has this release. On Redis, gateways may run; stop the
    /// gateway of an embedded store. Without --yes, nothing is changed.
    Upgrade {
        /// Upgrade; without it, only show what would change.
        #[arg(long)]
        yes: bool,
    },
    /// Erase the personal data of a final transaction, and keep its outcome
    ///
    /// Account numbers, names, contact, serial numbers, texts and labels are erased from its record
    /// and its events. State, product, price, times and trace code stay, and a repeated call under
    /// the reference code still sends nothing. Without --yes, nothing is changed.
    Erase(EraseArguments),
}

/// Runs the subcommand, and returns the text that reports what it did.
///
/// # Errors
/// When the store cannot be opened, is inconsistent, or the change is refused or not confirmed.
pub(in crate::cli) async fn run(
    action: StoreAction,
    settings: &Settings,
    ambient: Ambient,
) -> Result<String> {
    match action {
        StoreAction::ChangeUserid(arguments) => {
            change_userid::run(arguments, settings, ambient).await
        }
        StoreAction::Verify => verify::run(settings, ambient).await,
        StoreAction::Stats => stats::run(settings, ambient).await,
        StoreAction::Copy(arguments) => copy::run(&arguments, settings, ambient).await,
        StoreAction::Upgrade { yes } => upgrade::run(yes, settings, ambient).await,
        StoreAction::Erase(arguments) => erase::run(&arguments, settings, ambient).await,
    }
}
