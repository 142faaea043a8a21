//! The errors of purchase calls.

use jiff::SignedDuration;

use crate::{
    store::StoreError,
    transaction::{AccountName, Amount, NotPayable, NotSent},
};

/// The send status of a reference code: a purchase or payment under it may have been sent to
/// OKEBAYAR, or provably was not. It covers earlier calls too, not only this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing was sent: the store holds nothing under the reference code, or NOT_SENT.
    No,
    /// Something may have been sent.
    Maybe,
}

/// The reason why a purchase call returns no transaction.
#[derive(Debug, thiserror::Error)]
pub enum PurchaseError {
    /// The account is not configured.
    #[error("there is no account {name:?}")]
    NoSuchAccount {
        /// The account named by the caller, or by the stored transaction.
        name: AccountName,
        /// The send status of the reference code.
        sent: Sent,
    },
    /// The reference code was used with other contents (promise 5).
    #[error("the reference code was used before {}", difference(field))]
    OtherContents {
        /// The first field that differs.
        field: &'static str,
        /// The send status of the reference code.
        sent: Sent,
    },
    /// The gateway does not know the inquiry, or deleted it after it expired.
    #[error("there is no such inquiry; inquire again")]
    NoSuchInquiry,
    /// Several accounts have an inquiry with this code.
    #[error("several accounts have an inquiry with this code")]
    AmbiguousInquiry,
    /// The inquiry does not fit the request, or has expired.
    #[error(transparent)]
    NotPayable(#[from] NotPayable),
    /// The inquiry belongs to another reference code.
    #[error("the inquiry was used under the reference code {reference_code}; {}", .holder.advice())]
    InquiryAlreadyUsed {
        /// The other reference code.
        reference_code: String,
        /// The status of its transaction.
        holder: Holder,
    },
    /// Another payment of the bill is open, and the caller does not acknowledge it.
    #[error(
        "another payment of the bill, under the reference code {reference_code}, may be in flight: \
         its outcome is open; wait until it is terminal (watch it), then retry under this reference \
         code if it FAILED. Never pay under a third reference code meanwhile"
    )]
    BillPaymentOpen {
        /// The other reference code.
        reference_code: String,
    },
    /// Another payment of the bill succeeded after the inquiry was made, or may have.
    #[error(
        "the bill was paid under the reference code {reference_code}, and the inquiry was made \
         before that, or less than {skew} after it (store.clock_skew); if the customer still owes \
         something, inquire again"
    )]
    InquiryOutdated {
        /// The other reference code.
        reference_code: String,
        /// The greatest difference between two clocks.
        skew: SignedDuration,
    },
    /// OKEBAYAR may have sold the product in response to an inquiry, and no operator has settled
    /// that sale.
    #[error(
        "this call sent nothing: OKEBAYAR answered an inquiry like a purchase, and may have sold \
         this product for this account number already; an operator must first settle the \
         transaction under reference code {reference_code}"
    )]
    SoldByInquiry {
        /// The reference code of the transaction that stands for the sale.
        reference_code: String,
    },
    /// The inquiry cannot be used, and the store may have lost the record of an earlier call,
    /// which may have been sent.
    #[error("{0}; the store may have lost the record of an earlier call, which may have been sent")]
    MayBeForgotten(String),
    /// The caller's `expire_time` has passed, and nothing was sent.
    #[error("this call sent nothing: its expire_time has passed")]
    Expired {
        /// It has passed by every clock of the gateways, also by one that is behind.
        is_everywhere: bool,
    },
    /// The last known price exceeds what the caller accepts.
    #[error(
        "this call sent nothing: the last known price of the product is IDR {price}, above the \
         max_price of IDR {max_price}"
    )]
    PriceTooHigh {
        /// The last known price.
        price: Amount,
        /// The highest price that this call or an earlier one accepts.
        max_price: Amount,
    },
    /// The price is unknown, and the account refuses that.
    #[error(
        "this call sent nothing: no price of the product was seen in the last 24 hours, and the \
         account refuses a max_price then (unknown_price); leave max_price out to purchase anyway"
    )]
    PriceUnknown,
    /// Too many purchases are queued, or too many callers are waiting.
    #[error("too many purchases are waiting ({limit})")]
    Overloaded {
        /// The limit that is reached.
        limit: &'static str,
        /// The send status of the reference code.
        sent: Sent,
    },
    /// Concurrent calls won the claim in every try.
    #[error("concurrent calls with the same reference code won the claim")]
    Overtaken,
    /// The attempt provably sent nothing.
    #[error("nothing was sent to OKEBAYAR: {}", not_sent_text(*.0))]
    NothingSent(NotSent),
    /// This call sent nothing: the store could not be read, or did not confirm the claim.
    #[error(
        "this call sent nothing: the store could not be read, or did not confirm the claim: {0}"
    )]
    NotClaimed(StoreError),
    /// The store failed its last verification, so the gateway claims nothing.
    #[error("this call sent nothing: the store failed its last verification")]
    StoreUnfit(Sent),
    /// The gateway is shutting down.
    #[error("this call sent nothing: the gateway is stopping")]
    Stopping(Sent),
    /// The caller's deadline passed before the store answered.
    #[error("the deadline passed before the store answered")]
    OutOfTime,
    /// Something may have been sent, and the outcome cannot be read.
    #[error("the outcome cannot be read: {0}")]
    OutcomeUnreadable(String),
}

/// The status of the transaction that holds an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Its outcome is open, or may be open.
    Open,
    /// It paid, or the payment was reversed.
    Settled,
    /// It has no record: its call was refused, or has not claimed yet.
    Unclaimed,
}

impl Holder {
    /// Returns the advice to a caller whose inquiry this transaction holds.
    fn advice(self) -> &'static str {
        match self {
            Self::Open => {
                "its outcome is open: watch it until it is terminal, and never pay under another \
                 reference code meanwhile"
            }
            Self::Settled => "read that transaction before you decide anything",
            Self::Unclaimed => "use that reference code, or inquire again",
        }
    }
}

impl PurchaseError {
    /// Returns the error of a call while another call may be sending under the reference code.
    pub(super) fn into_maybe_sent(self) -> Self {
        match self {
            Self::OtherContents { field, .. } => Self::OtherContents {
                field,
                sent: Sent::Maybe,
            },
            other => other,
        }
    }

    /// Returns the send status of the reference code.
    #[must_use]
    pub fn sent(&self) -> Sent {
        match self {
            Self::NoSuchAccount { sent, .. }
            | Self::OtherContents { sent, .. }
            | Self::Overloaded { sent, .. }
            | Self::StoreUnfit(sent)
            | Self::Stopping(sent) => *sent,
            Self::NoSuchInquiry
            | Self::AmbiguousInquiry
            | Self::NotPayable(_)
            | Self::InquiryAlreadyUsed { .. }
            | Self::BillPaymentOpen { .. }
            | Self::InquiryOutdated { .. }
            | Self::Expired { .. }
            | Self::PriceTooHigh { .. }
            | Self::PriceUnknown
            | Self::NothingSent(_) => Sent::No,
            // Sold under another reference code, but the customer may have received the product.
            Self::SoldByInquiry { .. }
            | Self::MayBeForgotten(_)
            | Self::Overtaken
            | Self::NotClaimed(_)
            | Self::OutOfTime
            | Self::OutcomeUnreadable(_) => Sent::Maybe,
        }
    }

    /// Returns true for a refusal over an inquiry, a bill or a guard: the store may have lost the record of
    /// an earlier call that was sent, and with it the inquiry that this call misses.
    pub(super) fn may_follow_loss(&self) -> bool {
        match self {
            Self::NoSuchInquiry
            | Self::AmbiguousInquiry
            | Self::NotPayable(_)
            | Self::InquiryAlreadyUsed { .. }
            | Self::BillPaymentOpen { .. }
            | Self::InquiryOutdated { .. }
            | Self::Expired { .. }
            | Self::PriceTooHigh { .. }
            | Self::PriceUnknown => true,
            Self::NoSuchAccount { .. }
            | Self::OtherContents { .. }
            | Self::SoldByInquiry { .. }
            | Self::MayBeForgotten(_)
            | Self::Overloaded { .. }
            | Self::Overtaken
            | Self::NothingSent(_)
            | Self::NotClaimed(_)
            | Self::StoreUnfit(_)
            | Self::Stopping(_)
            | Self::OutOfTime
            | Self::OutcomeUnreadable(_) => false,
        }
    }
}

/// Returns the difference of a repeated request in words.
fn difference(field: &str) -> String {
    match field {
        "reference_code" => "in another spelling".to_owned(),
        field => format!("with another {field}"),
    }
}

/// Returns the reason for NOT_SENT in words.
fn not_sent_text(why: NotSent) -> &'static str {
    match why {
        NotSent::Unreachable => "no connection could be established",
        NotSent::Overloaded => "it could not be sent in time",
        NotSent::Expired => "its expire_time passed",
        NotSent::ClaimLost => {
            "the claim was abandoned: the store did not confirm it, or the purchase was no longer \
             admissible"
        }
        NotSent::Quarantined => "it was quarantined, and OKEBAYAR never received it",
    }
}
