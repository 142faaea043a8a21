//! Prepaid purchases, with or without the references of an inquiry.

use std::sync::Arc;

use super::{
    book::{PRODUCTS, SandboxOrder},
    codes::{BAD_FORMAT, DATA_DIFFER, WRONG_ACCOUNT, WRONG_PRODUCT},
    format::WireFormat,
    inquiry::{REFS, is_number},
    parameters::Parameters,
    samples::ScriptedAnswer,
    scenario::{ScenarioReply, script_for},
    state::Sandbox,
};

/// The products that require an inquiry before the purchase.
const INQUIRED_PRODUCTS: [&str; 1] = ["HPLNPRA20"];

impl Sandbox {
    /// Processes a prepaid purchase.
    pub(super) fn purchase(
        self: &Arc<Self>,
        request: &Parameters,
        format: WireFormat,
        trace_code: &str,
    ) -> ScriptedAnswer {
        let (product_code, account_number) = (request.get("productcode"), request.get("accnumber"));
        if product_code.is_empty() || account_number.is_empty() {
            return self.decline(request, trace_code, BAD_FORMAT);
        }
        let Some((_, price)) = PRODUCTS.iter().find(|(code, _)| *code == product_code) else {
            return self.decline(request, trace_code, WRONG_PRODUCT);
        };
        if !is_number(account_number) {
            return self.decline(request, trace_code, WRONG_ACCOUNT);
        }
        if let Err(code) = self.verify_inquiry(request) {
            return self.decline(request, trace_code, code);
        }
        let script = script_for(account_number);
        if script.reply == ScenarioReply::ResetBefore {
            return self.reset_unprocessed(request, script);
        }
        let order = SandboxOrder {
            reference_code: request.get("referencecode"),
            trace_code,
            product_code,
            price: *price,
            account_number,
            script,
            pays: None,
            owed_until_told: false,
        };
        self.book_order(request, &order, format)
    }

    /// Verifies a purchase against its inquiry, where it has references or its product requires
    /// one.
    pub(super) fn verify_inquiry(&self, request: &Parameters) -> Result<(), u16> {
        let has_refs = REFS.iter().any(|name| request.has(name));
        let product_code = request.get("productcode");
        if !has_refs && !INQUIRED_PRODUCTS.contains(&product_code) {
            return Ok(());
        }
        let now = (self.ambient.now)();
        let inquiry =
            self.book
                .latest_meter_inquiry(product_code, request.get("accnumber"), now)?;
        let same = |(name, text): (&str, &String)| inquiry.matches(name, text, request.get(name));
        if has_refs && !REFS.into_iter().zip(&inquiry.refs).all(same) {
            return Err(DATA_DIFFER);
        }
        Ok(())
    }
}
