//! `guard`: shows the failover guard, and lets an operator turn it on or off.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;

use crate::{
    ambient::Ambient,
    app::open_store,
    config::{Settings, StoreSettings},
    store::{
        Store, guard,
        redb::{RedbSettings, RedbStore},
    },
};

/// What to do with the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Say whether it is on.
    Show,
    /// Turn it on: the store has lost records.
    Start,
    /// Turn it off: the store has lost nothing.
    End,
}

/// Does it, and says what the guard then is.
///
/// # Errors
/// When the store cannot be used: an embedded one belongs to a running gateway.
pub async fn run(action: Action, settings: &Settings, ambient: Ambient) -> Result<String> {
    let now = (ambient.now)();
    let identity = settings.identity((ambient.random)());
    let store: Arc<dyn Store> = match &settings.store {
        StoreSettings::Embedded { path, settings } => {
            ensure!(path.exists(), "store.path: there is no {}", path.display());
            let opened = if action == Action::Start {
                RedbStore::open_restored(path, &identity).await
            } else {
                let settings = RedbSettings {
                    must_exist: true,
                    ..*settings
                };
                RedbStore::open_with(path, &identity, settings).await
            };
            Arc::new(opened.context("store.path: stop the gateway first")?)
        }
        StoreSettings::Redis(_) => open_store(&settings.store, &identity, now).await?,
    };
    let guard = match action {
        Action::Show => guard::observe(&*store, None, now).await?,
        Action::Start => guard::start(&*store, now).await?,
        Action::End => guard::end(&*store, now).await?,
    };
    Ok(match guard.on(&settings.guard, now) {
        Some((since, until)) => {
            format!("the failover guard is on since {since:.0}, until {until:.0}")
        }
        None => "the failover guard is off".to_owned(),
    })
}
