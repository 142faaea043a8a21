//! `store`: changes what the store knows of the accounts, where an operator says so.

use std::{collections::BTreeMap, fmt::Write};

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::{
    ambient::Ambient,
    config::{AccountSettings, Settings},
    store::{
        self, Identity, OpenError, OpenMode, OpenedStore, StoreSettings, UserIdBefore,
        UserIdChange,
        unresolved::{self, UNRESOLVED, Unresolved},
    },
    transaction::{AccountName, AccountNames},
};

/// What to change.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// OKEBAYAR assigned another member id to the same contract: make the configured user id
    /// that of the account. Without --yes it only shows what would change.
    ChangeUserid {
        /// The account, as it is configured.
        #[arg(long)]
        account: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
        /// Do it although transactions of the account are open, which are checked under the new
        /// user id from then on, or records cannot be read; and although codes are configured
        /// (`not_received_codes`, `failed_codes`) by which such a check may call a purchase FAILED
        /// that was made under the old user id: see docs/OPERATIONS.md.
        #[arg(long)]
        despite_open: bool,
    },
}

/// Opens the store of whatever accounts; it must exist.
async fn open(settings: &StoreSettings, ambient: Ambient) -> Result<OpenedStore, OpenError> {
    let anybody = Identity {
        accounts: BTreeMap::default(),
        names: AccountNames::default(),
        epoch: (ambient.random)(),
    };
    store::open(&settings.of_command(), &anybody, OpenMode::Existing).await
}

/// Runs the command, and returns what it did.
///
/// # Errors
/// When the store cannot be used, or the change is refused or not confirmed.
pub async fn run(action: Action, settings: &Settings, ambient: Ambient) -> Result<String> {
    let Action::ChangeUserid {
        account,
        yes,
        despite_open,
    } = action;
    let account = AccountName::parse(account)
        .map_err(|error| anyhow::anyhow!("--account: its name cannot be used: {error}"))?;
    let Some(configured) = settings.accounts.get(&account) else {
        bail!("--account: {account} is not configured; name one of accounts.*");
    };
    let change = UserIdChange {
        to: configured.user_id_hash(),
        account,
    };
    let opened = open(&settings.store, ambient).await?;
    let before = opened.change_user_id(&change, false).await?;
    let UserIdChange { account, to } = &change;
    if before.hash == *to {
        return Ok(format!(
            "account {account}: the store has the configured user id already (SHA-256 {to}); \
             nothing is changed"
        ));
    }
    let mut told = format!(
        "account {account}: user id SHA-256 {} in the store, {to} in the configuration\n",
        before.hash
    );
    let unresolved = unresolved::count(&*opened.store()).await?;
    let open = open_of(&unresolved, &before);
    writeln!(told, "transactions whose outcome is open: {open}")?;
    let unreadable = &unresolved.unreadable;
    if !unreadable.is_empty() {
        let some: Vec<&str> = unreadable.iter().take(10).map(String::as_str).collect();
        writeln!(
            told,
            "records that cannot be read, whose account is unknown; they count as open: {} ({}{})",
            unreadable.len(),
            some.join(", "),
            if some.len() < unreadable.len() {
                ", ..."
            } else {
                ""
            }
        )?;
    }
    if (open > 0 || !unreadable.is_empty()) && !despite_open {
        bail!(
            "{told}they would be checked under the new user id, and OKEBAYAR may not know them \
             there: let them settle first, or add --despite-open; nothing is changed"
        );
    }
    let believed = believed_codes(account, configured);
    if !believed.is_empty() && !despite_open {
        bail!(
            "{told}{}: OKEBAYAR may answer with such a code when one gateway checks under the new \
             user id what another one bought under the old one, and the purchase would become \
             FAILED. Take the codes out of every gateway's configuration first, and put them back \
             once everything claimed before the end of the rollout has settled, or add \
             --despite-open; nothing is changed",
            believed.join(" and ")
        );
    }
    if !yes {
        bail!("{told}add --yes to change the user id; nothing is changed");
    }
    let before = opened.change_user_id(&change, true).await?;
    let names: Vec<&str> = before.names.iter().map(AccountName::as_str).collect();
    write!(
        told,
        "changed: the store now has the configured user id for account {account} (names: {})",
        names.join(", ")
    )?;
    Ok(told)
}

/// Returns the keys of an account whose codes prove that nothing was bought.
fn believed_codes(account: &AccountName, configured: &AccountSettings) -> Vec<String> {
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

/// Counts the transactions that are still checked; those in NEEDS_REVIEW are not.
fn open_of(unresolved: &Unresolved, account: &UserIdBefore) -> u64 {
    let all = unresolved.by_account.iter();
    let ours = all.filter(|(name, _)| account.names.contains(*name));
    let open = ours.flat_map(|(_, counts)| UNRESOLVED.into_iter().zip(counts));
    let checked = open.filter(|(state, _)| *state != "NEEDS_REVIEW");
    checked.map(|(_, count)| count).sum()
}
