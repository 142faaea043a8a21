//! The upstream API: formats, connections, and what each answer proves.

pub mod account_number_forms;
pub mod amounts;
pub mod connections;
pub mod contradictory_answers;
pub mod formats;
pub mod fuzz_corpus;
pub mod malformed_answers;
pub mod member_mismatch;
pub mod published_samples;
pub mod status_codes;
pub mod verdicts;
