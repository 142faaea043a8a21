//! The part that purchases and payments share: booking, later settlement, and the scripted answer.

use std::sync::Arc;

use super::{
    answer::SandboxAnswer,
    book::{BookingOutcome, SandboxOrder},
    codes::{DEPOSIT_EXHAUSTED, DUPLICATE, INQUIRY_PAID},
    format::WireFormat,
    parameters::Parameters,
    samples::ScriptedAnswer,
    scenario::{ScenarioChecks, ScenarioReply, Script},
    state::Sandbox,
};

impl Sandbox {
    /// Resets the connection before processing anything.
    pub(super) fn reset_unprocessed(&self, request: &Parameters, script: Script) -> ScriptedAnswer {
        if let ScenarioChecks::OtherStatus(code) = script.checks {
            self.book.never_received(request.get("referencecode"), code);
        }
        (script.reply, SandboxAnswer::default())
    }

    /// Books a purchase or payment, and answers as its script defines.
    pub(super) fn book_order(
        self: &Arc<Self>,
        request: &Parameters,
        order: &SandboxOrder<'_>,
        format: WireFormat,
    ) -> ScriptedAnswer {
        let trace_code = order.trace_code;
        let purchase = match self.book.order(order) {
            BookingOutcome::New(purchase) => {
                if order.script.charges() {
                    self.ledger.record_charge(order.reference_code);
                }
                purchase
            }
            BookingOutcome::Duplicate => return self.decline(request, trace_code, DUPLICATE),
            BookingOutcome::DepositExhausted => {
                return self.decline(request, trace_code, DEPOSIT_EXHAUSTED);
            }
            BookingOutcome::Paid => return self.decline(request, trace_code, INQUIRY_PAID),
        };
        self.settle_later(order.reference_code, &purchase, format);
        let reply = order.script.reply;
        if matches!(reply, ScenarioReply::Answer | ScenarioReply::Slow) {
            self.book.report_success(order.reference_code, trace_code);
        }
        let answer = match (reply, &purchase.paid) {
            (ScenarioReply::LikeInquiry, _) => {
                self.like_inquiry(order.reference_code, trace_code, &purchase)
            }
            (_, Some((inquiry_code, inquiry))) => {
                self.payment(order, inquiry_code, inquiry, &purchase)
            }
            (_, None) => self.purchase_status(order.reference_code, trace_code, &purchase),
        };
        (reply, answer)
    }
}
