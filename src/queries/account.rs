//! Queries of an account: its deposit, and an echo.

use super::{error::QueryFailure, queries::Queries};
use crate::transaction::{AccountName, Amount, Details};

impl Queries {
    /// Queries the deposit of an account; returns it with the other details of the answer.
    ///
    /// # Errors
    /// [`QueryFailure`] when OKEBAYAR does not report it.
    pub async fn balance(&self, account: &AccountName) -> Result<(Amount, Details), QueryFailure> {
        let (upstream, _slot) = self.admit_query(account).await?;
        Ok(upstream
            .client
            .balance(&self.ambient.reference_code())
            .await?)
    }

    /// Sends OKEBAYAR a message to echo.
    ///
    /// # Errors
    /// [`QueryFailure`] when OKEBAYAR does not return the same message.
    pub async fn echo(&self, account: &AccountName, message: &str) -> Result<(), QueryFailure> {
        let (upstream, _slot) = self.admit_query(account).await?;
        Ok(upstream
            .client
            .echo(&self.ambient.reference_code(), message)
            .await?)
    }
}
