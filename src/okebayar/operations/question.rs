//! Asks a question that moves no money.

use crate::okebayar::{
    answer::Answer,
    body::Body,
    client::Client,
    query_error::QueryError,
    verdict::{self, Ignored},
};

impl Client {
    /// The answer to a question, if it is for us.
    pub(super) async fn question(&self, body: Body) -> Result<Answer, QueryError> {
        let answer = self.ask(body).await.map_err(QueryError::NoAnswer)?;
        if answer.names_another_member {
            return Err(QueryError::NoAnswer(Ignored::AboutAnotherMember.into()));
        }
        Ok(answer)
    }

    pub(super) async fn query(&self, body: Body) -> Result<Answer, QueryError> {
        let answer = self.question(body).await?;
        if answer.status_code().is_none() {
            return Err(QueryError::Incomplete("status"));
        }
        refused(&answer)?;
        Ok(answer)
    }
}

pub(super) fn refused(answer: &Answer) -> Result<(), QueryError> {
    let Some(code) = answer.status_code() else {
        return Ok(());
    };
    verdict::of_query(code).map_err(|refusal| QueryError::Refused { code, refusal })
}
