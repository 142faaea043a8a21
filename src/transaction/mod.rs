//! The core: transactions, and the status that follows from their evidence.
//!
//! The core is pure. It has no async, clock, log or store; time is an argument.
//!
//! ```text
//! Intent -> Transaction --observe(statements)--> fold(evidence) -> TransactionStatus
//!                                            \-> Schedule -> next check
//! ```
//!
//! | subject | files |
//! | --- | --- |
//! | the request | `intent`, `labels`, `order`, `amount`, `code_types`, `reference_code`, `account_names`, `account_number` |
//! | the transaction | `record`, `attempt`, `tokens`, `change`, `verification`, `unrecognized` |
//! | its changes | `arming`, `observation`, `check_outcome`, `resolution`, `release`, `erasure`, `erasure_mark` |
//! | evidence | `evidence`, `statement`, `finding`, `details`, `serial_number`, `placeholder` |
//! | its status | `fold`, `proof`, `receipt`, `rules`, `state`, `next_step` |
//! | status checks | `schedule`, `check_progress`, `check_timing` |
//! | inquiries | `calendar_date`, `inquiry`, `inquiries_under_code`, `inquiries_made` |
//! | status codes | `code_types`, `status_codes` |

mod account_names;
mod account_number;
mod amount;
mod arming;
mod attempt;
mod calendar_date;
mod change;
mod check_outcome;
mod check_progress;
mod check_timing;
mod code_types;
mod details;
mod erasure;
mod erasure_mark;
mod evidence;
mod finding;
mod fold;
mod inquiries_made;
mod inquiries_under_code;
mod inquiry;
mod intent;
mod labels;
mod next_step;
mod observation;
mod order;
mod placeholder;
mod proof;
mod receipt;
mod record;
mod reference_code;
mod release;
mod resolution;
mod rules;
mod schedule;
mod serial_number;
mod state;
mod statement;
mod status_codes;
mod tokens;
mod unrecognized;
mod verification;

pub use account_names::{AccountName, AccountNames};
pub use account_number::AccountNumber;
pub use amount::{Amount, BadAmount, Quoted};
pub use arming::CannotArm;
pub use attempt::{Arming, QuarantinedAttempt};
pub use calendar_date::CalendarDate;
pub use change::Change;
pub use code_types::{BadCode, InquiryCode, ProductCode, StatusCode, TraceCode};
pub use details::{Details, ExtraFields, ExtraFieldsBuilder};
pub use erasure::NotErasable;
pub use erasure_mark::Erasure;
pub use evidence::{Added, EvidenceSet, Occurrences};
pub use finding::{FailureReason, Finding, NotSent, Source, UnknownCause, Verdict};
pub use fold::fold;
pub use inquiries_made::InquiriesMade;
pub use inquiries_under_code::{
    InquiriesUnderCode, InquirySelector, NumberedInquiry, TooManyUnderCode,
};
pub use inquiry::{Inquiry, NotPayable};
pub use intent::{BillGuards, Contents, Guards, Intent, Operation, TraceContext};
pub use labels::{BadLabels, Labels};
pub use next_step::NextStep;
pub use order::{Bill, InquiredData, Order, Verbatim};
pub use record::Transaction;
pub use reference_code::{ReferenceCode, TransactionKey, TransactionRef, reference_to_send};
pub use release::{NotReleased, Release};
pub use resolution::{CannotResolve, Ruling};
pub use rules::{LatestAttempt, Rules};
pub use schedule::{CheckHistory, NextCheck, Phase, Schedule};
pub use serial_number::SerialNumber;
pub use state::{ConfirmingCause, ReviewCause, SerialNumberStatus, State, TransactionStatus};
pub use statement::{Resolution, Statement};
pub use status_codes::{
    AsCheck, AsNotReceived, AsPurchase, AsQuestion, BillRefusal, Refusal, StatusCodeEntry,
};
pub use tokens::{AttemptToken, BaseVersion, LeaseToken};
pub use unrecognized::Unrecognized;
pub use verification::Contradiction;
