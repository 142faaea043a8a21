//! The message of a timeline, and the descriptions of its entries.

use prost::Message;

use super::{
    contract::v1,
    value_messages::{text_or_empty, timestamp},
};
use crate::transaction::{
    Finding, NotSent, Occurrences, QuarantinedAttempt, Source, Statement, Transaction,
    UnknownCause, Verdict,
};

/// The limit on the bytes of a timeline, so that one transaction fits in a response. Only statements
/// that decide nothing are bounded in number: each further attempt that sent nothing, and each check
/// that finds another serial number, is an entry.
const TIMELINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Builds the timeline of a transaction, oldest entry first.
pub(super) fn build(transaction: &Transaction) -> Vec<v1::Evidence> {
    let statements = transaction.evidence().timeline().into_iter().map(evidence);
    let mut entries: Vec<v1::Evidence> = transaction
        .quarantined_attempts()
        .iter()
        .map(quarantined)
        .collect();
    entries.extend(statements);
    entries.sort_by_key(|entry| entry.first_time.map(|time| (time.seconds, time.nanos)));
    bounded(entries, TIMELINE_BYTES_MAX)
}

/// Replaces the middle of a timeline that exceeds a limit by one entry: its beginning and its end
/// explain the transaction best.
fn bounded(entries: Vec<v1::Evidence>, bytes_max: usize) -> Vec<v1::Evidence> {
    // An entry adds its two-byte tag and its length to its own bytes.
    let size = |entry: &v1::Evidence| entry.encoded_len() + 8;
    if entries.iter().map(size).sum::<usize>() <= bytes_max {
        return entries;
    }
    let fitting = |entries: &mut dyn Iterator<Item = &v1::Evidence>| {
        let mut left = bytes_max / 2;
        let fits = |entry: &&v1::Evidence| match left.checked_sub(size(entry)) {
            Some(less) => {
                left = less;
                true
            }
            None => false,
        };
        entries.take_while(fits).count()
    };
    let oldest = fitting(&mut entries.iter());
    let newest = entries.len() - fitting(&mut entries.iter().rev());
    let (Some(first), Some(last)) = (entries.get(oldest), entries.get(newest - 1)) else {
        return entries;
    };
    let omitted = newest - oldest;
    let gap = v1::Evidence {
        source: v1::EvidenceSource::Gateway.into(),
        description: format!("{omitted} entries are omitted: the timeline is too long"),
        first_time: first.first_time,
        last_time: last.last_time,
        count: i32::try_from(omitted).unwrap_or(i32::MAX),
        believed: true,
        ..v1::Evidence::default()
    };
    let mut shown = entries;
    shown.splice(oldest..newest, [gap]);
    shown
}

fn quarantined(attempt: &QuarantinedAttempt) -> v1::Evidence {
    let at = Some(timestamp(attempt.at));
    v1::Evidence {
        source: v1::EvidenceSource::Gateway.into(),
        description: format!(
            "attempt {} was quarantined, not sent: the store may have forgotten an earlier attempt",
            attempt.attempt
        ),
        first_time: at,
        last_time: at,
        count: 1,
        believed: true,
        ..v1::Evidence::default()
    }
}

fn evidence((statement, seen): (&Statement, &Occurrences)) -> v1::Evidence {
    let source = match statement.source {
        Source::Gateway => v1::EvidenceSource::Gateway,
        Source::Answer => v1::EvidenceSource::Answer,
        Source::Check => v1::EvidenceSource::Check,
        Source::Callback => v1::EvidenceSource::Callback,
        Source::Operator => v1::EvidenceSource::Operator,
    };
    let resolution = statement.resolution.as_deref();
    v1::Evidence {
        source: source.into(),
        status_code: text_or_empty(statement.code),
        description: description(statement),
        first_time: Some(timestamp(seen.first)),
        last_time: Some(timestamp(seen.last)),
        count: i32::try_from(seen.count).unwrap_or(i32::MAX),
        believed: statement.believed(),
        operator: resolution.map(|by| by.operator.clone()).unwrap_or_default(),
        note: resolution.map(|by| by.note.clone()).unwrap_or_default(),
    }
}

/// Describes an entry in English. The text never contains a serial number.
fn description(statement: &Statement) -> String {
    let found = match statement.finding {
        Finding::NotSent { attempt, why } => {
            let why = match why {
                NotSent::Unreachable => "no connection could be made",
                NotSent::Overloaded => {
                    "it could not be sent in time, or a possible sale could not be ruled out"
                }
                NotSent::Expired => "its expire_time passed",
                NotSent::ClaimLost => "the claim was abandoned",
                NotSent::Quarantined if statement.source == Source::Operator => {
                    "it was quarantined, and an operator reported that the store lost nothing"
                }
                NotSent::Quarantined => "OKEBAYAR never received it",
            };
            format!("attempt {attempt} sent nothing: {why}")
        }
        Finding::Unknown(UnknownCause::Inconclusive) if statement.source == Source::Check => {
            "OKEBAYAR knows the reference code; its status proves nothing".to_owned()
        }
        Finding::Unknown(UnknownCause::AboutAnother) => {
            format!("not believed: {}", unknown_text(UnknownCause::AboutAnother))
                + &foreign_values(statement)
        }
        Finding::Unknown(why) => format!("outcome unknown: {}", unknown_text(why)),
        Finding::Reported => "reported, not confirmed".to_owned(),
        Finding::Pending => "pending".to_owned(),
        Finding::Doubtful(_) => "doubtful failure".to_owned(),
        Finding::NotReceived => "OKEBAYAR reports that it never received the request".to_owned(),
        Finding::Failed(_) => "failed".to_owned(),
        Finding::PaidMeanwhile => {
            "already paid, while another transaction for the bill is open".to_owned()
        }
        Finding::Resolved(Verdict::Succeeded) => "resolved: it succeeded".to_owned(),
        Finding::Resolved(Verdict::Failed) => "resolved: it failed".to_owned(),
        Finding::Resolved(Verdict::Reversed) => "resolved: it was reversed".to_owned(),
        Finding::Succeeded if statement.details.serial_number.is_none() => {
            "succeeded, without serial number".to_owned()
        }
        Finding::Succeeded => "succeeded, with serial number".to_owned(),
        Finding::ChecksExhausted if statement.source == Source::Answer => {
            "OKEBAYAR answered an inquiry like a purchase; an operator must find out which it was"
                .to_owned()
        }
        Finding::ChecksExhausted => {
            "the check schedule ended without proof of an outcome".to_owned()
        }
        Finding::SerialNumberGivenUp => "no serial number arrived in time".to_owned(),
    };
    let meaning = statement
        .code
        .map(|code| format!(" ({})", code.meaning()))
        .unwrap_or_default();
    let unread = statement.details.unread.iter();
    let unread = unread.map(|(name, text)| format!("; unreadable {name} {text:?}"));
    [format!("{found}{meaning}")]
        .into_iter()
        .chain(unread)
        .collect()
}

/// Lists the values in an answer that differ from ours, and its other fields.
fn foreign_values(statement: &Statement) -> String {
    let price = statement
        .details
        .price
        .map(|price| ("harga", price.to_string()));
    let texts = statement.details.extra.iter();
    let texts = texts
        .map(|(name, text)| (name, text.to_owned()))
        .chain(price);
    let texts: Vec<String> = texts.map(|(name, text)| format!("{name} {text}")).collect();
    if texts.is_empty() {
        String::new()
    } else {
        format!(": {}", texts.join(", "))
    }
}

fn unknown_text(why: UnknownCause) -> String {
    match why {
        UnknownCause::TimedOut => "no answer in time".to_owned(),
        UnknownCause::Broken => "the connection broke".to_owned(),
        UnknownCause::HttpStatus(status) => format!("HTTP status {status}"),
        UnknownCause::Unreadable => "the answer is unreadable".to_owned(),
        UnknownCause::AboutAnother => "the answer is about something else".to_owned(),
        UnknownCause::AboutInquiry => "the answer belongs to an inquiry".to_owned(),
        UnknownCause::Inconclusive => "the status proves no outcome".to_owned(),
        UnknownCause::SenderLost => "the sending process recorded no outcome in time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: i32) -> Vec<v1::Evidence> {
        let entry = |number: i32| v1::Evidence {
            description: format!("entry {number:04}"),
            first_time: Some(prost_types::Timestamp {
                seconds: number.into(),
                nanos: 0,
            }),
            last_time: Some(prost_types::Timestamp {
                seconds: i64::from(number) + 1,
                nanos: 0,
            }),
            count: 1,
            ..v1::Evidence::default()
        };
        (1..=count).map(entry).collect()
    }

    #[test]
    fn long_timeline_keeps_both_ends_and_counts_the_rest() {
        let all = entries(1000);
        let shown = bounded(all.clone(), 4000);
        let size: usize = shown.iter().map(|entry| entry.encoded_len() + 8).sum();
        assert!((3500..4500).contains(&size), "{size}");
        let gap = shown.iter().position(|entry| entry.count > 1).unwrap();
        let omitted = all.len() + 1 - shown.len();
        assert_eq!(usize::try_from(shown[gap].count), Ok(omitted));
        assert_eq!(shown[gap].first_time, all[gap].first_time);
        assert_eq!(shown[gap].last_time, all[gap + omitted - 1].last_time);
        assert_eq!(shown[..gap], all[..gap]);
        assert_eq!(shown[gap + 1..], all[gap + omitted..]);
        assert!(gap > 10 && shown.len() - gap > 10, "{gap}");
    }

    #[test]
    fn timeline_within_the_limit_is_unchanged() {
        let all = entries(100);
        let size: usize = all.iter().map(|entry| entry.encoded_len() + 8).sum();
        assert_eq!(bounded(all.clone(), size), all);
        assert_ne!(bounded(all.clone(), size - 1), all);
        // Nothing fits.
        assert_eq!(bounded(all, 0).len(), 1);
    }
}
