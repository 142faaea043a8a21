//! The message of an inquiry, with the typed details of electricity products.

use super::{
    contract::v1::{self, inquiry::Detail},
    value_messages::{field, money, text_or_empty, timestamp},
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
        id_pelanggan: token.id_pelanggan,
        no_meter: token.no_meter,
        nama_pelanggan: token.nama_pelanggan,
        tarif_daya: token.tarif_daya,
        tarif: token.tarif,
        kategori_daya: token.kategori_daya,
        no_ref_pln: token.no_ref_pln,
        no_ref_vendor: token.no_ref_vendor,
        kode_distribusi: token.kode_distribusi,
        upj: token.upj,
        upj_phone: token.upj_phone,
        kwh_limit: token.kwh_limit,
        token_unsold1: token.token_unsold1,
        token_unsold2: token.token_unsold2,
    }
}

fn pln_postpaid(from: PlnPostpaid) -> v1::PlnPostpaid {
    let subscriber = from.subscriber;
    v1::PlnPostpaid {
        caid: subscriber.caid,
        subscriber_id: subscriber.subscriber_id,
        billing_status: subscriber.billing_status,
        payment_status: subscriber.payment_status,
        total_month_outstanding: subscriber.total_month_outstanding,
        sw_reference_id: subscriber.sw_reference_id,
        subscriber_name: subscriber.subscriber_name,
        service_unit: subscriber.service_unit,
        service_unit_phone: subscriber.service_unit_phone,
        subscriber_segmentation: subscriber.subscriber_segmentation,
        subscriber_category: subscriber.subscriber_category,
        alamat: subscriber.alamat,
        pln_npwp: subscriber.pln_npwp,
        subscriber_npwp: subscriber.subscriber_npwp,
        info: subscriber.info,
        total_admin_charge: from.total_admin_charge.map(money),
        total_rptag: from.total_rptag.map(money),
        bills: from.bills.into_iter().map(pln_bill).collect(),
    }
}

fn pln_bill(bill: PlnBill) -> v1::PlnBill {
    let [one, two, three] = bill.readings;
    v1::PlnBill {
        blth: bill.blth,
        due_date: bill.due_date,
        meter_read_date: bill.meter_read_date,
        rptag: bill.rptag.map(money),
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
