//! Status checks.

use super::{
    answer::SandboxAnswer,
    parameters::Parameters,
    samples::ScriptedAnswer,
    scenario::{MISLEADING_CHECKS, ScenarioChecks, ScenarioReply},
    state::Sandbox,
};

impl Sandbox {
    /// Answers a status check. Every request gets a trace code of its own, also a check; a check
    /// that names the trace code of the purchase is answered with that one.
    pub(super) fn check(&self, request: &Parameters, trace_code: &str) -> ScriptedAnswer {
        let reference_code = request.get("referencecode");
        let named = Some(request.get("tracecode")).filter(|code| !code.is_empty());
        let Some(purchase) = self.book.find(reference_code, named) else {
            if let Some(inquiry) = self.book.inquiry_under(reference_code) {
                let shown = named.unwrap_or(trace_code);
                return (ScenarioReply::Answer, self.found_inquiry(&inquiry, shown));
            }
            let own = self.book.not_found_code(reference_code);
            let code = own.unwrap_or_else(|| self.not_found_code());
            return self.decline(request, trace_code, code);
        };
        let is_past_misleading = self.ledger.read(reference_code).checks > MISLEADING_CHECKS;
        match purchase.script.checks {
            ScenarioChecks::OtherStatus(code) if !is_past_misleading => {
                self.decline(request, trace_code, code)
            }
            ScenarioChecks::Reset if !is_past_misleading => {
                (ScenarioReply::Reset, SandboxAnswer::default())
            }
            ScenarioChecks::Inquiry if !is_past_misleading => (
                ScenarioReply::Answer,
                self.like_inquiry(reference_code, trace_code, &purchase),
            ),
            _ => {
                let shown = named.unwrap_or(trace_code);
                self.book
                    .report_success(reference_code, &purchase.trace_code);
                (
                    ScenarioReply::Answer,
                    self.purchase_status(reference_code, shown, &purchase),
                )
            }
        }
    }
}
