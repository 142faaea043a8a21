//! The upstream API: formats, connections, and what each answer proves.

pub mod account_number_forms;
pub mod amounts;
pub mod answer_subject;
pub mod check_after_inquiry;
pub mod connections;
pub mod contradictory_answers;
pub mod formats;
pub mod fuzz_corpus;
pub mod malformed_answers;
pub mod member_mismatch;
pub mod proxy;
pub mod published_answers;
pub mod published_requests;
pub mod reference_hyphens;
pub mod serial_number_evidence;
pub mod status_codes;
pub mod verdict_table;
