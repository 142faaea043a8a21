//! The fields of electricity: `PLN_*` in the answer to a prepaid inquiry, and the bills in the
//! `additionaldata` of a postpaid one (docs/OKEBAYAR.md, section 3).

use super::fields::Fields;
use crate::transaction::{Amount, CalendarDate, Quoted};

/// A list of fields, from which the texts of known names are taken, each once.
struct FieldTaker<'a> {
    fields: &'a mut Fields,
    /// The prefix of every name.
    prefix: &'static str,
}

impl FieldTaker<'_> {
    fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    fn position(&self, name: &str) -> Option<usize> {
        // A field inside nested additionaldata counts by the last part of its path.
        let is_it = |known: &str| {
            known
                .split_at_checked(self.prefix.len())
                .is_some_and(|(start, rest)| {
                    let own = rest.rsplit('.').next().unwrap_or(rest);
                    start.eq_ignore_ascii_case(self.prefix) && own.eq_ignore_ascii_case(name)
                })
        };
        self.fields.iter().position(|(known, _)| is_it(known))
    }

    /// Takes the text of a name; returns an empty one where there is none.
    fn text(&mut self, name: &str) -> String {
        self.position(name)
            .map(|at| self.fields.remove(at).1)
            .unwrap_or_default()
    }

    /// Takes the amount of a name; an unreadable one stays in the list.
    fn amount(&mut self, name: &str) -> Option<Amount> {
        self.read(name, |text| Quoted::read(text).amount())
    }

    fn read<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let at = self.position(name)?;
        let text = self.fields[at].1.trim();
        let value = read(text);
        if value.is_some() || text.is_empty() {
            self.fields.remove(at);
        }
        value
    }
}

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $wire:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: String),*
        }

        impl $name {
            fn taken(from: &mut FieldTaker<'_>) -> Self {
                Self { $($field: from.text($wire)),* }
            }
        }

        impl std::fmt::Debug for $name {
            /// Hides the fields: they identify a customer (promise 15).
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    };
}

texts! {
    /// The `PLN_*` fields of a prepaid inquiry.
    PlnPrepaid {
        /// The customer's id.
        customer_id: "idpelanggan",
        /// The meter's number.
        meter_number: "nometer",
        /// The customer's name.
        customer_name: "namapelanggan",
        /// Tariff and power.
        tariff_and_power: "tarifdaya",
        /// The tariff.
        tariff: "tarif",
        /// The power category.
        power_category: "kategoridaya",
        /// PLN's reference.
        pln_reference: "norefpln",
        /// The vendor's reference.
        vendor_reference: "norefvendor",
        /// The distribution code.
        distribution_code: "kodedistribusi",
        /// The service unit.
        service_unit: "upj",
        /// The telephone of the service unit.
        service_unit_phone: "upjphone",
        /// The most energy that may be bought, in kWh.
        energy_limit_kwh: "kwhlimit",
        /// An unsold token.
        unsold_token1: "tokenunsold1",
        /// Another unsold token.
        unsold_token2: "tokenunsold2",
    }
}

impl PlnPrepaid {
    /// Takes the fields out of the list; `None` when there are none.
    pub fn take(fields: &mut Fields) -> Option<Self> {
        let prefix = "PLN_";
        let is_pln = |(name, _): &(String, String)| {
            name.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let any = fields.iter().any(is_pln);
        any.then(|| Self::taken(&mut FieldTaker { fields, prefix }))
    }
}

texts! {
    /// The customer of a postpaid bill.
    PlnSubscriber {
        /// The collecting agent's id.
        collecting_agent_id: "caid",
        /// The customer's id.
        subscriber_id: "subscriberid",
        /// The number of listed bills, 1 to 4.
        billing_status: "billingstatus",
        /// The switch's reference.
        switch_reference: "swreferenceid",
        /// The customer's name.
        subscriber_name: "subscribername",
        /// The service unit.
        service_unit: "serviceunit",
        /// The telephone of the service unit.
        service_unit_phone: "serviceunitphone",
        /// The tariff.
        tariff: "subscribersegmentation",
        /// The power.
        power: "subscribercategory",
        /// The address.
        address: "alamat",
        /// PLN's tax number.
        pln_tax_number: "plnnpwp",
        /// The customer's tax number.
        subscriber_tax_number: "subscribernpwp",
        /// A text for the receipt.
        receipt_text: "info",
    }
}

/// The fields of a postpaid inquiry: the customer, and up to four bills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlnPostpaid {
    /// The customer.
    pub subscriber: PlnSubscriber,
    /// The number of payments that are due.
    pub payments_due: Option<u16>,
    /// The number of months that are owed.
    pub months_outstanding: Option<u16>,
    /// The fees of all bills together.
    pub total_admin_fee: Option<Amount>,
    /// The amounts of all bills together.
    pub total_amount: Option<Amount>,
    /// The bills, oldest first as they are numbered.
    pub bills: Vec<PlnBill>,
}

/// One electricity bill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlnBill {
    /// The month that is billed.
    pub billing_period: Option<CalendarDate>,
    /// The due date.
    pub due_date: Option<CalendarDate>,
    /// The date of the meter reading.
    pub meter_reading_date: Option<CalendarDate>,
    /// The amount.
    pub amount: Option<Amount>,
    /// The incentive: negative where it lowers the bill (`C`), positive where it raises it (`D`).
    pub incentive: Option<Amount>,
    /// The value added tax.
    pub value_added_tax: Option<Amount>,
    /// The fine.
    pub penalty_fee: Option<Amount>,
    /// The meter readings 1 to 3, previous and current.
    pub readings: [(String, String); 3],
}

/// The most bills listed.
const BILLS_MAX: usize = 4;
/// The names that distinguish an electricity bill from the `additionaldata` of other products.
const MARKS: [&str; 2] = ["subscriberid", "blth1"];

impl PlnPostpaid {
    /// Takes the fields out of the list; `None` when they are not those of an electricity bill.
    pub fn take(fields: &mut Fields) -> Option<Self> {
        let mut from = FieldTaker {
            fields,
            prefix: "additionaldata.",
        };
        if !MARKS.iter().any(|name| from.has(name)) {
            return None;
        }
        let bills = (1..=BILLS_MAX).map(|number| PlnBill::taken(&mut from, number));
        let bills = bills.filter(|bill| *bill != PlnBill::default()).collect();
        Some(Self {
            payments_due: from.read("paymentstatus", count),
            months_outstanding: from.read("totalmonthoutstanding", count),
            total_admin_fee: from.amount("totaladmincharge"),
            total_amount: from.amount("totalrptag"),
            bills,
            subscriber: PlnSubscriber::taken(&mut from),
        })
    }
}

impl PlnBill {
    fn taken(from: &mut FieldTaker<'_>, number: usize) -> Self {
        let name = |stem: &str| format!("{stem}{number}");
        let mut reading = |meter: &str| {
            let previous = from.text(&name(&format!("sla{meter}")));
            (previous, from.text(&name(&format!("sah{meter}"))))
        };
        let readings = [reading("lwbp"), reading("wbp"), reading("kvarh")];
        Self {
            billing_period: from.read(&name("blth"), CalendarDate::parse_month),
            due_date: from.read(&name("duedate"), CalendarDate::parse_day),
            meter_reading_date: from.read(&name("meterreaddate"), CalendarDate::parse_day),
            amount: from.amount(&name("rptag")),
            incentive: from.read(&name("incentive"), incentive),
            value_added_tax: from.amount(&name("valuaddedtax")),
            penalty_fee: from.amount(&name("penaltyfee")),
            readings,
        }
    }
}

/// Parses a number of payments or months: 1 to 4 digits.
fn count(text: &str) -> Option<u16> {
    let is_count = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_count.then(|| text.parse().ok()).flatten()
}

/// Parses an incentive: `C` and digits, or `D` and digits for a disincentive.
fn incentive(text: &str) -> Option<Amount> {
    let digits = text.get(1..)?;
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match text.as_bytes()[0] {
        b'C' | b'c' => Quoted::read(digits).amount().map(Amount::negated),
        b'D' | b'd' => Quoted::read(digits).amount(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn an_incentive_lowers_the_bill_and_a_disincentive_raises_it() {
        let amount = |text| Amount::parse(text).ok();
        assert_eq!(incentive("C0000001500"), amount("-1500"));
        assert_eq!(incentive("D0000000250"), amount("250"));
        assert_eq!(incentive("C0000000000"), amount("0"));
        for text in ["", "C", "1500", "X1500", "C-1", "D1e3", "C105.000"] {
            assert_eq!(incentive(text), None, "{text}");
        }
    }

    #[test]
    fn bills_are_taken_and_unknown_or_unreadable_fields_stay() {
        let mut list = fields(&[
            ("nominal", "1"),
            ("additionaldata.data.SUBSCRIBERID", "5123"),
            ("additionaldata.data.blth1", "202610"),
            ("additionaldata.data.RPTAG1", "0000110000"),
            ("additionaldata.data.slalwbp1", "100"),
            ("additionaldata.data.sahlwbp1", "150"),
            ("additionaldata.data.sahkvarh1", "7"),
            ("additionaldata.data.penaltyfee1", "much"),
            ("additionaldata.data.blth2", ""),
            ("additionaldata.data.incentive2", "C0000000500"),
            ("additionaldata.data.duedate1", "20-10-2026"),
            ("additionaldata.data.paymentstatus", "02"),
            ("additionaldata.data.totalmonthoutstanding", "many"),
            ("additionaldata.data.novelty", "x"),
            ("additionaldata.data.blth1", "again"),
        ]);
        let found = PlnPostpaid::take(&mut list).unwrap();
        assert_eq!(found.subscriber.subscriber_id, "5123");
        assert_eq!(found.bills.len(), 2);
        let bill = &found.bills[0];
        assert_eq!(
            (bill.billing_period, bill.amount),
            (
                CalendarDate::parse_month("202610"),
                Amount::parse("110000").ok()
            )
        );
        assert_eq!(bill.readings[0], ("100".into(), "150".into()));
        assert_eq!(bill.readings[2], (String::new(), "7".into()));
        assert_eq!((bill.penalty_fee, bill.due_date), (None, None));
        assert_eq!(
            (found.payments_due, found.months_outstanding),
            (Some(2), None)
        );
        assert_eq!(found.bills[1].incentive, Amount::parse("-500").ok());
        let left: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            left,
            [
                "nominal",
                "additionaldata.data.penaltyfee1",
                "additionaldata.data.duedate1",
                "additionaldata.data.totalmonthoutstanding",
                "additionaldata.data.novelty",
                "additionaldata.data.blth1"
            ]
        );
        let mut other = fields(&[("additionaldata.blok", "1"), ("subscriberid", "2")]);
        assert_eq!(PlnPostpaid::take(&mut other), None);
        assert_eq!(other.len(), 2);
    }
}
