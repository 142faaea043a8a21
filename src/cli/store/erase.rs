//! `store erase`: erases the personal data of a final transaction.

use anyhow::{Context, Result, bail};
use clap::{Args, ValueHint};

use super::opening::open;
use crate::{
    ambient::Ambient,
    config::Settings,
    store::{Commit, OpenMode, SCHEMA, Store},
    transaction::{ReferenceCode, TransactionKey},
};

/// The number of attempts to save, while gateways change the transaction.
const TRIES_MAX: u32 = 8;

/// The arguments of the command.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct EraseArguments {
    /// Erase the transaction with this reference code.
    #[arg(value_hint = ValueHint::Other)]
    reference_code: String,
    /// Erase; without it, only show what would be erased. It cannot be undone.
    #[arg(long)]
    yes: bool,
}

/// Erases a transaction, and returns the text that reports it.
///
/// # Errors
/// When the store cannot be opened, there is no such transaction, it is not final, or the erasure is
/// not confirmed.
pub(super) async fn run(
    arguments: &EraseArguments,
    settings: &Settings,
    ambient: Ambient,
) -> Result<String> {
    let code = ReferenceCode::parse(&arguments.reference_code)
        .map_err(|error| anyhow::anyhow!("the reference code is invalid: {error}"))?;
    let opened = open(&settings.store, ambient, OpenMode::Existing).await?;
    if opened.schema() < SCHEMA {
        bail!("erasing needs a store of schema {SCHEMA}: run okebayar-gateway store upgrade first");
    }
    let store = opened.store();
    let key = TransactionKey::new(&code);
    erase_record(&*store, &key, arguments.yes, settings, ambient).await?;
    // After the record: a change of a gateway in between is made from the erased record. An earlier
    // run may have ended before this step.
    let erased = store.load(&key).await?;
    let erased = erased.with_context(|| format!("{code}: the record disappeared"))?;
    let events = store.erase_events(&erased).await;
    let events =
        events.context("the record is erased, but not all events; run the command again")?;
    let overwritten = opened.overwrite_freed().await;
    overwritten.context(
        "the transaction is erased, but its former bytes may still be in the file; run the command \
         again",
    )?;
    Ok(format!(
        "{code}: erased, with {events} earlier events; it is still {}",
        erased.status().state.name()
    ))
}

/// Erases the record, unless it is erased already.
async fn erase_record(
    store: &dyn Store,
    key: &TransactionKey,
    yes: bool,
    settings: &Settings,
    ambient: Ambient,
) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let stored = store.load(key).await?;
        let stored = stored.context("there is no transaction with this reference code")?;
        let salt = (ambient.random)().into_bytes();
        let change = stored.erase(salt, (ambient.now)(), &settings.schedule);
        let Some(change) = change.context("nothing is erased")? else {
            return Ok(());
        };
        if !yes {
            bail!(
                "the transaction is {}; account numbers, names, contact, serial numbers, texts and \
                 labels would be erased from its record and its events, and cannot be restored\n\
                 add --yes to erase them; nothing is changed",
                stored.status().state.name()
            );
        }
        if matches!(store.commit(&change, None).await?, Commit::Done) {
            return Ok(());
        }
    }
    bail!("gateways kept changing the transaction; run the command again")
}
