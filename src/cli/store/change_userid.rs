//! `store change-userid`: changes the user id of an account in the store.

use std::{collections::BTreeSet, fmt::Write};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueHint};

use super::opening::open;
use crate::{
    ambient::Ambient,
    config::{AccountSettings, Settings},
    store::{
        OpenMode, UserIdBefore, UserIdChange,
        unresolved::{self, UNRESOLVED, Unresolved},
    },
    transaction::AccountName,
};

/// The arguments of the command.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ChangeUseridArguments {
    /// Change the user id of this configured account.
    #[arg(long, value_hint = ValueHint::Other)]
    account: String,
    /// Apply the change; without it, only show what would change.
    #[arg(long)]
    yes: bool,
    /// Apply the change although a check under the new user id may go wrong: transactions of
    /// the account are open, or records cannot be read, or the codes in `not_received_codes`
    /// or `failed_codes` may make a purchase under the old user id FAILED. See
    /// docs/OPERATIONS.md.
    #[arg(long)]
    despite_open: bool,
}

/// Changes the user id, and returns the text that reports it.
///
/// # Errors
/// When the store cannot be opened, or the change is refused or not confirmed.
pub(super) async fn run(
    arguments: ChangeUseridArguments,
    settings: &Settings,
    ambient: Ambient,
) -> Result<String> {
    let ChangeUseridArguments {
        account,
        yes,
        despite_open,
    } = arguments;
    let account = AccountName::parse(account)
        .map_err(|error| anyhow::anyhow!("--account: the name is invalid: {error}"))?;
    let Some(configured) = settings.accounts.get(&account) else {
        bail!("--account: {account} is not configured; name one of accounts.*");
    };
    let change = UserIdChange {
        to: configured.user_id_hash(),
        account,
    };
    let opened = open(&settings.store, ambient, OpenMode::Existing).await?;
    let before = opened.change_user_id(&change, false).await?;
    let UserIdChange { account, to } = &change;
    if before.hash == *to {
        return Ok(format!(
            "account {account}: the store has the configured user id already (SHA-256 {to}); \
             nothing is changed"
        ));
    }
    let unresolved = unresolved::count(&*opened.store()).await?;
    let open = open_of(&unresolved, &before);
    let mut report = preview(&change, &before, open, &unresolved.unreadable)?;
    if !despite_open {
        ensure_nothing_open(&report, open, &unresolved.unreadable)?;
        ensure_no_decisive_codes(&report, account, configured)?;
    }
    if !yes {
        bail!("{report}add --yes to change the user id; nothing is changed");
    }
    let before = opened.change_user_id(&change, true).await?;
    let names: Vec<&str> = before.names.iter().map(AccountName::as_str).collect();
    write!(
        report,
        "changed: the store now has the configured user id for account {account} (names: {})",
        names.join(", ")
    )?;
    Ok(report)
}

/// The most unreadable records that are named.
const UNREADABLE_SHOWN: usize = 10;

/// Describes the change and what it affects, one fact on each line.
fn preview(
    change: &UserIdChange,
    before: &UserIdBefore,
    open: u64,
    unreadable: &BTreeSet<String>,
) -> Result<String> {
    let UserIdChange { account, to } = change;
    let mut report = format!(
        "account {account}: user id SHA-256 {} in the store, {to} in the configuration\n\
         transactions whose outcome is open: {open}\n",
        before.hash
    );
    if !unreadable.is_empty() {
        let shown: Vec<&str> = unreadable
            .iter()
            .take(UNREADABLE_SHOWN)
            .map(String::as_str)
            .collect();
        writeln!(
            report,
            "records that cannot be read, whose account is unknown; they count as open: {} ({}{})",
            unreadable.len(),
            shown.join(", "),
            if shown.len() < unreadable.len() {
                ", ..."
            } else {
                ""
            }
        )?;
    }
    Ok(report)
}

/// Refuses the change while a transaction of the account is, or may be, open.
fn ensure_nothing_open(report: &str, open: u64, unreadable: &BTreeSet<String>) -> Result<()> {
    ensure!(
        open == 0 && unreadable.is_empty(),
        "{report}open transactions would be checked under the new user id, where OKEBAYAR may not \
         know them: wait until they have settled, or add --despite-open; nothing is changed"
    );
    Ok(())
}

/// Refuses the change while configured codes could make a purchase under the old user id FAILED.
fn ensure_no_decisive_codes(
    report: &str,
    account: &AccountName,
    configured: &AccountSettings,
) -> Result<()> {
    let keys = decisive_code_keys(account, configured);
    ensure!(
        keys.is_empty(),
        "{report}{}: during a rollout one gateway may check under the new user id a purchase that \
         another one made under the old one; if OKEBAYAR answers with such a code, the purchase \
         becomes FAILED. Remove the codes from every gateway's configuration first, and restore \
         them when everything claimed before the end of the rollout has settled, or add \
         --despite-open; nothing is changed",
        keys.join(" and ")
    );
    Ok(())
}

/// Returns the configuration keys by whose codes a check proves that nothing was bought.
fn decisive_code_keys(account: &AccountName, configured: &AccountSettings) -> Vec<String> {
    let lists = &configured.account.code_lists;
    [
        ("not_received_codes", &lists.not_received),
        ("failed_codes", &lists.failed),
    ]
    .into_iter()
    .filter(|(_, codes)| !codes.is_empty())
    .map(|(key, _)| format!("accounts.{account}.{key}"))
    .collect()
}

/// Counts the account's transactions that are still checked: not those in NEEDS_REVIEW.
fn open_of(unresolved: &Unresolved, account: &UserIdBefore) -> u64 {
    let all = unresolved.by_account.iter();
    let ours = all.filter(|(name, _)| account.names.contains(*name));
    let open = ours.flat_map(|(_, counts)| UNRESOLVED.into_iter().zip(counts));
    let checked = open.filter(|(state, _)| *state != "NEEDS_REVIEW");
    checked.map(|(_, count)| count).sum()
}
