//! Later settlement of a purchase, and its callbacks.

use std::sync::Arc;

use tracing::{info, warn};

use super::{
    answer::SandboxAnswer, book::SandboxPurchase, format::WireFormat, settings::CallbackMethod,
    state::Sandbox,
};

impl Sandbox {
    /// Spawns a task that changes a purchase to its later status after `settle_after`, and then
    /// sends the callbacks of its script.
    pub(super) fn settle_later(
        self: &Arc<Self>,
        reference_code: &str,
        purchase: &SandboxPurchase,
        format: WireFormat,
    ) {
        let script = purchase.script;
        if script.later.is_none() && script.callbacks.is_empty() {
            return;
        }
        let sandbox = Arc::clone(self);
        let (reference_code, trace_code) = (reference_code.to_owned(), purchase.trace_code.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(sandbox.settings.settle_after) => {}
                () = sandbox.stopping.cancelled() => return,
            }
            sandbox.book.settle(&reference_code, &trace_code);
            if let Some(purchase) = sandbox.book.find(&reference_code, Some(&trace_code)) {
                for status in script.callbacks {
                    sandbox
                        .call_back(&reference_code, &purchase, *status, format)
                        .await;
                }
            }
        });
    }

    async fn call_back(
        &self,
        reference_code: &str,
        purchase: &SandboxPurchase,
        status: u16,
        format: WireFormat,
    ) {
        let Some(url) = self.callback_url.borrow().clone() else {
            return;
        };
        let Ok(mut url) = url.parse::<reqwest::Url>() else {
            warn!("sandbox callback URL is invalid; no callback is sent");
            return;
        };
        let report = report(reference_code, purchase, status);
        let request = match self.settings.callback_method {
            CallbackMethod::Get => {
                url.query_pairs_mut().extend_pairs(report.pairs());
                self.http.get(url)
            }
            CallbackMethod::Post => self
                .http
                .post(url)
                .header("content-type", format.content_type())
                .body(report.write_callback(format)),
        };
        let answer = request.send().await.map(|answer| answer.status().as_u16());
        self.ledger.record_callback(reference_code);
        match answer {
            Ok(http_status) => info!(reference_code, http_status, "sandbox callback sent"),
            Err(error) => {
                warn!(reference_code, error = %error.without_url(), "sandbox callback failed");
            }
        }
    }
}

/// Builds the content of a callback about a purchase.
fn report(reference_code: &str, purchase: &SandboxPurchase, status: u16) -> SandboxAnswer {
    SandboxAnswer::default()
        .text("tracecode", &purchase.trace_code)
        .text("referencecode", reference_code)
        .text("status", &format!("{status:03}"))
        .text("serialnumber", &purchase.serial_number(status))
}
