//! The notes of last prices as this process knows them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

/// The number of notes that are remembered; beyond it all are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// The price notes, by name, as this process last stored or read them.
#[derive(Default)]
pub(super) struct PriceNotes(Mutex<HashMap<String, SeenNote>>);

/// A note, and the time at which the store held it.
#[derive(Clone)]
pub(super) struct SeenNote {
    pub(super) text: String,
    pub(super) at: Instant,
}

impl PriceNotes {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, SeenNote>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a note.
    pub(super) fn get(&self, name: &str) -> Option<SeenNote> {
        self.lock().get(name).cloned()
    }

    /// Remembers that the store holds a note since `at` at the latest, or none.
    pub(super) fn set(&self, name: &str, text: Option<String>, at: Instant) {
        let mut notes = self.lock();
        let Some(text) = text else {
            notes.remove(name);
            return;
        };
        if notes.len() >= REMEMBERED_MAX && !notes.contains_key(name) {
            notes.clear();
        }
        notes.insert(name.to_owned(), SeenNote { text, at });
    }
}
