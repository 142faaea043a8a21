//! The command `guard`: it shows the failover guard, and turns it on or off.

use std::{fmt::Write as _, sync::Arc};

use anyhow::{Context, Result};
use clap::Subcommand;
use jiff::Timestamp;

use crate::{
    ambient::Ambient,
    config::Settings,
    failover::{
        guard_view::{self, GuardView},
        known_epoch::KnownEpoch,
        operator::{self, Ending},
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
        #[arg(long, value_parser = parse_reason)]
        reason: String,
    },
}

/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 500;
/// The number of reasons that are shown.
const ENDINGS_SHOWN: usize = 20;
/// The operator of a release, as the timeline of the transaction shows it.
const OPERATOR: &str = "guard end";

/// Parses the reason for ending the guard.
fn parse_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REASON_CHARS_MAX {
        return Err(format!(
            "give the reason why nothing is lost, in 1 to {REASON_CHARS_MAX} characters"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("control characters are not allowed; give plain text".to_owned());
    }
    Ok(text.to_owned())
}

/// Runs the action; returns the state of the guard after it.
///
/// # Errors
/// When the store cannot be used. A running gateway locks an embedded store.
pub async fn run(action: GuardAction, settings: &Settings, ambient: Ambient) -> Result<String> {
    let now = (ambient.now)();
    match action {
        GuardAction::Show => {
            let store = open(settings, ambient, OpenMode::Inspect).await?;
            let (view, endings) = read_view(&*store).await?;
            Ok(render(&view, &endings, settings, now))
        }
        GuardAction::Start => {
            let store = open(settings, ambient, OpenMode::Lost).await?;
            let epoch = operator::start(&*store, now, ambient.random).await?;
            Ok(describe_epoch(&epoch, settings, now))
        }
        GuardAction::End { reason } => {
            let store = open(settings, ambient, OpenMode::Existing).await?;
            let epoch = operator::end(&*store, &reason, now, ambient.random).await?;
            let by = Release {
                operator: OPERATOR.to_owned(),
                reason,
            };
            let kept = settings.retention.lists_kept;
            let released = release::release(
                &*store,
                settings.guard,
                kept,
                &settings.schedule,
                &by,
                ambient,
            );
            let released = released.await.context(
                "the guard is off, but not every quarantined transaction was reviewed; run guard end \
                 again",
            )?;
            Ok(format!(
                "{}\n{released}",
                describe_epoch(&epoch, settings, now)
            ))
        }
    }
}

/// Opens the store for a purpose. Inspection writes nothing: a write may hide a loss from running
/// gateways.
async fn open(settings: &Settings, ambient: Ambient, mode: OpenMode<'_>) -> Result<Arc<dyn Store>> {
    let identity = settings.identity((ambient.random)());
    let opened = store::open(&settings.store, &identity, mode).await?;
    Ok(opened.store())
}

/// Reads the state of the guard, and the reasons for which it was ended, newest first.
async fn read_view(store: &dyn Store) -> Result<(GuardView, Vec<Ending>)> {
    let view = guard_view::view(store).await?;
    let items = store.items(BoundedList::GuardEndings).await?;
    let endings = items.iter().map(|item| operator::parse_ending(item));
    Ok((view, endings.collect::<Result<_, _>>()?))
}

/// Renders the state of the guard, and the reasons for which it was ended.
fn render(view: &GuardView, endings: &[Ending], settings: &Settings, now: Timestamp) -> String {
    let mut text = match view {
        GuardView::Unused => "the failover guard is off: no gateway has used this store".to_owned(),
        GuardView::UndetectedLoss => {
            "records may be lost; the failover guard turns on with the next gateway's verification"
                .to_owned()
        }
        GuardView::Known(epoch) => describe_epoch(epoch, settings, now),
    };
    for Ending { at, reason } in endings.iter().take(ENDINGS_SHOWN) {
        let _ = write!(text, "\nended at {at:.0}: {reason}");
    }
    text
}

/// Describes whether the guard is on in an epoch.
fn describe_epoch(epoch: &KnownEpoch, settings: &Settings, now: Timestamp) -> String {
    match epoch.on(&settings.guard, now) {
        Some((since, until)) => {
            format!("the failover guard is on since {since:.0}, until {until:.0}")
        }
        None => "the failover guard is off".to_owned(),
    }
}
