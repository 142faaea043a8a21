//! The events of all transactions: their numbers have no gaps, and each has its record.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use super::{
    checks::{GAPS, LOST, load},
    report::{Inconsistency, VerificationReport},
};
use crate::{
    store::{Cursor, Events, OpenedStore, StoreError},
    transaction::State,
};

/// Reads the events of every partition that exist when it begins.
///
/// # Errors
/// [`StoreError`] when the store does not answer.
pub(super) async fn walk(
    opened: &OpenedStore,
    report: &mut VerificationReport,
) -> Result<(), StoreError> {
    let head = opened.store().events_head().await?;
    let start = opened.events_start().await?;
    for (partition, end) in head.positions.into_iter().enumerate() {
        walk_partition(opened, start.clone(), (partition, end.number), report).await?;
    }
    Ok(())
}

async fn walk_partition(
    opened: &OpenedStore,
    mut cursor: Cursor,
    (partition, end): (usize, u64),
    report: &mut VerificationReport,
) -> Result<(), StoreError> {
    // Transactions without a record, and whether their last event is one that leaves none: a record
    // that is NOT_SENT ends without a tombstone.
    let mut without: BTreeMap<String, bool> = BTreeMap::new();
    // Gateways may add events faster than they are read here. One read beyond the end shows whether
    // the last event is missing.
    let mut is_last = false;
    while !is_last {
        is_last = cursor.positions[partition].number >= end;
        let events = match opened.store().events_in(&cursor, &[partition]).await {
            Err(error) if error.is_transient() => return Err(error),
            Ok(Events::Next(events)) if events.is_empty() => break,
            Ok(Events::Next(events)) => events,
            stopped => {
                // A gateway may have trimmed the events that follow the cursor.
                let start = opened.events_start().await?.positions[partition];
                if start.number > cursor.positions[partition].number {
                    cursor.positions[partition] = start;
                    continue;
                }
                let after = cursor.positions[partition].number;
                let problem = match stopped {
                    Err(error) => format!("an event after number {after} cannot be read: {error}"),
                    _ => format!("an event after number {after} is missing"),
                };
                report.add(Inconsistency {
                    key: format!("events of partition {partition}"),
                    problem,
                    remedy: GAPS,
                });
                break;
            }
        };
        let loading = events.iter().map(async |event| {
            let loaded = load(opened, &event.transaction.key()).await?;
            Ok::<_, StoreError>(matches!(loaded, Ok(None)))
        });
        let are_missing = try_join_all(loading).await?;
        for (event, is_missing) in events.into_iter().zip(are_missing) {
            if is_missing {
                let is_unsent = matches!(event.transaction.status().state, State::NotSent(_));
                without.insert(event.transaction.key().to_string(), is_unsent);
            }
            *report.read.entry("events").or_default() += 1;
            cursor.advance(&event);
        }
    }
    for (key, _) in without.into_iter().filter(|(_, is_unsent)| !is_unsent) {
        report.add(Inconsistency {
            key,
            problem: "has events, but no record".to_owned(),
            remedy: LOST,
        });
    }
    Ok(())
}
