//! Tests the connection.

use super::question::refused;
use crate::okebayar::{client::Client, query_error::QueryError, requests};

impl Client {
    /// Has a message returned, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QueryError`] when it does not come back as it was.
    pub async fn echo(&self, reference_code: &str, message: &str) -> Result<(), QueryError> {
        let body = requests::echo(&self.account, reference_code, message);
        // What looks like a secret was removed from the answer: compare without it.
        let message = body.secrets().strip_free_text(message).into_owned();
        let answer = self.question(body).await?;
        // An echo's answer has no status printed, but a refusal has one.
        refused(&answer)?;
        match answer.message {
            Some(returned) if returned == message => Ok(()),
            Some(_) => Err(QueryError::OtherMessage),
            None => Err(QueryError::Incomplete("message")),
        }
    }
}
