//! The inquiries that OKEBAYAR answered under one inquiry code.
//!
//! An inquiry code should name one inquiry. Should OKEBAYAR give one out again, for another
//! customer or with a fine added, each session pays what it was shown or nothing: a live inquiry
//! is never overwritten by other contents, and which one a request means is decided by what its
//! caller saw of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    amount::Amount,
    codes::{AccountNumber, ProductCode},
    inquiry::{Inquiry, NotPayable},
    order::{Bill, Order},
};

/// The most live inquiries under one code; one more is refused.
const LIVE_MAX: usize = 8;
/// The most expired ones that are remembered, so that their callers pay no other one.
const EXPIRED_MAX: usize = 8;

/// One inquiry, and its number among those under the same code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The inquiry.
    #[serde(flatten)]
    pub inquiry: Inquiry,
    /// Counts the different inquiries under the code, from 0. It names the binding.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// All inquiries under one code. An earlier release reads the newest, and writes only that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiries {
    #[serde(flatten)]
    newest: Numbered,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<Numbered>,
    /// Some expired ones are no longer known: a total alone may have been theirs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_incomplete: bool,
}

/// The error of an inquiry code that has too many live inquiries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("OKEBAYAR gave the same inquiry code to {LIVE_MAX} other inquiries that can still be paid")]
pub struct TooManyUnderCode;

/// What a caller says of the inquiry that it means.
#[derive(Clone, Copy, Debug)]
pub enum Meant<'a> {
    /// A bill.
    Bill {
        /// The total that the customer was shown; a record of an earlier release has none.
        total: Option<Amount>,
        /// The customer's number, if the caller gives it.
        account_number: Option<&'a AccountNumber>,
        /// What the reference code was to pay before, if nothing of it was sent.
        before: Option<&'a Order>,
    },
    /// What is bought, and who receives it.
    Prepaid {
        /// The product.
        product_code: &'a ProductCode,
        /// Who receives it.
        account_number: &'a AccountNumber,
    },
}

impl Inquiries {
    /// Builds the first inquiry of a code.
    #[must_use]
    pub fn new(inquiry: Inquiry) -> Self {
        Self {
            newest: Numbered { inquiry, number: 0 },
            others: Vec::new(),
            is_incomplete: false,
        }
    }

    /// Adds an inquiry as the newest. One with the same contents takes the place of the earlier
    /// one, and has its binding: it is the same bill.
    ///
    /// # Errors
    /// [`TooManyUnderCode`] when another live one would have to go.
    pub fn add(self, inquiry: Inquiry, now: Timestamp) -> Result<Self, TooManyUnderCode> {
        let mut others = self.others;
        others.insert(0, self.newest);
        let next = others.iter().map(|known| known.number).max().unwrap_or(0);
        let same = others
            .iter()
            .position(|known| is_same(&known.inquiry.order, &inquiry.order));
        let number = match same {
            Some(same) => others.remove(same).number,
            None => next.saturating_add(1),
        };
        let (live, mut expired): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|known| now < known.inquiry.expires_at);
        if live.len() >= LIVE_MAX {
            return Err(TooManyUnderCode);
        }
        let is_incomplete = self.is_incomplete || expired.len() > EXPIRED_MAX;
        expired.truncate(EXPIRED_MAX);
        Ok(Self {
            newest: Numbered { inquiry, number },
            others: live.into_iter().chain(expired).collect(),
            is_incomplete,
        })
    }

    /// Returns the inquiry that was answered last.
    #[must_use]
    pub fn newest(&self) -> &Inquiry {
        &self.newest.inquiry
    }

    /// Returns the latest time at which one of them expires.
    #[must_use]
    pub fn expire_at(&self) -> Timestamp {
        let times = self.all().map(|known| known.inquiry.expires_at);
        times.max().unwrap_or(self.newest.inquiry.expires_at)
    }

    fn all(&self) -> impl Iterator<Item = &Numbered> {
        std::iter::once(&self.newest).chain(&self.others)
    }

    /// Returns the inquiry that a caller means, expired or not.
    ///
    /// # Errors
    /// [`NotPayable`] when there is none, or it may be another one.
    pub fn pick(&self, meant: &Meant<'_>) -> Result<&Numbered, NotPayable> {
        match *meant {
            Meant::Bill {
                total,
                account_number,
                before,
            } => self.pick_bill(total, account_number, before),
            Meant::Prepaid {
                product_code,
                account_number,
            } => self.pick_prepaid(product_code, account_number),
        }
    }

    fn pick_bill(
        &self,
        total: Option<Amount>,
        account_number: Option<&AccountNumber>,
        before: Option<&Order>,
    ) -> Result<&Numbered, NotPayable> {
        let bills: Vec<(&Numbered, &Bill)> = self
            .all()
            .filter_map(|known| Some((known, known.inquiry.order.bill()?)))
            .collect();
        if bills.is_empty() {
            return Err(NotPayable::OtherContents("operation"));
        }
        let named: Vec<_> = bills
            .into_iter()
            .filter(|(known, _)| {
                let order = &known.inquiry.order;
                account_number.is_none_or(|number| order.is_for(number))
                    && before.is_none_or(|before| before.is_same_bill(order))
            })
            .collect();
        let Some((_, newest)) = named.first() else {
            return Err(NotPayable::OtherContents("account_number"));
        };
        let matching: Vec<&Numbered> = named
            .iter()
            .filter(|(_, bill)| {
                bill.total()
                    .is_some_and(|of| total.is_none_or(|it| it == of))
            })
            .map(|(known, _)| *known)
            .collect();
        let Some(picked) = matching.first() else {
            let other = newest.total().ok_or(NotPayable::TotalUnknown)?;
            return Err(NotPayable::OtherTotal(other));
        };
        let order = &picked.inquiry.order;
        let is_one = |known: &&Numbered| known.inquiry.order.is_same_bill(order);
        let is_doubtful = self.is_incomplete && account_number.is_none() && before.is_none();
        if is_doubtful || !matching.iter().all(is_one) {
            return Err(NotPayable::Ambiguous);
        }
        Ok(picked)
    }

    fn pick_prepaid(
        &self,
        product_code: &ProductCode,
        account_number: &AccountNumber,
    ) -> Result<&Numbered, NotPayable> {
        let mut problem = NotPayable::OtherContents("operation");
        for known in self.all() {
            let order = &known.inquiry.order;
            if order.bill().is_some() {
                continue;
            }
            if order.product_code != *product_code {
                problem = NotPayable::OtherContents("product_code");
            } else if order.account_number != *account_number {
                problem = NotPayable::OtherContents("account_number");
            } else {
                return Ok(known);
            }
        }
        Err(problem)
    }
}

/// Returns true where a caller that saw one of the two saw the other: the same bill with the same
/// total. References may differ; the newest count.
fn is_same(one: &Order, other: &Order) -> bool {
    let owed = |order: &Order| {
        let bill = order.bill();
        bill.map(|bill| match bill.total() {
            Some(total) => (Some(total), None),
            None => (None, Some((bill.nominal.clone(), bill.admin_fee.clone()))),
        })
    };
    one.is_same_bill(other) && owed(one) == owed(other)
}
