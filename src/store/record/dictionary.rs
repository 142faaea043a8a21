//! The dictionaries of compact records.
//!
//! A record of about 1 KB repeats little of itself, but nearly everything of other records. A
//! dictionary holds what records have in common, so that a compressed record holds what is its own.
//!
//! `make dictionary` trains the next one from purchases in the sandbox (`tests/dictionary.rs`) and
//! writes it beside the others. A dictionary that a release has written with is never changed or
//! removed: the records could not be read any more. And a release that adds one still writes with the
//! one before, because the release before it shares its store: only the next release writes with it.
//!
//! Number 1 was trained from the events of 3,000 purchases and payments, in XML and JSON, with their
//! times spread over three years.

use std::{
    io,
    sync::{LazyLock, Mutex, PoisonError},
};

use zstd::{
    bulk::{Compressor, Decompressor},
    dict::{DecoderDictionary, EncoderDictionary},
};

/// The level of compression: the highest whose cost stays far below that of a commit.
const LEVEL: i32 = 15;
/// The contexts of a kind that are kept for the next call.
const IDLE_MAX: usize = 8;

/// Every dictionary, by number from 1.
static DICTIONARIES: [LazyLock<Dictionary>; 1] = [LazyLock::new(|| {
    Dictionary::new(1, include_bytes!("dictionaries/1.dictionary"))
})];

/// A dictionary, prepared for use.
pub(super) struct Dictionary {
    number: u8,
    encoder: EncoderDictionary<'static>,
    decoder: DecoderDictionary<'static>,
    compressors: Mutex<Vec<Compressor<'static>>>,
    decompressors: Mutex<Vec<Decompressor<'static>>>,
}

impl Dictionary {
    fn new(number: u8, bytes: &[u8]) -> Self {
        Self {
            number,
            encoder: EncoderDictionary::copy(bytes, LEVEL),
            decoder: DecoderDictionary::copy(bytes),
            compressors: Mutex::default(),
            decompressors: Mutex::default(),
        }
    }

    /// Returns the dictionary that records are written with, which the release before this one has
    /// as well.
    pub(super) fn written_with() -> &'static Self {
        let [first, ..] = &DICTIONARIES;
        first
    }

    /// Returns the dictionary of a number, if this release has it.
    pub(super) fn of(number: u8) -> Option<&'static Self> {
        let known = DICTIONARIES.get(usize::from(number).checked_sub(1)?)?;
        Some(known)
    }

    /// Returns the number of the dictionary.
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// Compresses a text into one frame of zstd, without the id of the dictionary.
    pub(super) fn compress(&'static self, text: &[u8]) -> io::Result<Vec<u8>> {
        let mut compressor = if let Some(idle) = take(&self.compressors) {
            idle
        } else {
            let mut new = Compressor::with_prepared_dictionary(&self.encoder)?;
            new.include_dictid(false)?;
            new
        };
        let compressed = compressor.compress(text);
        give_back(&self.compressors, compressor);
        compressed
    }

    /// Decompresses one frame of zstd into at most `bytes_max` bytes.
    pub(super) fn decompress(&'static self, frame: &[u8], bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut decompressor = match take(&self.decompressors) {
            Some(idle) => idle,
            None => Decompressor::with_prepared_dictionary(&self.decoder)?,
        };
        let text = decompressor.decompress(frame, bytes_max);
        give_back(&self.decompressors, decompressor);
        text
    }
}

fn take<T>(idle: &Mutex<Vec<T>>) -> Option<T> {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    idle.pop()
}

fn give_back<T>(idle: &Mutex<Vec<T>>, context: T) {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.len() < IDLE_MAX {
        idle.push(context);
    }
}
