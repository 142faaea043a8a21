//! The reasons for which a purchase call has no transaction to show.

use jiff::SignedDuration;

use crate::{
    store::StoreError,
    transaction::{AccountName, NotPayable, NotSent},
};

/// Whether a purchase or payment under a reference code can have gone to OKEBAYAR. It is
/// about the reference code, not about the call: an earlier call may have sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The store was read: it holds nothing under the reference code, or NOT_SENT.
    No,
    /// Anything else.
    Maybe,
}

/// Why a purchase call has no transaction to show.
#[derive(Debug, thiserror::Error)]
pub enum PurchaseError {
    /// The account is not configured.
    #[error("there is no account {name:?}")]
    NoSuchAccount {
        /// As the caller names it, or as the stored transaction does.
        name: AccountName,
        /// About the reference code.
        sent: Sent,
    },
    /// The reference code was used with other contents (promise 5).
    #[error("the reference code was used before with another {field}")]
    OtherContents {
        /// The first field that differs.
        field: &'static str,
        /// About the reference code.
        sent: Sent,
    },
    /// The inquiry is not known here, or was forgotten since it expired.
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
        /// The other one.
        reference_code: String,
        /// What became of it.
        holder: Holder,
    },
    /// Another payment of the bill is open, and the caller does not acknowledge it.
    #[error(
        "the bill may be being paid under the reference code {reference_code}, whose outcome is \
         open; wait for that outcome (watch it), then use this reference code again if it FAILED. \
         Never pay under another reference code meanwhile"
    )]
    BillPaymentOpen {
        /// The other one.
        reference_code: String,
    },
    /// Another payment of the bill succeeded after the inquiry was made, or may have.
    #[error(
        "the bill was paid under the reference code {reference_code}, and the inquiry was made \
         before that, or less than {skew} after it (store.clock_skew); should the customer still \
         owe something, inquire again"
    )]
    InquiryOutdated {
        /// The other one.
        reference_code: String,
        /// By how much clocks may differ.
        skew: SignedDuration,
    },
    /// An inquiry for the same may have been sold, and nobody has settled that yet.
    #[error(
        "this call sent nothing: OKEBAYAR may have sold this product for this account number \
         already, when it answered an inquiry like a purchase; an operator must settle the \
         transaction under reference code {reference_code} first"
    )]
    SoldByInquiry {
        /// The reference code of that inquiry.
        reference_code: String,
    },
    /// The inquiry cannot be used, and an earlier call may have been sent: the store
    /// may have forgotten it.
    #[error("{0}; but the store may have forgotten an earlier call, which may have been sent")]
    MayBeForgotten(String),
    /// Too many purchases at once.
    #[error("too many purchases are waiting to be sent")]
    Overloaded(Sent),
    /// Concurrent calls armed the reference code first, every time.
    #[error("other calls with the same reference code were faster")]
    Overtaken,
    /// The attempt provably sent nothing.
    #[error("nothing was sent to OKEBAYAR: {}", not_sent_text(*.0))]
    NothingSent(NotSent),
    /// This call sent nothing: the store could not be read, or did not take the claim.
    #[error("this call sent nothing: {0}")]
    NotClaimed(StoreError),
    /// The store failed its last verification, so it takes no claim.
    #[error("this call sent nothing: the store failed its last verification")]
    StoreUnfit(Sent),
    /// The gateway is shutting down.
    #[error("this call sent nothing: the gateway is stopping")]
    Stopping(Sent),
    /// The caller's deadline came before the store answered.
    #[error("the deadline came before the store answered")]
    OutOfTime,
    /// Something may have been sent, and the outcome cannot be read.
    #[error("the outcome cannot be read: {0}")]
    OutcomeUnreadable(String),
}

/// The standing of the transaction that holds an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Its outcome is open, or may be.
    Open,
    /// It paid, or was reversed.
    Settled,
    /// It has no record: it was refused, or is about to be claimed.
    Unclaimed,
}

impl Holder {
    fn advice(self) -> &'static str {
        match self {
            Self::Open => {
                "its outcome is open: wait for that (watch it), and never pay under another \
                 reference code meanwhile"
            }
            Self::Settled => "read that transaction before you decide anything",
            Self::Unclaimed => "use that one, or inquire again",
        }
    }
}

impl PurchaseError {
    /// Returns the same error where another call may be sending under the reference code.
    pub(super) fn as_maybe_sent(self) -> Self {
        match self {
            Self::OtherContents { field, .. } => Self::OtherContents {
                field,
                sent: Sent::Maybe,
            },
            other => other,
        }
    }

    /// Returns whether something can have been sent under the reference code.
    #[must_use]
    pub fn sent(&self) -> Sent {
        match self {
            Self::NoSuchAccount { sent, .. }
            | Self::OtherContents { sent, .. }
            | Self::Overloaded(sent)
            | Self::StoreUnfit(sent)
            | Self::Stopping(sent) => *sent,
            Self::NoSuchInquiry
            | Self::AmbiguousInquiry
            | Self::NotPayable(_)
            | Self::InquiryAlreadyUsed { .. }
            | Self::BillPaymentOpen { .. }
            | Self::InquiryOutdated { .. }
            | Self::NothingSent(_) => Sent::No,
            // Not of this reference code, but the customer may have it.
            Self::SoldByInquiry { .. }
            | Self::MayBeForgotten(_)
            | Self::Overtaken
            | Self::NotClaimed(_)
            | Self::OutOfTime
            | Self::OutcomeUnreadable(_) => Sent::Maybe,
        }
    }
}

fn not_sent_text(why: NotSent) -> &'static str {
    match why {
        NotSent::Unreachable => "no connection could be made",
        NotSent::Overloaded => "it waited too long to be sent",
        NotSent::ClaimLost => "the claim could not be confirmed in the store",
        NotSent::HeldBack => "it was held back, and OKEBAYAR never received it",
    }
}
