//! Status checks of a quarantined reference code at the other accounts.

use tracing::debug;

use super::checks::Checks;
use crate::{
    accounts::Upstream,
    inquiries::marks,
    okebayar::{
        answer_error::AnswerError,
        verdict::{self, ReferenceStatus},
    },
    store::StoreError,
    transaction::{InquiriesMade, Transaction},
};

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
    /// Checks the reference code of a quarantined transaction at every other account, and in its other
    /// form at its own.
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
    /// The account may have sent the code in another form (`reference_code_hyphens`), also the
    /// transaction's own: a denial counts only for both forms.
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
        let own_form = about.sent_reference_code();
        let mut others = OtherAccountsFinding::NotReceived;
        let forms = [false, true].map(|is_bare| about.reference_code().to_send(is_bare));
        let number = if forms[0] == forms[1] { 1 } else { 2 };
        for (name, upstream) in self.upstreams.iter() {
            for form in &forms[..number] {
                if name == own && *form == own_form {
                    continue;
                }
                let asked = upstream.client.check_unknown(form).await;
                match heard(asked, upstream, &inquired) {
                    Ok(OtherAccountsFinding::NotReceived) => {}
                    Ok(found) => others = found,
                    Err(code) => {
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
        }
        Ok(others)
    }
}

/// Returns the finding of one answer. The error is its status code: it may show the reference code.
fn heard(
    asked: Result<ReferenceStatus, AnswerError>,
    upstream: &Upstream,
    inquired: &InquiriesMade,
) -> Result<OtherAccountsFinding, Option<String>> {
    let lists = upstream.client.code_lists();
    // A record counts as a sign of the purchase, whatever its status.
    let absent = asked.as_ref().ok().filter(|heard| !heard.shows_record);
    match absent.map(|heard| heard.code) {
        Some(code) if lists.not_received.contains(&code) && !inquired.may_have_got(code) => {
            Ok(OtherAccountsFinding::NotReceived)
        }
        Some(code) if verdict::may_be_unknown(code, lists) => Ok(OtherAccountsFinding::Absent),
        _ => Err(asked.ok().map(|heard| heard.code.to_string())),
    }
}
