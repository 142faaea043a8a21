//! The checks of one entry each. Every check reads the entry anew, so that it can be repeated.

use jiff::Timestamp;

use super::{notes, report::Inconsistency};
use crate::{
    store::{History, OpenedStore, StoreError, Walked, key::parse_key, tombstone_fault},
    transaction::{Transaction, TransactionKey},
};

const UNREADABLE: &str = "unreadable: this release leaves them unchanged and answers DATA_LOSS; restore \
     them from a backup, or finish the upgrade if a later release wrote them";
const UNREACHABLE: &str = "records where no gateway looks for them: set store.partitions to the number \
     that the store was created with, or move the keys back";
const UNREACHABLE_TOMBSTONE: &str = "tombstones where no claim looks for them, so that their reference \
     codes can be bought again: store copy puts them in their places in another store";
const KEYS: &str =
    "encrypted with a key that is not configured: add it to store.encryption_key_files";
const UNTRACED: &str = "trace codes that are not indexed: a lookup by them finds nothing; harmless";
const UNLISTED: &str = "missing in the listing: ListTransactions does not return them; the next change \
     of each writes its entry";
const STALE: &str = "stale entries of an index: gateways skip them; harmless";
const NOT_DUE: &str = "open, but in no due index, so never checked: call CheckTransaction for each, \
     which writes its entry";
pub(super) const GAPS: &str = "events with a gap: a watcher that resumes before it gets WATCH_EXPIRED or \
     OUT_OF_RANGE, and reads the transaction again; harmless";
pub(super) const LOST: &str = "records that were lost: run okebayar-gateway guard start, so that nothing \
     is sent again under their reference codes, and restore them from a backup";
const UNKNOWN_TRACE: &str =
    "trace codes that name nothing: a lookup by them finds nothing; harmless";
const NOTES: &str = "notes that cannot be read: restore them from a backup; inquiries and bills under \
     them are refused";

/// Checks one entry, and returns what is inconsistent.
///
/// # Errors
/// [`StoreError`] when the store does not answer.
pub(super) async fn check(
    opened: &OpenedStore,
    entry: &Walked,
    now: Timestamp,
) -> Result<Vec<Inconsistency>, StoreError> {
    match entry {
        Walked::Record { name, .. } => check_record(opened, name).await,
        Walked::Listed { state, entry, .. } => {
            let key = format!("{} {state} {}", entry.name, entry.created_ms);
            let about = |transaction: &Transaction| {
                transaction.status().state.name() == state
                    && transaction.created_at().as_millisecond() == entry.created_ms
            };
            check_index(opened, &key, &entry.name, "the listing", about).await
        }
        Walked::Due { index, name } => {
            let about = |transaction: &Transaction| transaction.due_at().is_some();
            check_index(opened, name, name, index, about).await
        }
        Walked::Trace { trace, name, .. } => check_trace(opened, trace, name).await,
        Walked::Note { name, until } => check_note(opened, name, *until, now).await,
        Walked::Tombstone {
            hash,
            text,
            is_reachable,
        } => Ok(check_tombstone(hash, text, *is_reachable)),
        Walked::Malformed(place) => Ok(vec![Inconsistency {
            key: place.clone(),
            problem: "the entry is malformed".to_owned(),
            remedy: STALE,
        }]),
    }
}

/// Loads a record; the inner error is what is wrong with the record itself.
pub(super) async fn load(
    opened: &OpenedStore,
    key: &TransactionKey,
) -> Result<Result<Option<std::sync::Arc<Transaction>>, StoreError>, StoreError> {
    match opened.store().load(key).await {
        Err(error) if error.is_transient() => Err(error),
        loaded => Ok(loaded),
    }
}

async fn check_record(opened: &OpenedStore, name: &str) -> Result<Vec<Inconsistency>, StoreError> {
    let found = |problem: String, remedy| Inconsistency {
        key: name.to_owned(),
        problem,
        remedy,
    };
    let key = match parse_key(name) {
        Ok(key) => key,
        Err(error) => return Ok(vec![found(error.to_string(), UNREACHABLE)]),
    };
    let transaction = match load(opened, &key).await? {
        Ok(Some(transaction)) => transaction,
        Ok(None) => {
            let problem = "the record lies in another partition than its key";
            return Ok(vec![found(problem.to_owned(), UNREACHABLE)]);
        }
        // It was retired since it was visited.
        Err(StoreError::Retired(_)) => return Ok(Vec::new()),
        Err(error) => {
            return Ok(vec![found(
                error.to_string(),
                remedy_of(&error, UNREADABLE),
            )]);
        }
    };
    let mut all = Vec::new();
    let entries = opened.index_entries(&transaction).await?;
    if !entries.is_listed {
        let state = transaction.status().state;
        all.push(found(
            format!("{} and not listed so", state.name()),
            UNLISTED,
        ));
    }
    if transaction.due_at().is_some() && !entries.is_due {
        all.push(found(
            "due for a check, and in no due index".to_owned(),
            NOT_DUE,
        ));
    }
    if let Some(trace_code) = transaction.status().trace_code {
        let store = opened.store();
        let named = store.find_by_trace(transaction.account(), &trace_code);
        if named.await?.is_none() {
            let problem = format!("the trace code {trace_code} is not indexed");
            all.push(found(problem, UNTRACED));
        }
    }
    if let Some((problem, remedy)) = gap_in(opened, &key, transaction.revision()).await? {
        all.push(found(problem, remedy));
    }
    Ok(all)
}

/// Returns the remedy for what cannot be read: the key for what is encrypted, otherwise another one.
pub(super) fn remedy_of(error: &StoreError, other: &'static str) -> &'static str {
    match error {
        StoreError::KeyMissing { .. } => KEYS,
        _ => other,
    }
}

/// Returns the gap in the events of a transaction. A store may have trimmed the first of them.
async fn gap_in(
    opened: &OpenedStore,
    key: &TransactionKey,
    revision: u64,
) -> Result<Option<(String, &'static str)>, StoreError> {
    let history = match opened.store().history(key, 0).await {
        Err(error) if error.is_transient() => return Err(error),
        // It was retired since it was visited.
        Err(StoreError::Retired(_)) => return Ok(None),
        Err(error) => {
            let problem = format!("an event cannot be read: {error}");
            return Ok(Some((problem, remedy_of(&error, GAPS))));
        }
        Ok(history) => history,
    };
    let History::Complete(events) = history else {
        return Ok(None);
    };
    let Some(first) = events.first() else {
        return Ok(None);
    };
    let held: Vec<u64> = events.iter().map(|event| event.revision()).collect();
    let missing = (first.revision()..=revision).find(|revision| !held.contains(revision));
    Ok(missing.map(|missing| {
        let problem = format!("the event of revision {missing} of {revision} is missing");
        (problem, GAPS)
    }))
}

/// Checks that an entry of an index is about the stored transaction.
async fn check_index(
    opened: &OpenedStore,
    key: &str,
    name: &str,
    index: &str,
    is_about: impl Fn(&Transaction) -> bool,
) -> Result<Vec<Inconsistency>, StoreError> {
    let problem = match parse_key(name) {
        Err(_) => Some("names no reference code"),
        Ok(name) => match load(opened, &name).await? {
            Ok(Some(transaction)) => {
                (!is_about(&transaction)).then_some("is not about the stored record")
            }
            Ok(None) | Err(StoreError::Retired(_)) => Some("has no record"),
            // The record is reported itself.
            Err(_) => None,
        },
    };
    let found = problem.map(|problem| Inconsistency {
        key: key.to_owned(),
        problem: format!("an entry of {index} {problem}"),
        remedy: STALE,
    });
    Ok(found.into_iter().collect())
}

async fn check_trace(
    opened: &OpenedStore,
    trace: &str,
    name: &str,
) -> Result<Vec<Inconsistency>, StoreError> {
    let is_known = match parse_key(name) {
        Ok(key) => !matches!(
            load(opened, &key).await?,
            Ok(None) | Err(StoreError::Retired(_))
        ),
        Err(_) => false,
    };
    let found = (!is_known).then(|| Inconsistency {
        key: trace.to_owned(),
        problem: format!("the trace code names {name}, of which there is no record"),
        remedy: UNKNOWN_TRACE,
    });
    Ok(found.into_iter().collect())
}

async fn check_note(
    opened: &OpenedStore,
    name: &str,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<Inconsistency>, StoreError> {
    if until.is_some_and(|until| until <= now) {
        return Ok(Vec::new());
    }
    let problem = match opened.store().note(name).await {
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => Some((error.to_string(), remedy_of(&error, NOTES))),
        Ok(text) => {
            let problem = text.and_then(|text| notes::problem_of(name, &text));
            problem.map(|problem| (problem, NOTES))
        }
    };
    let found = problem.map(|(problem, remedy)| Inconsistency {
        key: format!("note {name}"),
        problem,
        remedy,
    });
    Ok(found.into_iter().collect())
}

fn check_tombstone(hash: &[u8], text: &str, is_reachable: bool) -> Vec<Inconsistency> {
    let (problem, remedy) = match tombstone_fault(hash, text) {
        Some(problem) => (problem, UNREADABLE),
        None if !is_reachable => ("it lies where no claim looks for it", UNREACHABLE_TOMBSTONE),
        None => return Vec::new(),
    };
    vec![Inconsistency {
        key: format!("tombstone {}", hex::encode(hash)),
        problem: problem.to_owned(),
        remedy,
    }]
}
