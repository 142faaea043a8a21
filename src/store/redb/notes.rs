//! Notes and lists.

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use crate::store::{BoundedList, CasResult, Expiry, LIST_MAX};

/// Name -> (text, when it may disappear in Unix milliseconds).
const NOTES: TableDefinition<'_, &str, (&str, i64)> = TableDefinition::new("notes");
/// (when it may disappear, name).
const NOTES_END: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("notes_end");
/// (list, number in order of arrival) -> item.
const LISTS: TableDefinition<'_, (&str, u64), &str> = TableDefinition::new("lists");

/// The note that holds the seal; see `store::guard`.
pub(super) const SEAL: &str = "seal";
/// How many notes that may disappear are cleared with each one that is written.
const CLEARED_MAX: usize = 4;

pub(super) fn make_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(NOTES)?;
    write.open_table(NOTES_END)?;
    write.open_table(LISTS)?;
    Ok(())
}

pub(super) fn read(read: &ReadTransaction, name: &str) -> Result<Option<String>, redb::Error> {
    let notes = read.open_table(NOTES)?;
    let note = notes.get(name)?;
    Ok(note.map(|note| note.value().0.to_owned()))
}

/// Returns the seal, as of a write that has begun.
pub(super) fn seal(write: &WriteTransaction) -> Result<Option<String>, redb::Error> {
    let notes = write.open_table(NOTES)?;
    let note = notes.get(SEAL)?;
    Ok(note.map(|note| note.value().0.to_owned()))
}

pub(super) fn put(
    write: &WriteTransaction,
    name: &str,
    from: Option<&str>,
    to: &str,
    keep: Expiry,
) -> Result<CasResult, redb::Error> {
    let mut notes = write.open_table(NOTES)?;
    let mut ends = write.open_table(NOTES_END)?;
    let stored = notes.get(name)?.map(|note| {
        let (text, end) = note.value();
        (text.to_owned(), end)
    });
    if stored.as_ref().map(|(text, _)| text.as_str()) != from {
        return Ok(CasResult::Conflict(stored.map(|(text, _)| text)));
    }
    if let Some((_, end)) = stored {
        ends.remove((end, name))?;
    }
    let until = keep.until.as_millisecond();
    notes.insert(name, (to, until))?;
    ends.insert((until, name), ())?;
    let past: Vec<(i64, String)> = ends
        .range(..(keep.now.as_millisecond(), ""))?
        .take(CLEARED_MAX)
        .map(|entry| {
            entry.map(|(entry, _)| {
                let (end, name) = entry.value();
                (end, name.to_owned())
            })
        })
        .collect::<Result<_, _>>()?;
    for (end, name) in past {
        notes.remove(name.as_str())?;
        ends.remove((end, name.as_str()))?;
    }
    Ok(CasResult::Done)
}

/// Returns what was dropped.
pub(super) fn push(
    write: &WriteTransaction,
    list: BoundedList,
    item: &str,
) -> Result<Vec<String>, redb::Error> {
    let mut lists = write.open_table(LISTS)?;
    let all = || (list.name(), 0)..=(list.name(), u64::MAX);
    let oldest = lists.range(all())?.next().transpose()?;
    let oldest = oldest.map(|(key, _)| key.value().1);
    let newest = lists.range(all())?.next_back().transpose()?;
    let next = newest.map_or(0, |(key, _)| key.value().1 + 1);
    lists.insert((list.name(), next), item)?;
    let mut dropped = Vec::new();
    if let Some(oldest) = oldest
        && next - oldest >= LIST_MAX as u64
    {
        let item = lists.remove((list.name(), oldest))?;
        dropped.extend(item.map(|item| item.value().to_owned()));
    }
    Ok(dropped)
}

pub(super) fn items(
    read: &ReadTransaction,
    list: BoundedList,
    start: usize,
    limit: usize,
) -> Result<Vec<String>, redb::Error> {
    let lists = read.open_table(LISTS)?;
    let all = (list.name(), 0)..=(list.name(), u64::MAX);
    let newest = lists.range(all)?.next_back().transpose()?;
    // The numbers have no gaps: only the oldest one ever goes.
    let first = newest.and_then(|(key, _)| key.value().1.checked_sub(start as u64));
    let Some(first) = first else {
        return Ok(Vec::new());
    };
    let wanted = lists.range((list.name(), 0)..=(list.name(), first))?;
    let mut items = Vec::new();
    for entry in wanted.rev().take(limit) {
        items.push(entry?.1.value().to_owned());
    }
    Ok(items)
}
