//! The steps of a copy, and its cancellation.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueHint};

use super::{
    comparison::{self, Compared},
    data::{self, Copied},
    gateways::ensure_none,
};
use crate::{
    ambient::Ambient,
    cli::store::opening::open,
    config::{Settings, load_target},
    failover::{
        carried::{carry, replace_seals, restore_seals},
        observation::observe,
    },
    store::{CopyMark, CopyRole, OpenMode, OpenedStore, WalkPart, epoch::moved_seal},
};

/// The arguments of the command.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct CopyArguments {
    /// Copy to the store in the section `[store]` of this TOML file. Environment variables that begin
    /// with `OKEBAYAR_TARGET__STORE__` override it, such as for a password.
    #[arg(long, value_hint = ValueHint::FilePath, required_unless_present = "cancel")]
    to: Option<PathBuf>,
    /// Return to the store that is being moved: gateways can use it again. Not after the copy is
    /// finished.
    #[arg(long, conflicts_with = "to")]
    cancel: bool,
}

/// A copy in progress.
struct CopyJob {
    source: OpenedStore,
    target: OpenedStore,
    source_name: String,
    target_name: String,
    id: String,
    ambient: Ambient,
}

/// Runs the command, and returns the text that reports what it did.
///
/// # Errors
/// When a store cannot be opened, a gateway is seen, the target is not empty, or the stores differ
/// after the copy.
pub(in crate::cli::store) async fn run(
    arguments: &CopyArguments,
    settings: &Settings,
    ambient: Ambient,
) -> Result<String> {
    let source = open(&settings.store, ambient, OpenMode::Source).await?;
    let Some(to) = &arguments.to else {
        return cancel(&source, ambient).await;
    };
    let target_settings = load_target(to)?;
    let (source_name, target_name) = (settings.store.name(), target_settings.name());
    ensure!(
        source_name != target_name,
        "--to: {target_name} is the configured store itself; name another one"
    );
    let mark = source.copy_mark().await?;
    if let Some(mark) = &mark {
        ensure_of_target(mark, &target_name)?;
    } else {
        ensure_unmoved(&source).await?;
    }
    let target = open(&target_settings, ambient, OpenMode::Target).await;
    let target = target.context("the target cannot be opened")?;
    let id = match &mark {
        Some(mark) => mark.id.clone(),
        None => (ambient.random)().to_string(),
    };
    let job = CopyJob {
        source,
        target,
        source_name,
        target_name,
        id,
        ambient,
    };
    match mark {
        Some(mark) if mark.role == CopyRole::Moved => job.finish().await,
        _ => job.copy(mark.is_none()).await,
    }
}

/// Verifies that the mark of a source allows a copy to this target.
fn ensure_of_target(mark: &CopyMark, target: &str) -> Result<()> {
    let peer = &mark.peer;
    match mark.role {
        CopyRole::Copying => bail!(
            "the configured store is itself the target of a copy from {peer} that is not finished; \
             nothing is changed"
        ),
        CopyRole::Moving if peer != target => bail!(
            "the configured store is being moved to {peer}: name that store, or return with \
             okebayar-gateway store copy --cancel first; nothing is changed"
        ),
        CopyRole::Moved if peer != target => {
            bail!("the configured store was moved to {peer}; nothing is changed")
        }
        CopyRole::Moving | CopyRole::Moved => Ok(()),
    }
}

/// Verifies that a source without a mark has an identity.
async fn ensure_unmoved(source: &OpenedStore) -> Result<()> {
    ensure!(
        !source.is_unused().await?,
        "the configured store has no identity, so there is nothing to copy; nothing is changed"
    );
    Ok(())
}

impl CopyJob {
    fn mark(&self, role: CopyRole) -> CopyMark {
        let peer = match role {
            CopyRole::Copying => &self.source_name,
            CopyRole::Moving | CopyRole::Moved => &self.target_name,
        };
        CopyMark {
            role,
            id: self.id.clone(),
            peer: peer.clone(),
        }
    }

    /// Takes the steps of a copy; `is_new` is false where the source is marked already.
    async fn copy(&self, is_new: bool) -> Result<String> {
        ensure_none(&self.source, "the configured store").await?;
        ensure_none(&self.target, "the target").await?;
        let is_ours = self.target.copy_mark().await? == Some(self.mark(CopyRole::Copying));
        if !is_ours {
            self.ensure_target_empty().await?;
        }
        if is_new {
            self.mark_source().await?;
        }
        let (source, target) = (&*self.source.store(), &*self.target.store());
        let now = (self.ambient.now)();
        replace_seals(source, &moved_seal(&self.target_name), now).await?;
        let copying = self.mark(CopyRole::Copying);
        if !is_ours && !self.target.become_target(&self.source, &copying).await? {
            bail!("the target is used by something else meanwhile; run the command again");
        }
        let copied = data::copy(&self.source, &self.target, now).await?;
        let compared = comparison::compare(&self.source, &self.target, now).await?;
        carry(source, target, now, self.ambient.random).await?;
        self.mark_moved().await?;
        let finished = self.finish().await?;
        Ok(format!("{}{finished}", describe(&copied, &compared)))
    }

    /// Verifies that nothing is in the target.
    async fn ensure_target_empty(&self) -> Result<()> {
        let mark = self.target.copy_mark().await?;
        let is_unused = match &mark {
            Some(mark) => mark.is_of_no_copy(),
            None => self.target.is_unused().await?,
        };
        ensure!(
            is_unused,
            "the target, {}, is in use, or holds another copy: name an empty store; nothing is \
             changed",
            self.target_name
        );
        let now = (self.ambient.now)();
        for part in [WalkPart::Records, WalkPart::Notes, WalkPart::Tombstones] {
            let mut from = None;
            loop {
                let page = self.target.walk(part, from.as_deref(), now).await?;
                ensure!(
                    page.entries.is_empty(),
                    "the target, {}, holds records of a gateway, although it has no identity: empty \
                     it; nothing is changed",
                    self.target_name
                );
                match page.next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Marks the source, after it has been observed as a gateway that starts does: a loss that no
    /// gateway has noticed is in its note, and so in that of the target.
    async fn mark_source(&self) -> Result<()> {
        let (now, random) = ((self.ambient.now)(), self.ambient.random);
        observe(&*self.source.store(), None, now, random).await?;
        let moving = self.mark(CopyRole::Moving);
        ensure!(
            self.source.replace_mark(None, Some(&moving)).await?,
            "the configured store takes part in another copy meanwhile; nothing is copied"
        );
        Ok(())
    }

    async fn mark_moved(&self) -> Result<()> {
        let (moving, moved) = (self.mark(CopyRole::Moving), self.mark(CopyRole::Moved));
        ensure!(
            self.source
                .replace_mark(Some(&moving), Some(&moved))
                .await?,
            "the copy was cancelled meanwhile: gateways may use the configured store, and refuse the \
             target"
        );
        Ok(())
    }

    /// Removes the mark of the target. The source is marked as moved.
    async fn finish(&self) -> Result<String> {
        let copying = self.mark(CopyRole::Copying);
        self.target.replace_mark(Some(&copying), None).await?;
        ensure!(
            self.target.copy_mark().await?.is_none() && !self.target.is_unused().await?,
            "the configured store was moved to {}, but that store is not the copy: restore it from \
             a backup",
            self.target_name
        );
        Ok(format!(
            "the configured store is moved to {0}: configure {0} for every gateway, and start them. \
             Gateways refuse the former store; keep it until the new one has a backup",
            self.target_name
        ))
    }
}

/// Returns to a store whose move is not finished.
async fn cancel(source: &OpenedStore, ambient: Ambient) -> Result<String> {
    let mark = source.copy_mark().await?;
    match &mark {
        Some(mark) if mark.role == CopyRole::Moving => {}
        Some(mark) if mark.role == CopyRole::Moved => bail!(
            "the configured store was moved to {}, where purchases may have been made since; \
             nothing is changed",
            mark.peer
        ),
        _ => bail!("the configured store is not being moved; nothing is changed"),
    }
    restore_seals(&*source.store(), (ambient.now)()).await?;
    ensure!(
        source.replace_mark(mark.as_ref(), None).await?,
        "the copy was finished meanwhile; nothing is changed"
    );
    Ok(
        "the move is cancelled: gateways can use the configured store again. The target is an \
        unfinished copy, which gateways refuse; empty it"
            .to_owned(),
    )
}

/// Describes what was copied.
fn describe(copied: &Copied, compared: &Compared) -> String {
    format!(
        "copied: {} records ({} were there already), {} notes, {} list items, {} tombstones\n\
         compared: {} records of the target are those of the configured store, in every state as \
         many\n",
        copied.records,
        copied.unchanged,
        copied.notes,
        copied.items,
        copied.tombstones,
        compared.records,
    )
}
