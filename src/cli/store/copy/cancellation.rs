//! The cancellation of a copy.

use anyhow::{Result, bail, ensure};

use crate::{
    ambient::Ambient,
    failover::carried::{is_sealed_as_moved, restore_seals},
    store::{CopyRole, OpenedStore},
};

/// Returns to a store whose move is not finished.
///
/// SUBTLE: the mark is removed before the seals are restored. A copy that replaces the seals after that
/// reads the mark again, and restores them. A crash in between leaves seals without a mark, which the
/// next run restores.
pub(super) async fn cancel(source: &OpenedStore, ambient: Ambient) -> Result<String> {
    let mark = source.copy_mark().await?;
    let store = source.store();
    match &mark {
        Some(mark) if mark.role == CopyRole::Moving => ensure!(
            source.replace_mark(Some(mark), None).await?,
            "the copy was finished meanwhile; nothing is changed"
        ),
        Some(mark) if mark.role == CopyRole::Moved => bail!(
            "the configured store was moved to {}, where purchases may have been made since; \
             nothing is changed",
            mark.peer
        ),
        // Without an identity, nobody knows whether the move was finished.
        None if !source.is_unused().await? && is_sealed_as_moved(&*store).await? => {}
        _ => bail!("the configured store is not being moved; nothing is changed"),
    }
    restore_seals(&*store, (ambient.now)(), ambient.random).await?;
    Ok(
        "the move is cancelled: gateways can use the configured store again. The target is an \
        unfinished copy, which gateways refuse; empty it"
            .to_owned(),
    )
}
