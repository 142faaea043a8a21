//! Queries about an account: its deposit, and an echo.

use super::{error::QueryFailure, queries::Queries};
use crate::transaction::{AccountName, Amount, Details};

impl Queries {
    /// The deposit of an account, and what came along with it.
    ///
    /// # Errors
    /// [`QueryFailure`] when OKEBAYAR does not tell.
    pub async fn balance(&self, account: &AccountName) -> Result<(Amount, Details), QueryFailure> {
        let (upstream, _slot) = self.admit_query(account).await?;
        Ok(upstream
            .client
            .balance(&self.ambient.reference_code())
            .await?)
    }

    /// Has OKEBAYAR return a message.
    ///
    /// # Errors
    /// [`QueryFailure`] when the message does not come back as it was.
    pub async fn echo(&self, account: &AccountName, message: &str) -> Result<(), QueryFailure> {
        let (upstream, _slot) = self.admit_query(account).await?;
        Ok(upstream
            .client
            .echo(&self.ambient.reference_code(), message)
            .await?)
    }
}
