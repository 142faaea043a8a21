//! The part that inquiries, balance and echo share: a question that moves no money.

use crate::okebayar::{
    answer::Answer,
    body::Body,
    client::Client,
    query_error::QueryError,
    verdict::{self, Ignored},
};

impl Client {
    /// Posts a question and returns its answer.
    ///
    /// # Errors
    /// [`QueryError::NoAnswer`] when there is no usable answer, or it names another member.
    pub(super) async fn question(&self, body: Body) -> Result<Answer, QueryError> {
        let answer = self.ask(body).await.map_err(QueryError::NoAnswer)?;
        if answer.names_another_member {
            return Err(QueryError::NoAnswer(Ignored::AboutAnotherMember.into()));
        }
        Ok(answer)
    }

    /// Posts a question and returns its answer, which must have a status that answers it.
    pub(super) async fn query(&self, body: Body) -> Result<Answer, QueryError> {
        let answer = self.question(body).await?;
        if answer.status_code().is_none() {
            return Err(QueryError::Incomplete("status"));
        }
        verify_not_refused(&answer)?;
        Ok(answer)
    }
}

/// Verifies that an answer, if it has a status code, is no refusal.
pub(super) fn verify_not_refused(answer: &Answer) -> Result<(), QueryError> {
    let Some(code) = answer.status_code() else {
        return Ok(());
    };
    verdict::of_query(code).map_err(|refusal| QueryError::Refused { code, refusal })
}
