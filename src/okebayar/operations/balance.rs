//! Asks for the deposit.

use crate::{
    okebayar::{client::Client, query_error::QueryError, requests},
    transaction::{Amount, Details},
};

impl Client {
    /// Asks for the deposit, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QueryError`] when there is no answer that holds a balance.
    pub async fn balance(&self, reference_code: &str) -> Result<(Amount, Details), QueryError> {
        let body = requests::balance(&self.account, reference_code);
        let details = self.query(body).await?.details;
        let balance = details.balance.ok_or(QueryError::Incomplete("balance"))?;
        Ok((balance, details))
    }
}
