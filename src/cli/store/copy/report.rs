//! The report of a copy.

use super::{comparison::Compared, records::CopiedRecords};

/// Describes what was copied: the records; the numbers of notes, list items and tombstones; and the
/// comparison.
pub(super) fn describe(
    records: &CopiedRecords,
    (notes, items, tombstones): (u64, u64, u64),
    compared: &Compared,
) -> String {
    let mut text = format!(
        "copied: {} records ({} were there already), {notes} notes, {items} list items, {tombstones} \
         tombstones\n\
         compared: {} records of the target are those of the configured store, and so is the rest\n",
        records.names.count(),
        records.unchanged,
        compared.records,
    );
    if !compared.unlike_listings.is_empty() {
        let unlike = compared.unlike_listings.join(", ");
        text += "the listings differ (";
        text += &unlike;
        text += "), no record does: run okebayar-gateway store verify on the target\n";
    }
    text
}
