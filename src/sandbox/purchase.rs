//! Prepaid purchases, also those that bring an inquiry's references along.

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

/// Products that are bought only after an inquiry.
const INQUIRED_PRODUCTS: [&str; 1] = ["HPLNPRA20"];

impl Sandbox {
    pub(super) fn purchase(
        self: &Arc<Self>,
        asked: &Parameters,
        format: WireFormat,
        trace_code: &str,
    ) -> ScriptedAnswer {
        let (product_code, account_number) = (asked.get("productcode"), asked.get("accnumber"));
        if product_code.is_empty() || account_number.is_empty() {
            return self.decline(asked, trace_code, BAD_FORMAT);
        }
        let Some((_, price)) = PRODUCTS.iter().find(|(code, _)| *code == product_code) else {
            return self.decline(asked, trace_code, WRONG_PRODUCT);
        };
        if !is_number(account_number) {
            return self.decline(asked, trace_code, WRONG_ACCOUNT);
        }
        if let Err(code) = self.verify_inquired(asked) {
            return self.decline(asked, trace_code, code);
        }
        let script = script_for(account_number);
        if script.reply == ScenarioReply::ResetBefore {
            return self.lose(asked, script);
        }
        let order = SandboxOrder {
            reference_code: asked.get("referencecode"),
            trace_code,
            product_code,
            price: *price,
            account_number,
            script,
            pays: None,
            owed_until_told: false,
        };
        self.book_order(asked, &order, format)
    }

    /// Why a purchase is not allowed after, or without, an inquiry.
    pub(super) fn verify_inquired(&self, asked: &Parameters) -> Result<(), u16> {
        let has_refs = REFS.iter().any(|name| asked.has(name));
        let product_code = asked.get("productcode");
        if !has_refs && !INQUIRED_PRODUCTS.contains(&product_code) {
            return Ok(());
        }
        let now = (self.ambient.now)();
        let inquiry = self
            .book
            .metered(product_code, asked.get("accnumber"), now)?;
        let same = |(name, text): (&str, &String)| inquiry.is_said(name, text, asked.get(name));
        if has_refs && !REFS.into_iter().zip(&inquiry.refs).all(same) {
            return Err(DATA_DIFFER);
        }
        Ok(())
    }
}
