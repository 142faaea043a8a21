//! The message of an inquiry, with the typed details of electricity products.

use super::{
    contract::v1::{self, inquiry::Detail},
    value_messages::{date, field, money, text_or_empty, timestamp},
};
use crate::queries::{InquiryResult, PlnBill, PlnPostpaid, PlnPrepaid};

/// Builds the message of an inquiry.
pub(super) fn build(found: InquiryResult) -> v1::Inquiry {
    let InquiryResult {
        inquiry,
        reference_code,
        account_numbers: [account_number, account_number2, account_number3],
        contact_number,
        nominal,
        admin_fee,
        total,
        pln_prepaid: token,
        pln_postpaid: bills,
        fields,
        answer,
    } = found;
    let order = &inquiry.order;
    let refs = order.inquired.iter().flat_map(|inquired| &inquired.refs);
    let mut refs = refs.map(|text| text.as_ref().map_or("", |text| text.as_str()).to_owned());
    let mut next_ref = || refs.next().unwrap_or_default();
    let status_code = answer.status_code();
    let details = answer.details;
    v1::Inquiry {
        account: inquiry.account.to_string(),
        inquiry_code: inquiry.inquiry_code.to_string(),
        reference_code,
        trace_code: text_or_empty(details.trace_code),
        product_code: order.product_code.to_string(),
        // A prepaid answer may carry it under the request's field name instead of `accnumber1`.
        account_number: Some(account_number)
            .filter(|number| !number.is_empty())
            .unwrap_or_else(|| order.account_number.as_str().to_owned()),
        account_number2,
        account_number3,
        contact_number,
        expire_time: Some(timestamp(inquiry.expires_at)),
        response_time: details.time.map(timestamp),
        nominal: nominal.map(money),
        admin_fee: admin_fee.map(money),
        total: total.map(money),
        ref1: next_ref(),
        ref2: next_ref(),
        ref3: next_ref(),
        info: details.info.unwrap_or_default(),
        status_code: text_or_empty(status_code),
        detail: bills
            .map(|bills| Detail::PlnPostpaid(pln_postpaid(bills)))
            .or_else(|| token.map(|token| Detail::PlnPrepaid(pln_prepaid(token)))),
        fields: fields
            .iter()
            .map(|(name, value)| field(name, value))
            .collect(),
    }
}

fn pln_prepaid(token: PlnPrepaid) -> v1::PlnPrepaid {
    v1::PlnPrepaid {
        customer_id: token.customer_id,
        meter_number: token.meter_number,
        customer_name: token.customer_name,
        tariff_and_power: token.tariff_and_power,
        tariff: token.tariff,
        power_category: token.power_category,
        pln_reference: token.pln_reference,
        vendor_reference: token.vendor_reference,
        distribution_code: token.distribution_code,
        service_unit: token.service_unit,
        service_unit_phone: token.service_unit_phone,
        energy_limit_kwh: token.energy_limit_kwh,
        unsold_token1: token.unsold_token1,
        unsold_token2: token.unsold_token2,
    }
}

fn pln_postpaid(from: PlnPostpaid) -> v1::PlnPostpaid {
    let subscriber = from.subscriber;
    v1::PlnPostpaid {
        collecting_agent_id: subscriber.collecting_agent_id,
        subscriber_id: subscriber.subscriber_id,
        billing_status: subscriber.billing_status,
        payments_due: from.payments_due.map(i32::from),
        months_outstanding: from.months_outstanding.map(i32::from),
        switch_reference: subscriber.switch_reference,
        subscriber_name: subscriber.subscriber_name,
        service_unit: subscriber.service_unit,
        service_unit_phone: subscriber.service_unit_phone,
        tariff: subscriber.tariff,
        power: subscriber.power,
        address: subscriber.address,
        pln_tax_number: subscriber.pln_tax_number,
        subscriber_tax_number: subscriber.subscriber_tax_number,
        receipt_text: subscriber.receipt_text,
        total_admin_fee: from.total_admin_fee.map(money),
        total_amount: from.total_amount.map(money),
        bills: from.bills.into_iter().map(pln_bill).collect(),
    }
}

fn pln_bill(bill: PlnBill) -> v1::PlnBill {
    let [one, two, three] = bill.readings;
    v1::PlnBill {
        billing_period: bill.billing_period.map(date),
        due_date: bill.due_date.map(date),
        meter_reading_date: bill.meter_reading_date.map(date),
        amount: bill.amount.map(money),
        incentive: bill.incentive.map(money),
        value_added_tax: bill.value_added_tax.map(money),
        penalty_fee: bill.penalty_fee.map(money),
        previous_reading1: one.0,
        current_reading1: one.1,
        previous_reading2: two.0,
        current_reading2: two.1,
        previous_reading3: three.0,
        current_reading3: three.1,
    }
}
