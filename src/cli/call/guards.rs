//! Options that a purchase and a payment share: their guards, and a validation without sending.

use std::collections::HashMap;

use clap::{Args, ValueHint};
use jiff::Timestamp;
use tonic::Status;

use super::label::{labels_by_key, parse_label};

/// The guards and the labels of a purchase or payment.
#[derive(Args)]
pub struct GuardArguments {
    /// Send nothing after this time, such as 2026-11-23T12:00:00+07:00.
    #[arg(long, value_hint = ValueHint::Other)]
    expire_time: Option<Timestamp>,
    /// Give the transaction this label of your own, as key=value. Can be repeated.
    #[arg(
        long = "label",
        value_name = "KEY=VALUE",
        value_parser = parse_label,
        value_hint = ValueHint::Other
    )]
    labels: Vec<(String, String)>,
    /// Verify the request without sending or storing anything.
    #[arg(long, conflicts_with = "watch")]
    pub validate_only: bool,
}

impl GuardArguments {
    /// Returns the time after which nothing is sent.
    pub(super) fn expire_time(&self) -> Option<prost_types::Timestamp> {
        self.expire_time.map(|time| prost_types::Timestamp {
            seconds: time.as_second(),
            nanos: time.subsec_nanosecond(),
        })
    }

    /// Returns the labels by key.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when a key is given twice.
    pub(super) fn labels(&self) -> Result<HashMap<String, String>, Status> {
        labels_by_key(self.labels.clone())
    }
}
