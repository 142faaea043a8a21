//! `store upgrade`: raises the store to the schema of this release.
//!
//! On Redis, the gateways of this release learn of it at their next verification, and read both
//! forms at all times. A gateway of the release before refuses the store at its next verification;
//! until then it cannot overwrite a compact record (`store/redis/commit.lua`).

use anyhow::{Result, bail};

use super::opening::open;
use crate::{
    ambient::Ambient,
    config::Settings,
    store::{OpenMode, SCHEMA, StoreSettings},
};

/// Upgrades the store, and returns the text that reports it.
///
/// # Errors
/// When the store cannot be opened, a gateway of an earlier release is connected, or the upgrade is
/// not confirmed.
pub(super) async fn run(yes: bool, settings: &Settings, ambient: Ambient) -> Result<String> {
    // The configuration may name keys already, which a store of schema 3 refuses.
    let opened = open(&settings.store.without_keys(), ambient, OpenMode::Existing).await?;
    let before = opened.upgrade_schema(false).await?;
    if before >= SCHEMA {
        return Ok(format!(
            "the store has schema {before} already; nothing is changed"
        ));
    }
    let known = match settings.store {
        StoreSettings::Embedded { .. } => "no gateway has it open",
        StoreSettings::Redis(_) => {
            "no gateway of an earlier release is connected to it; one that is not connected at this \
             moment cannot be seen: make sure that none is left in the rollout, and none is rolled \
             back to"
        }
    };
    let what = format!(
        "the store has schema {before}; schema {SCHEMA} cannot be undone, and earlier releases \
         refuse it. {known}"
    );
    if !yes {
        bail!("{what}\nadd --yes to upgrade; nothing is changed");
    }
    opened.upgrade_schema(true).await?;
    Ok(format!("{what}\nupgraded: the store has schema {SCHEMA}"))
}
