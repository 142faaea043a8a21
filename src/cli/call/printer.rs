//! Answers and errors as text for people, or as JSON in its canonical form.

use prost::Name;
use std::fmt::Write;

use prost_reflect::DescriptorPool;
use tonic::Status;
use tonic_types::StatusExt;

use super::{contract_message::to_dynamic, text::text_of};
use crate::grpc::DESCRIPTOR;

/// A printer of answers on standard output and of errors on standard error, as text or JSON.
pub(super) struct Printer {
    pool: Option<DescriptorPool>,
    as_json: bool,
}

impl Printer {
    /// Builds a printer of text, or of JSON.
    pub(super) fn new(as_json: bool) -> Self {
        Self {
            pool: DescriptorPool::decode(DESCRIPTOR).ok(),
            as_json,
        }
    }

    /// Prints an answer.
    pub(super) fn print<T: Name>(&self, message: &T) {
        let pool = self.pool.as_ref();
        let Some(message) = pool.and_then(|pool| to_dynamic(message, pool)) else {
            return self.problem(
                "the answer cannot be shown: it is no message of the contract; report this fault",
            );
        };
        if self.as_json {
            match serde_json::to_string(&message) {
                Ok(text) => println!("{text}"),
                Err(error) => self.problem(&error.to_string()),
            }
        } else {
            let text = text_of(&message);
            // A request that was only validated has no more to show.
            let shown = if text.is_empty() {
                "ok"
            } else {
                text.trim_end()
            };
            println!("{shown}");
        }
    }

    /// Prints an error of the client's own.
    pub(super) fn problem(&self, problem: &str) {
        if self.as_json {
            eprintln!("{}", serde_json::json!({ "message": problem }));
        } else {
            eprintln!("error: {problem}");
        }
    }

    /// Prints an error of the gateway's, with its code, reason and metadata.
    pub(super) fn error(&self, status: &Status) {
        let info = status.get_details_error_info();
        let code = format!("{:?}", status.code());
        let Some(info) = info else {
            return self.problem(&format!("{code}: {}", status.message()));
        };
        if self.as_json {
            let error = serde_json::json!({
                "code": code,
                "message": status.message(),
                "reason": info.reason,
                "metadata": info.metadata,
            });
            return eprintln!("{error}");
        }
        eprintln!("error: {}", status.message());
        let mut about = format!("  {code}, {}", info.reason);
        let mut metadata: Vec<_> = info.metadata.iter().collect();
        metadata.sort();
        for (name, value) in metadata {
            let _ = write!(about, ", {name}={value}");
        }
        eprintln!("{about}");
    }
}
