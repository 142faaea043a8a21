//! The steps of a copy.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueHint};

use super::{
    cancellation::cancel,
    comparison,
    gateways::ensure_none,
    records::copy_records,
    remains::{copy_lists, copy_notes, copy_tombstones},
    report::describe,
    transfer::Transfer,
};
use crate::{
    ambient::Ambient,
    cli::store::opening::open,
    config::{Settings, load_target},
    failover::{
        KnownEpoch,
        carried::{carry, loss_in, loss_since, replace_seals, require_note, restore_seals},
        observation::observe,
    },
    store::{CopyMark, CopyRole, OpenMode, OpenedStore, SCHEMA, WalkPart, epoch::moved_seal},
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
    /// Copy an encrypted store to one without `store.encryption_key_files`, in plain text.
    #[arg(long, conflicts_with = "cancel")]
    decrypt: bool,
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
    ensure_keys_fit(&source, &target, arguments.decrypt)?;
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
        Some(mark) if mark.role == CopyRole::Moved => job.finish_moved().await,
        mark => job.copy(mark.map(|mark| mark.role)).await,
    }
}

/// Verifies that the target can hold the records as its configuration demands, before anything is
/// marked.
fn ensure_keys_fit(source: &OpenedStore, target: &OpenedStore, decrypt: bool) -> Result<()> {
    ensure!(
        decrypt || !source.encrypts() || target.encrypts(),
        "the target has no store.encryption_key_files, so everything would be stored there in plain \
         text: configure keys, or permit it with --decrypt; nothing is changed"
    );
    let schema = source.schema();
    ensure!(
        !target.encrypts() || schema >= SCHEMA,
        "the configured store has schema {schema}, in which nothing is encrypted, and the target has \
         store.encryption_key_files: run okebayar-gateway store upgrade on the configured store \
         first, or remove them; nothing is changed"
    );
    Ok(())
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

    /// Takes the steps of a copy from a source with the mark of `role`, if it has one. From one that is
    /// marked as moved, the target was used or lost something since, so its guard turns on.
    async fn copy(&self, role: Option<CopyRole>) -> Result<String> {
        ensure_none(&self.source, "the configured store").await?;
        ensure_none(&self.target, "the target").await?;
        let copying = self.mark(CopyRole::Copying);
        let is_ours = self.target.copy_mark().await? == Some(copying.clone());
        if !is_ours {
            self.ensure_target_empty().await?;
        }
        let is_moved = role == Some(CopyRole::Moved);
        if role.is_none() {
            self.mark_source().await?;
        }
        if !is_moved {
            self.seal_source().await?;
        }
        if !is_ours && !self.target.become_target(&self.source, &copying).await? {
            bail!("the target is used by something else meanwhile; run the command again");
        }
        let (source, target) = (&*self.source.store(), &*self.target.store());
        let now = (self.ambient.now)();
        let epoch = carry(source, target, is_moved, now, self.ambient.random).await?;
        let report = self.transfer(&copying, &epoch).await?;
        if !is_moved {
            self.ensure_source_unlost().await?;
        }
        self.ensure_target_unlost(&epoch).await?;
        // What a failover of the target loses from now on, it has not told anybody.
        let acknowledged = self.target.acknowledge_all().await;
        acknowledged.context("the target; run the copy again")?;
        if !is_moved {
            self.mark_moved().await?;
        }
        self.ensure_target_unlost(&epoch).await?;
        let finished = self.finish().await?;
        let guard = if is_moved {
            "the failover guard of the target is on: it was copied again after the move was finished\n"
        } else {
            ""
        };
        Ok(format!("{report}{guard}{finished}"))
    }

    /// Copies and compares everything, and returns the report.
    async fn transfer(&self, mark: &CopyMark, epoch: &KnownEpoch) -> Result<String> {
        let seal = epoch.seal_name();
        let copy = Transfer {
            source: &self.source,
            target: &self.target,
            mark,
            seal: &seal,
            now: self.ambient.now,
        };
        let records = copy_records(&copy).await?;
        let notes = copy_notes(&copy).await?;
        let items = copy_lists(&copy).await?;
        let tombstones = copy_tombstones(&copy).await?;
        let compared = comparison::compare(&copy, &records.names).await?;
        Ok(describe(&records, (notes, items, tombstones), &compared))
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
        let store = self.source.store();
        require_note(&*store).await?;
        observe(&*store, None, now, random).await?;
        let moving = self.mark(CopyRole::Moving);
        ensure!(
            self.source.replace_mark(None, Some(&moving)).await?,
            "the configured store takes part in another copy meanwhile; nothing is copied"
        );
        Ok(())
    }

    /// Replaces the seals of the source.
    ///
    /// SUBTLE: the mark is read again after the seals: 1. this copy is frozen before it replaces them;
    /// 2. `--cancel` removes the mark and restores the seals, and gateways start; 3. this copy replaces
    /// the seals. Without a mark, it restores them.
    async fn seal_source(&self) -> Result<()> {
        let (now, random) = ((self.ambient.now)(), self.ambient.random);
        let store = self.source.store();
        replace_seals(&*store, &moved_seal(&self.target_name), now).await?;
        let mark = self.source.copy_mark().await?;
        if mark.is_none() {
            restore_seals(&*store, now, random).await?;
        }
        ensure!(
            mark == Some(self.mark(CopyRole::Moving)),
            "the copy was cancelled meanwhile; nothing is copied"
        );
        self.ensure_source_unlost().await?;
        // A promoted replica that lacks the mark or the seals would accept claims.
        let acknowledged = self.source.acknowledge_all().await;
        acknowledged.context("the configured store; run the copy again")
    }

    /// Verifies that the source has everything that it had when it was marked.
    async fn ensure_source_unlost(&self) -> Result<()> {
        let seal = moved_seal(&self.target_name);
        let lost = loss_in(&*self.source.store(), Some(&seal)).await?;
        if let Some(lost) = lost {
            bail!(
                "the configured store may have lost records since it was marked ({lost}): return to \
                 it with okebayar-gateway store copy --cancel, empty the target, and copy again"
            );
        }
        Ok(())
    }

    /// Verifies that the target has everything that was copied.
    async fn ensure_target_unlost(&self, epoch: &KnownEpoch) -> Result<()> {
        if let Some(lost) = loss_since(&*self.target.store(), epoch).await? {
            bail!(
                "the target may have lost what was copied ({lost}): run the copy again; if it \
                 differs then, empty the target first"
            );
        }
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
        // A promoted replica that lacks this mark could be returned to.
        let acknowledged = self.source.acknowledge_all().await;
        acknowledged.context("the configured store; run the copy again")
    }

    /// Finishes a copy whose source is marked as moved. Copies again what the target has lost since:
    /// a source that is marked as moved is complete.
    async fn finish_moved(&self) -> Result<String> {
        let mark = self.target.copy_mark().await?;
        if mark.is_none() && !self.target.is_unused().await? {
            return Ok(self.finished());
        }
        if mark != Some(self.mark(CopyRole::Copying)) {
            return self.copy(Some(CopyRole::Moved)).await;
        }
        match loss_in(&*self.target.store(), None).await? {
            None => self.finish().await,
            Some(_) => self.copy(Some(CopyRole::Moved)).await,
        }
    }

    /// Removes the mark of the target, which is whole. The source is marked as moved.
    async fn finish(&self) -> Result<String> {
        let copying = self.mark(CopyRole::Copying);
        ensure!(
            self.target.replace_mark(Some(&copying), None).await?,
            "the target is not that of this copy any more; run the copy again"
        );
        Ok(self.finished())
    }

    fn finished(&self) -> String {
        format!(
            "the configured store is moved to {0}: configure {0} for every gateway, and start them. \
             Gateways refuse the former store; keep it until the new one has a backup",
            self.target_name
        )
    }
}
