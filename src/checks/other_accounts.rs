//! Status checks of a quarantined reference code at the other accounts.

use tracing::debug;

use super::checks::Checks;
use crate::{inquiries::marks, okebayar::verdict, store::StoreError, transaction::Transaction};

/// The status of a reference code at the other accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherAccountsFinding {
    /// Each account reports that it never received the reference code.
    NotReceived,
    /// No account shows any sign of it.
    Absent,
    /// An account knows it, or its status is indeterminate.
    MayBeKnown,
}

impl Checks {
    /// Checks the reference code of a quarantined transaction at every other account.
    ///
    /// SUBTLE: the store may have lost which account paid:
    /// 1. account A buys under the reference code, and the store loses the record;
    /// 2. a caller that names no account, or another one, is quarantined under account B;
    /// 3. OKEBAYAR reports for B that it never received the code, although it received it for A.
    ///
    /// So a denial counts only if every account denies the code, including accounts that this
    /// gateway does not have and cannot check. The store holds their names. While names are missing
    /// that this gateway saw, and until a verification has written them again, other names may be
    /// missing too.
    ///
    /// Another gateway may know a name that this one never saw, and writes it with its next
    /// verification, within seconds. That is before a denial counts: `checks.not_received_after`
    /// is at least 10 minutes.
    pub(super) async fn check_other_accounts(
        &self,
        about: &Transaction,
    ) -> Result<OtherAccountsFinding, StoreError> {
        let known = self.store.account_names().await?;
        if !known.is_whole
            || known
                .names
                .iter()
                .any(|name| self.upstreams.get(name).is_none())
        {
            return Ok(OtherAccountsFinding::MayBeKnown);
        }
        let inquired = marks::inquired(&*self.store, &about.key()).await?;
        let own = self.accounts.present_name(about.account());
        let mut others = OtherAccountsFinding::NotReceived;
        for (name, upstream) in self.upstreams.iter().filter(|(name, _)| *name != own) {
            let asked = upstream.client.check_unknown(about.reference_code()).await;
            let lists = upstream.client.code_lists();
            // A record counts as a sign of the purchase, whatever its status.
            let absent = asked.as_ref().ok().filter(|heard| !heard.shows_record);
            match absent.map(|heard| heard.code) {
                Some(code)
                    if lists.not_received.contains(&code) && !inquired.may_have_got(code) => {}
                Some(code) if verdict::may_be_unknown(code, lists) => {
                    others = OtherAccountsFinding::Absent;
                }
                _ => {
                    let code = asked.ok().map(|heard| heard.code.to_string());
                    debug!(
                        key = %about.key(),
                        account = %name,
                        code,
                        "reference code may be known to another account"
                    );
                    return Ok(OtherAccountsFinding::MayBeKnown);
                }
            }
        }
        Ok(others)
    }
}
