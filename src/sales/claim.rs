//! The claim of a reference code for a possible sale: a transaction that is never sent.

use std::sync::Arc;

use super::{report::SentPrepaidInquiry, sales::Sales};
use crate::{
    store::{Claim, StoreError, claim},
    transaction::{
        Arming, AttemptToken, BillGuards, Contents, Guards, Intent, Labels, Order, ReferenceCode,
        Transaction, reference_to_send,
    },
};

/// The number of tries to win the claim against concurrent calls.
const CLAIM_TRIES_MAX: u32 = 8;

impl Sales {
    /// Claims the reference code of an inquiry for its possible sale; `None` when another
    /// transaction has the reference code. Sends nothing: the permit ends here. Idempotent with the
    /// same token.
    pub(super) async fn claim_sale(
        &self,
        made: &SentPrepaidInquiry,
        token: AttemptToken,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let Ok(reference_code) = ReferenceCode::parse(made.reference_code.as_str()) else {
            return Ok(None);
        };
        let order = Order {
            product_code: made.product_code.clone(),
            account_number: made.account_number.clone(),
            inquired: None,
        };
        let intent = Intent {
            account: made.account.clone(),
            names_account: false,
            reference_code,
            contents: Contents::PurchasePrepaid {
                product_code: made.product_code.clone(),
                account_number: made.account_number.clone(),
                inquiry_code: None,
            },
            bill: BillGuards::default(),
            guards: Guards::default(),
            labels: Labels::default(),
            trace: None,
        };
        let upstream = self.upstreams.get(&made.account);
        let omits_hyphens = upstream.is_some_and(|upstream| upstream.client.omits_hyphens());
        let sent_as = &reference_to_send(&made.reference_code, omits_hyphens);
        let mut epoch = self.failover.epoch().await?;
        let mut stored: Option<Arc<Transaction>> = None;
        for _ in 0..CLAIM_TRIES_MAX {
            let arming = Arming {
                token,
                at: (self.ambient.now)(),
                is_quarantined: false,
                expire_at: None,
                omits_hyphens,
            };
            let (rules, schedule) = (self.rules, &self.schedule);
            let change = match &stored {
                None => Transaction::begin(intent.clone(), order.clone(), arming, rules, schedule),
                // Its checks would name another form than the inquiry did.
                Some(stored) if stored.sent_reference_code() != *sent_as => return Ok(None),
                Some(stored) => match stored.arm_again(order.clone(), arming, schedule) {
                    Ok(change) => change,
                    Err(_) => return Ok(None),
                },
            };
            match claim(&*self.store, change, epoch.name()).await? {
                Claim::Won(permit) => return Ok(Some(Arc::clone(permit.transaction()))),
                Claim::Quarantined(transaction) => return Ok(Some(transaction)),
                // An earlier try claimed it; its result was indeterminate.
                Claim::Taken(found) if found.token() == token => return Ok(Some(found)),
                Claim::Taken(found) => stored = Some(found),
                Claim::OtherEpoch => {
                    epoch = self.failover.refresh().await?;
                    stored = None;
                }
            }
        }
        Err(StoreError::Unavailable(
            "concurrent calls with the same reference code won the claim".to_owned(),
        ))
    }
}
