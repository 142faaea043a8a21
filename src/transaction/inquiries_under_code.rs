//! The inquiries that OKEBAYAR answered under one inquiry code.
//!
//! An inquiry code should identify one inquiry. If OKEBAYAR reuses a code, for another customer or
//! with a fine added, each caller pays the total it was shown or nothing: a live inquiry is never
//! overwritten by one with other contents, and a request selects an inquiry by the facts that its
//! caller was shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    account_number::AccountNumber,
    amount::Amount,
    code_types::ProductCode,
    inquiry::{Inquiry, NotPayable},
    order::{Bill, Order},
};

/// The limit on live inquiries under one code; one more is rejected.
const LIVE_MAX: usize = 8;
/// The limit on expired inquiries that are kept, so that their callers pay no other inquiry.
const EXPIRED_MAX: usize = 8;

/// An inquiry, and its number among those under the same code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedInquiry {
    /// The inquiry.
    #[serde(flatten)]
    pub inquiry: Inquiry,
    /// The number of the inquiry among the different ones under the code, from 0. It identifies the
    /// binding.
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

/// All inquiries under one code. An earlier release reads and writes only the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InquiriesUnderCode {
    #[serde(flatten)]
    newest: NumberedInquiry,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<NumberedInquiry>,
    /// Some expired inquiries were dropped, and a total alone may be that of one of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_incomplete: bool,
}

/// The error of an inquiry code that has too many live inquiries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("OKEBAYAR gave the same inquiry code to {LIVE_MAX} other inquiries that can still be paid")]
pub struct TooManyUnderCode;

/// The facts by which a caller selects an inquiry.
#[derive(Clone, Copy, Debug)]
pub enum InquirySelector<'a> {
    /// A bill.
    Bill {
        /// The total that the customer was shown; a record of an earlier release has none.
        total: Option<Amount>,
        /// The customer's number, if the caller states it.
        account_number: Option<&'a AccountNumber>,
        /// The earlier order under the reference code, of which nothing was sent.
        before: Option<&'a Order>,
    },
    /// A product and its recipient.
    Prepaid {
        /// The product.
        product_code: &'a ProductCode,
        /// The recipient.
        account_number: &'a AccountNumber,
    },
}

impl InquiriesUnderCode {
    /// Builds the inquiries of a code from its first one.
    #[must_use]
    pub fn new(inquiry: Inquiry) -> Self {
        Self {
            newest: NumberedInquiry { inquiry, number: 0 },
            others: Vec::new(),
            is_incomplete: false,
        }
    }

    /// Adds an inquiry as the newest. It replaces an earlier one with the same contents, and
    /// inherits its binding, because both are the same bill.
    ///
    /// # Errors
    /// [`TooManyUnderCode`] when a live inquiry would have to be dropped.
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
            newest: NumberedInquiry { inquiry, number },
            others: live.into_iter().chain(expired).collect(),
            is_incomplete,
        })
    }

    /// Returns the inquiry that was answered last.
    #[must_use]
    pub fn newest(&self) -> &Inquiry {
        &self.newest.inquiry
    }

    /// Returns the time at which the last of them expires.
    #[must_use]
    pub fn expire_at(&self) -> Timestamp {
        let times = self.all().map(|known| known.inquiry.expires_at);
        times.max().unwrap_or(self.newest.inquiry.expires_at)
    }

    /// Iterates over all of them, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &NumberedInquiry> {
        std::iter::once(&self.newest).chain(&self.others)
    }

    /// Returns the inquiry that a caller selects, expired or not.
    ///
    /// # Errors
    /// [`NotPayable`] when no inquiry matches, or several do.
    pub fn pick(&self, selector: &InquirySelector<'_>) -> Result<&NumberedInquiry, NotPayable> {
        match *selector {
            InquirySelector::Bill {
                total,
                account_number,
                before,
            } => self.pick_bill(total, account_number, before),
            InquirySelector::Prepaid {
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
    ) -> Result<&NumberedInquiry, NotPayable> {
        let bills: Vec<(&NumberedInquiry, &Bill)> = self
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
        let matching: Vec<&NumberedInquiry> = named
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
        let is_one = |known: &&NumberedInquiry| known.inquiry.order.is_same_bill(order);
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
    ) -> Result<&NumberedInquiry, NotPayable> {
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

/// Returns true when both orders are the same bill with the same total, so that the caller of one
/// was shown the same as that of the other. Their references may differ; the newest are used.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::{AccountName, InquiredData, InquiryCode, Verbatim};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn number(text: &str) -> AccountNumber {
        AccountNumber::parse(text).unwrap()
    }

    fn inquiry(customer: &str, nominal: &str, ref1: &str, expires: i64) -> Inquiry {
        let bill = Bill {
            account_numbers: [customer, "", ""].map(Verbatim::new),
            contact_number: Verbatim::new("0812"),
            nominal: Verbatim::new(nominal),
            admin_fee: Verbatim::new("2500.00"),
        };
        Inquiry {
            account: AccountName::parse("main").unwrap(),
            inquiry_code: InquiryCode::parse("CODE").unwrap(),
            expires_at: at(expires),
            order: Order {
                product_code: ProductCode::parse("HPDAM").unwrap(),
                account_number: number(customer),
                inquired: Some(InquiredData {
                    refs: [Some(Verbatim::new(ref1)), None, None],
                    at: Some(at(0)),
                    customer: Verbatim::new(format!("{customer}/")),
                    bill: Some(bill),
                }),
            },
        }
    }

    fn selector(total: &str, account_number: Option<&AccountNumber>) -> InquirySelector<'static> {
        InquirySelector::Bill {
            total: Some(Amount::parse(total).unwrap()),
            account_number: account_number
                .cloned()
                .map(|number| &*Box::leak(Box::new(number))),
            before: None,
        }
    }

    fn ref1(picked: &NumberedInquiry) -> &str {
        let inquired = picked.inquiry.order.inquired.as_ref().unwrap();
        inquired.refs[0].as_ref().unwrap().as_str()
    }

    #[test]
    fn earlier_release_reads_the_newest_inquiry() {
        let first = inquiry("111", "1000.00", "a", 100);
        let second = inquiry("222", "1000.00", "b", 100);
        let both = InquiriesUnderCode::new(first.clone())
            .add(second.clone(), at(1))
            .unwrap();
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Inquiry>(&text).unwrap(), second);
        assert_eq!(
            serde_json::from_str::<InquiriesUnderCode>(&text).unwrap(),
            both
        );
        let earlier = serde_json::to_string(&first).unwrap();
        let alone = InquiriesUnderCode::new(first);
        assert_eq!(
            serde_json::from_str::<InquiriesUnderCode>(&earlier).unwrap(),
            alone
        );
        // A single inquiry is written as that release writes it.
        assert_eq!(serde_json::to_string(&alone).unwrap(), earlier);
    }

    #[test]
    fn the_same_bill_keeps_its_number_and_the_newest_references() {
        let all = InquiriesUnderCode::new(inquiry("111", "1000.00", "a", 100));
        let all = all.add(inquiry("222", "1000.00", "b", 100), at(1)).unwrap();
        let all = all.add(inquiry("111", "1000", "c", 100), at(1)).unwrap();
        let anna = number("111");
        let picked = all.pick(&selector("3500", Some(&anna))).unwrap();
        assert_eq!((picked.number, ref1(picked)), (0, "c"));
        let budi = number("222");
        let picked = all.pick(&selector("3500", Some(&budi))).unwrap();
        assert_eq!((picked.number, ref1(picked)), (1, "b"));
        assert_eq!(
            all.pick(&selector("3500", None)),
            Err(NotPayable::Ambiguous)
        );
    }

    #[test]
    fn earlier_order_selects_the_inquiry_when_armed_again() {
        let before = inquiry("111", "1000.00", "a", 100);
        let all = InquiriesUnderCode::new(before.clone());
        let all = all.add(inquiry("222", "1000.00", "b", 100), at(1)).unwrap();
        let total = Some(Amount::parse("3500").unwrap());
        let again = |order| InquirySelector::Bill {
            total,
            account_number: None,
            before: Some(order),
        };
        assert_eq!(ref1(all.pick(&again(&before.order)).unwrap()), "a");
        let gone = inquiry("333", "1000.00", "x", 100);
        let refused = all.pick(&again(&gone.order));
        assert_eq!(refused, Err(NotPayable::OtherContents("account_number")));
    }

    #[test]
    fn dropped_expired_inquiries_keep_a_total_ambiguous() {
        let mut all = InquiriesUnderCode::new(inquiry("100", "1000.00", "a", 10));
        for customer in 101..120 {
            let next = inquiry(&customer.to_string(), "1000.00", "a", 10);
            all = all.add(next, at(20)).unwrap();
        }
        // The first of them has been dropped.
        let all = all
            .add(inquiry("200", "7000.00", "b", 100), at(20))
            .unwrap();
        assert_eq!(
            all.pick(&selector("9500", None)),
            Err(NotPayable::Ambiguous)
        );
        let named = number("200");
        assert!(all.pick(&selector("9500", Some(&named))).is_ok());
    }

    #[test]
    fn a_live_inquiry_is_never_evicted() {
        let mut all = InquiriesUnderCode::new(inquiry("100", "1000.00", "a", 100));
        for customer in 101..100 + i64::try_from(LIVE_MAX).unwrap() {
            let next = inquiry(&customer.to_string(), "1000.00", "a", 100);
            all = all.add(next, at(1)).unwrap();
        }
        let next = inquiry("200", "1000.00", "a", 100);
        assert_eq!(all.clone().add(next.clone(), at(1)), Err(TooManyUnderCode));
        assert!(all.add(next, at(100)).is_ok(), "they have expired");
    }
}
