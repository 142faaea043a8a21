//! The rules by which a record ends; pure.

use jiff::{SignedDuration, Timestamp};

use super::settings::RetentionSettings;
use crate::{
    store::{RetiredState, Tombstone},
    transaction::{Schedule, State, Transaction},
};

/// The states whose records end, by [`State::name`].
pub const ENDING_STATES: [&str; 4] = [
    RetiredState::Succeeded.name(),
    RetiredState::Failed.name(),
    RetiredState::Reversed.name(),
    NOT_SENT,
];

const NOT_SENT: &str = "NOT_SENT";

/// The end of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEnd {
    /// The time at which it ends.
    pub at: Timestamp,
    /// The tombstone that it leaves; `None` for a record of which nothing was sent.
    pub tombstone: Option<Tombstone>,
}

/// Returns the shortest time for which a record in one of [`ENDING_STATES`] is kept.
#[must_use]
pub fn shortest_kept(state: &str, settings: &RetentionSettings) -> SignedDuration {
    if state == NOT_SENT {
        settings.not_sent_kept
    } else {
        settings.final_kept
    }
}

/// Returns the end of a record; `None` while none is foreseen: its transaction is not final, or a
/// status check is due, which may change it.
#[must_use]
pub fn end_of(
    transaction: &Transaction,
    settings: &RetentionSettings,
    schedule: &Schedule,
) -> Option<RecordEnd> {
    if transaction.due_at().is_some() {
        return None;
    }
    let after = |kept| {
        let last = transaction.updated_at();
        last.checked_add(kept).unwrap_or(Timestamp::MAX)
    };
    if matches!(transaction.status().state, State::NotSent(_)) {
        // A process that still holds the right to send would have a record in SENDING. Its POST is
        // over all the same.
        let at = after(settings.not_sent_kept).max(transaction.post_over_at(schedule));
        let tombstone = None;
        return Some(RecordEnd { at, tombstone });
    }
    Some(RecordEnd {
        at: after(settings.final_kept),
        tombstone: Some(Tombstone::of(transaction)?),
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use uuid::Uuid;

    use super::*;
    use crate::transaction::{
        AccountName, AccountNumber, Arming, AttemptToken, BillGuards, Change, Contents, Details,
        FailureReason, Finding, Guards, Intent, Labels, NotSent, Order, ProductCode, ReferenceCode,
        Rules, SerialNumber, Source, Statement,
    };

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    const SETTINGS: RetentionSettings = RetentionSettings {
        final_kept: SignedDuration::from_hours(100),
        tombstones_kept: SignedDuration::from_hours(1000),
        not_sent_kept: SignedDuration::from_mins(1),
        lists_kept: SignedDuration::from_hours(100),
        renewal_interval: Duration::from_hours(1),
        interval: Duration::from_secs(1),
        clock_settles: Duration::from_hours(1),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// A POST is over two hours after its claim, and a minute of clock skew.
    fn schedule() -> Schedule {
        Schedule {
            sending: HOUR * 2,
            unknown_first: HOUR,
            pending_first: HOUR,
            delays: vec![HOUR],
            day_delay: HOUR,
            day_ends: HOUR * 24,
            late_delay: HOUR,
            give_up_after: HOUR * 72,
            serial_number: vec![HOUR],
            interval_min: HOUR,
            callback_interval_min: HOUR,
            age_max: HOUR * 720,
            unconfigured_grace: HOUR,
        }
    }

    fn begin() -> Arc<Transaction> {
        let order = Order {
            product_code: ProductCode::parse("PULSA10").unwrap(),
            account_number: AccountNumber::parse("081234567890").unwrap(),
            inquired: None,
        };
        let intent = Intent {
            account: AccountName::parse("main").unwrap(),
            names_account: false,
            reference_code: ReferenceCode::parse("reference-1").unwrap(),
            contents: Contents::PurchasePrepaid {
                product_code: order.product_code.clone(),
                account_number: order.account_number.clone(),
                inquiry_code: None,
            },
            bill: BillGuards::default(),
            guards: Guards::default(),
            labels: Labels::default(),
            trace: None,
        };
        let arming = Arming {
            token: AttemptToken::new(Uuid::from_u128(1)),
            at: at(0),
            is_quarantined: false,
            expire_at: None,
            omits_hyphens: false,
        };
        let rules = Rules {
            doubtful_gap: HOUR,
            not_received_after: HOUR,
            clock_skew: SignedDuration::from_mins(1),
        };
        Transaction::begin(intent, order, arming, rules, &schedule()).transaction
    }

    fn observe(from: &Transaction, said: Statement, seconds: i64) -> Arc<Transaction> {
        let changed: Option<Change> = from.observe([said], at(seconds), &schedule());
        changed.unwrap().transaction
    }

    fn found(from: &Transaction, finding: Finding, seconds: i64) -> Arc<Transaction> {
        observe(from, Statement::bare(Source::Answer, finding), seconds)
    }

    fn end(transaction: &Transaction) -> Option<(Timestamp, Option<RetiredState>)> {
        let end = end_of(transaction, &SETTINGS, &schedule())?;
        Some((end.at, end.tombstone.map(|tombstone| tombstone.state)))
    }

    fn failed() -> Finding {
        Finding::Failed(FailureReason::ProductUnavailable)
    }

    #[test]
    fn final_record_ends_after_its_last_change_with_a_tombstone() {
        let failure = found(&begin(), failed(), 10);
        let hours_100 = 100 * 3600;
        let expected = (at(10 + hours_100), Some(RetiredState::Failed));
        assert_eq!(end(&failure), Some(expected));
        let details = Details {
            serial_number: SerialNumber::read("1234"),
            ..Details::default()
        };
        let said = Statement::new(Source::Answer, Finding::Succeeded, None, details);
        let success = observe(&begin(), said, 20);
        let expected = (at(20 + hours_100), Some(RetiredState::Succeeded));
        assert_eq!(end(&success), Some(expected));
    }

    #[test]
    fn what_is_not_final_never_ends() {
        let begun = begin();
        let pending = found(&begun, Finding::Pending, 10);
        let awaits_serial_number = found(&begun, Finding::Succeeded, 10);
        let contradicted = found(&found(&begun, failed(), 10), Finding::Succeeded, 20);
        let review = found(&begun, Finding::ChecksExhausted, 10);
        for open in [begun, pending, awaits_serial_number, contradicted, review] {
            let state = open.status().state;
            assert!(!state.is_terminal(), "{state:?}");
            assert_eq!(end(&open), None, "{state:?}");
        }
    }

    #[test]
    fn record_with_a_due_check_does_not_end() {
        let failure = found(&begin(), failed(), 10);
        let asked = failure
            .request_check(at(20), &schedule())
            .unwrap()
            .transaction;
        assert!(asked.due_at().is_some());
        assert_eq!(end(&asked), None);
    }

    #[test]
    fn not_sent_ends_without_a_tombstone_once_its_post_would_be_over() {
        let unsent = Finding::NotSent {
            attempt: 1,
            why: NotSent::Unreachable,
        };
        let said = Statement::bare(Source::Gateway, unsent);
        let early = observe(&begin(), said.clone(), 10);
        let over = begin().post_over_at(&schedule());
        assert!(over >= at(2 * 3600));
        assert_eq!(end(&early), Some((over, None)));
        let late = observe(&begin(), said, 9 * 3600);
        assert_eq!(end(&late), Some((at(9 * 3600 + 60), None)));
    }

    #[test]
    fn every_state_that_ends_is_walked() {
        assert_eq!(
            ENDING_STATES,
            ["SUCCEEDED", "FAILED", "REVERSED", "NOT_SENT"]
        );
        assert_eq!(shortest_kept("NOT_SENT", &SETTINGS), SETTINGS.not_sent_kept);
        for state in RetiredState::ALL {
            assert_eq!(shortest_kept(state.name(), &SETTINGS), SETTINGS.final_kept);
            assert!(State::NAMES.contains(&state.name()));
        }
    }
}
