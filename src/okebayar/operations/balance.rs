//! The balance operation.

use crate::{
    okebayar::{client::Client, query_error::QueryError, requests},
    transaction::{Amount, Details},
};

impl Client {
    /// Returns the balance of the deposit, and the details of the answer. `reference_code` is the
    /// gateway's own.
    ///
    /// # Errors
    /// [`QueryError`] when OKEBAYAR refuses, or no answer holds a balance.
    pub async fn balance(&self, reference_code: &str) -> Result<(Amount, Details), QueryError> {
        let body = requests::balance(&self.account, reference_code);
        let details = self.query(body).await?.details;
        let balance = details.balance.ok_or(QueryError::Incomplete("balance"))?;
        Ok((balance, details))
    }
}
