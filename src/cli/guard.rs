//! `guard`: shows the failover guard, and turns it on or off at an operator's command.

use std::{fmt::Write as _, sync::Arc};

use anyhow::{Context, Result};
use clap::Subcommand;
use jiff::Timestamp;

use crate::{
    ambient::Ambient,
    config::Settings,
    failover::{
        known_epoch::KnownEpoch,
        observation::{self as guard, Ending, Shown},
        release,
    },
    store::{self, BoundedList, OpenMode, Store},
    transaction::Release,
};

/// An action on the failover guard.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum GuardAction {
    /// Show whether the guard is on, and why it was ended; write nothing.
    Show,
    /// Turn the guard on: the store has lost records. Where there is no store, create one, in the
    /// place of one that cannot be used any more.
    Start,
    /// Turn the guard off: the store has lost nothing. A quarantined transaction becomes NOT_SENT
    /// where no callback named it and OKEBAYAR answered a status check without any sign of it.
    End {
        /// Record why nothing is lost; `show` prints it.
        #[arg(long, value_parser = reason)]
        reason: String,
    },
}

const REASON_CHARS_MAX: usize = 500;
/// The most reasons that are shown.
const ENDINGS_SHOWN: usize = 20;
/// Who released a transaction, as its timeline shows it.
const OPERATOR: &str = "guard end";

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REASON_CHARS_MAX {
        return Err(format!(
            "give 1 to {REASON_CHARS_MAX} characters that say why nothing is lost"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("control characters are not allowed; give plain text".to_owned());
    }
    Ok(text.to_owned())
}

/// Does it, and says what the guard then is.
///
/// # Errors
/// When the store cannot be used: an embedded one belongs to a running gateway.
pub async fn run(action: GuardAction, settings: &Settings, ambient: Ambient) -> Result<String> {
    let now = (ambient.now)();
    match action {
        GuardAction::Show => {
            let store = open(settings, ambient, OpenMode::Look).await?;
            let (shown, endings) = look(&*store).await?;
            Ok(text_of(&shown, &endings, settings, now))
        }
        GuardAction::Start => {
            let store = open(settings, ambient, OpenMode::Lost).await?;
            let guard = guard::start(&*store, now, ambient.random).await?;
            Ok(state_of(&guard, settings, now))
        }
        GuardAction::End { reason } => {
            let store = open(settings, ambient, OpenMode::Existing).await?;
            let guard = guard::end(&*store, &reason, now, ambient.random).await?;
            let by = Release {
                operator: OPERATOR.to_owned(),
                reason,
            };
            let released =
                release::release(&*store, settings.guard, &settings.schedule, &by, ambient).await;
            let released = released.context(
                "the guard is off, but not every quarantined transaction was looked at; run this \
                 again",
            )?;
            Ok(format!("{}\n{released}", state_of(&guard, settings, now)))
        }
    }
}

/// Opens the store for a purpose. To look at it writes nothing: what opening a store writes may
/// hide a loss from the gateways that run.
async fn open(settings: &Settings, ambient: Ambient, mode: OpenMode<'_>) -> Result<Arc<dyn Store>> {
    let identity = settings.identity((ambient.random)());
    let opened = store::open(&settings.store, &identity, mode).await?;
    Ok(opened.store())
}

/// Reads the state of the guard, and why it was ended, newest first.
async fn look(store: &dyn Store) -> Result<(Shown, Vec<Ending>)> {
    let shown = guard::show(store).await?;
    let items = store.items(BoundedList::GuardEndings).await?;
    let endings = items.iter().map(|item| guard::ending(item));
    Ok((shown, endings.collect::<Result<_, _>>()?))
}

fn text_of(shown: &Shown, endings: &[Ending], settings: &Settings, now: Timestamp) -> String {
    let mut text = match shown {
        Shown::Unused => "the failover guard is off: no gateway has used this store".to_owned(),
        Shown::Unnoticed => "the store may have lost records: the failover guard turns on when a \
                             gateway looks"
            .to_owned(),
        Shown::Noted(guard) => state_of(guard, settings, now),
    };
    for Ending { at, reason } in endings.iter().take(ENDINGS_SHOWN) {
        let _ = write!(text, "\nended at {at:.0}: {reason}");
    }
    text
}

fn state_of(guard: &KnownEpoch, settings: &Settings, now: Timestamp) -> String {
    match guard.on(&settings.guard, now) {
        Some((since, until)) => {
            format!("the failover guard is on since {since:.0}, until {until:.0}")
        }
        None => "the failover guard is off".to_owned(),
    }
}
