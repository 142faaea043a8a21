//! `store stats`: the records by state, the bytes that they take, and their growth.

use std::fmt::Write;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use super::{copy::count_records, opening::open};
use crate::{
    ambient::Ambient,
    config::Settings,
    store::{ListingEntry, OpenMode, PartSize, Store, StoreSettings},
    transaction::State,
};

/// The number of days whose growth is shown, today included.
const DAYS: i64 = 14;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Runs the command, and returns its report.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn run(settings: &Settings, ambient: Ambient) -> Result<String> {
    let opened = open(&settings.store, ambient, OpenMode::Inspect).await?;
    let store = opened.store();
    let mut report = format!("{}\n\nrecords by state\n", settings.store.name());
    for state in State::NAMES {
        let count = store.count(state, 0, ListingEntry::MS_MAX).await?;
        writeln!(report, "  {state:<13} {count:>12}")?;
    }
    let records = count_records(&*store).await?;
    writeln!(report, "  {:<13} {records:>12}", "all")?;
    let sizes = opened.sizes(records).await?;
    write_sizes(
        &mut report,
        &settings.store,
        &sizes.parts,
        sizes.total_bytes,
    )?;
    let each = bytes_of_record(&settings.store, &sizes.parts, sizes.total_bytes, records);
    write_growth(&mut report, &*store, (ambient.now)(), each).await?;
    Ok(report.trim_end().to_owned())
}

fn write_sizes(
    report: &mut String,
    store: &StoreSettings,
    parts: &[PartSize],
    total: u64,
) -> Result<()> {
    writeln!(report, "\nbytes")?;
    for part in parts {
        let mark = if part.is_sampled { "about " } else { "" };
        let bytes = format!("{mark}{}", part.bytes);
        writeln!(
            report,
            "  {:<18} {bytes:>18} in {} entries",
            part.name, part.entries
        )?;
    }
    match store {
        StoreSettings::Embedded { path, .. } => {
            let file = std::fs::metadata(path)?.len();
            writeln!(report, "  {:<18} {total:>18}", "all tables")?;
            writeln!(report, "  {:<18} {file:>18}", "file")?;
        }
        StoreSettings::Redis(_) => {
            writeln!(report, "  {:<18} {total:>18}", "memory in use")?;
        }
    }
    Ok(())
}

/// Returns the bytes of one record with everything that belongs to it; `None` without records.
fn bytes_of_record(
    store: &StoreSettings,
    parts: &[PartSize],
    total: u64,
    records: u64,
) -> Option<u64> {
    let bytes = match store {
        StoreSettings::Embedded { .. } => total,
        // Other applications may use the same servers.
        StoreSettings::Redis(_) => {
            let of_records = parts.iter().filter(|part| part.is_of_records);
            of_records.map(|part| part.bytes).sum()
        }
    };
    bytes.checked_div(records)
}

/// Writes the records that were accepted on each of the last days, in UTC, and the bytes that they
/// take on average.
async fn write_growth(
    report: &mut String,
    store: &dyn Store,
    now: Timestamp,
    each: Option<u64>,
) -> Result<()> {
    let each = each.unwrap_or(0);
    writeln!(
        report,
        "\ngrowth by day of acceptance (UTC), {each} bytes a record"
    )?;
    let day_ms = i64::try_from(DAY.as_millis())?;
    let today = now.as_millisecond().div_euclid(day_ms);
    for day in (today - DAYS + 1..=today).rev() {
        let mut records = 0;
        for state in State::NAMES {
            records += store.count(state, day * day_ms, (day + 1) * day_ms).await?;
        }
        let date = Timestamp::from_millisecond(day * day_ms)?
            .strftime("%F")
            .to_string();
        let bytes = records.saturating_mul(each);
        writeln!(report, "  {date} {records:>12} records {bytes:>16} bytes")?;
    }
    Ok(())
}
