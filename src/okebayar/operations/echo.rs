//! The echo operation, which tests the connection.

use super::question::verify_not_refused;
use crate::okebayar::{client::Client, query_error::QueryError, requests};

impl Client {
    /// Verifies that OKEBAYAR returns a message. `reference_code` is the gateway's own.
    ///
    /// # Errors
    /// [`QueryError`] when OKEBAYAR refuses, or returns another message or none.
    pub async fn echo(&self, reference_code: &str, message: &str) -> Result<(), QueryError> {
        let body = requests::echo(&self.account, reference_code, message);
        // Secrets are removed from the answer, so the message is compared without them.
        let message = body.secrets().strip_free_text(message).into_owned();
        let answer = self.question(body).await?;
        // The documented answer to an echo has no status, but a refusal has one.
        verify_not_refused(&answer)?;
        match answer.message {
            Some(returned) if returned == message => Ok(()),
            Some(_) => Err(QueryError::OtherMessage),
            None => Err(QueryError::Incomplete("message")),
        }
    }
}
