//! The failover guard: what must not be sent, because the store may have forgotten
//! that it was sent before (promise 1).
//!
//! A store names its history. When the name is another one, records may be lost: a
//! replica was promoted, Redis was started again, a backup was restored. Whoever
//! notices first says so in the note `guard`, which all gateways read; a claim is
//! refused under any name but the one its maker knows, so none can come before that.
//!
//! For a while from then on a reference code is sent only if it provably was not sent
//! before. Any other one is held back, and status checks find out.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Keep, Put, Store, StoreError};

const NOTE: &str = "guard";
/// Longer than any store.
const NOTE_KEPT: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// How the guard is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardSettings {
    /// How long it is on after the store may have lost something; zero for never.
    pub lasts: SignedDuration,
    /// The most by which the clocks of callers and gateways differ.
    pub clock_skew: SignedDuration,
}

/// What is known of a store's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    history: String,
    loss: Loss,
}

/// What is known of a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Loss {
    /// The store was never seen under another name.
    NoneKnown,
    /// Something may be lost; this is when it was noticed.
    Since(Timestamp),
    /// An operator knows that nothing is.
    Cleared,
}

impl Guard {
    /// The name of the history.
    #[must_use]
    pub fn history(&self) -> &str {
        &self.history
    }

    /// From when to when the guard is on, if it is on now.
    #[must_use]
    pub fn on(&self, settings: &GuardSettings, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let Loss::Since(since) = self.loss else {
            return None;
        };
        let until = since.checked_add(settings.lasts).unwrap_or(Timestamp::MAX);
        (now < until).then_some((since, until))
    }

    /// True when an attempt must not be sent now. `unsent_at` is a time at which its
    /// reference code provably had not been sent, by any clock.
    #[must_use]
    pub fn holds_back(
        &self,
        unsent_at: Option<Timestamp>,
        settings: &GuardSettings,
        now: Timestamp,
    ) -> bool {
        let Some((since, _)) = self.on(settings, now) else {
            return false;
        };
        // A time that lies ahead of us is from a clock that cannot be trusted.
        let is_later = unsent_at.is_some_and(|at| {
            at.duration_since(since) > settings.clock_skew
                && at.duration_since(now) <= settings.clock_skew
        });
        !is_later
    }
}

/// What is known of the history now. It is a loss when the store names another one
/// than its note, or than `known`, which the caller had seen before; or when the note
/// itself is gone.
///
/// # Errors
/// [`StoreError`] when that cannot be found out.
pub async fn observe(
    store: &dyn Store,
    known: Option<&Guard>,
    now: Timestamp,
) -> Result<Guard, StoreError> {
    change(store, known, now, |noted, history| {
        let is_other = known.is_some_and(|known| known.history != history);
        match noted {
            // A store that is empty looks like a new one to whoever comes first.
            Some(noted) if noted.history == history => match noted.loss {
                Loss::NoneKnown if is_other => Loss::Since(now),
                loss => loss,
            },
            None if known.is_none() => Loss::NoneKnown,
            _ => Loss::Since(now),
        }
    })
    .await
}

/// Turns the guard on, whatever is noted: an operator knows that something is lost.
///
/// # Errors
/// [`StoreError`] when that may not be stored.
pub async fn start(store: &dyn Store, now: Timestamp) -> Result<Guard, StoreError> {
    change(store, None, now, |_, _| Loss::Since(now)).await
}

/// Turns the guard off: an operator knows that nothing is lost.
///
/// # Errors
/// [`StoreError`] when that may not be stored.
pub async fn end(store: &dyn Store, now: Timestamp) -> Result<Guard, StoreError> {
    change(store, None, now, |_, _| Loss::Cleared).await
}

/// Notes what is known of a loss, made from what is noted and the history's name.
async fn change(
    store: &dyn Store,
    known: Option<&Guard>,
    now: Timestamp,
    loss: impl Fn(Option<&Guard>, &str) -> Loss,
) -> Result<Guard, StoreError> {
    let keep = Keep {
        now,
        until: now.checked_add(NOTE_KEPT).unwrap_or(Timestamp::MAX),
    };
    loop {
        let text = store.note(NOTE).await?;
        let noted: Option<Guard> = text
            .as_deref()
            .map(|text| serde_json::from_str(text).map_err(|error| unreadable(&error)))
            .transpose()?;
        let seen = noted.as_ref().or(known).map(Guard::history);
        let history = store.history_name(seen).await?;
        let loss = loss(noted.as_ref(), &history);
        let guard = Guard { history, loss };
        if noted.as_ref() == Some(&guard) {
            return Ok(guard);
        }
        let to = serde_json::to_string(&guard).map_err(|error| unreadable(&error))?;
        if store.put_note(NOTE, text.as_deref(), &to, keep).await? == Put::Done {
            return Ok(guard);
        }
    }
}

fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt {
        key: NOTE.to_owned(),
        problem: format!("it cannot be read (column {})", error.column()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: GuardSettings = GuardSettings {
        lasts: SignedDuration::from_hours(24),
        clock_skew: SignedDuration::from_mins(1),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn guard(since: Option<i64>) -> Guard {
        Guard {
            history: "h".to_owned(),
            loss: since.map_or(Loss::NoneKnown, |since| Loss::Since(at(since))),
        }
    }

    #[test]
    fn it_is_on_for_as_long_as_it_lasts() {
        let day = 24 * 3600;
        let held = |since, now| guard(since).holds_back(None, &SETTINGS, at(now));
        assert!(!held(None, 0));
        assert!(held(Some(0), 0) && held(Some(0), day - 1));
        assert!(!held(Some(0), day));
        let never = GuardSettings {
            lasts: SignedDuration::ZERO,
            ..SETTINGS
        };
        assert!(!guard(Some(0)).holds_back(None, &never, at(0)));
    }

    #[test]
    fn only_what_is_provably_later_is_let_through() {
        let held = |unsent, now| guard(Some(0)).holds_back(Some(at(unsent)), &SETTINGS, at(now));
        assert!(held(-1, 1000) && held(0, 1000));
        assert!(held(60, 1000), "its maker's clock may be a minute ahead");
        assert!(!held(61, 1000));
        assert!(!held(1060, 1000));
        assert!(
            held(1061, 1000),
            "its maker's clock is further ahead than that"
        );
    }
}
