//! Bills: the billers, and the recurring bills of their customers.

/// A biller whose bills can be paid after an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biller {
    /// Electricity: 1 to 4 monthly bills.
    Pln,
    /// A fixed telephone line, identified by area code and number.
    Telephone,
    /// Health insurance: a member number and 1 to 12 months.
    Bpjs,
    /// Water, identified by one number.
    Water,
}

/// The postpaid products and their billers.
pub const BILLERS: [(&str, Biller); 4] = [
    ("HPLNPASCA", Biller::Pln),
    ("HTELEPON", Biller::Telephone),
    ("HBPJSKES", Biller::Bpjs),
    ("HPDAM", Biller::Water),
];

/// The fee for each bill, in rupiah.
const FEE: u64 = 2_500;
/// The base amount of a bill, in rupiah; each later bill of a customer is a little higher.
const BILL: u64 = 50_000;
/// The monthly premium of health insurance, in rupiah.
const PREMIUM: u64 = 150_000;
/// The maximum number of electricity bills. The last digit of the customer number is their number
/// if it is 1 to this; every other customer has one bill.
const BILLS_MAX: u64 = 4;

/// A bill of a customer.
#[derive(Clone)]
pub struct SandboxBill {
    /// The biller.
    pub biller: Biller,
    /// The sequence number among the customer's bills: the next bill is issued when this one is
    /// paid.
    pub number: u64,
    /// The amount of each part, in rupiah.
    pub parts: Vec<u64>,
    /// The fine added to the amount, in rupiah.
    pub fine: u64,
}

impl SandboxBill {
    /// Builds the bill with the given sequence number; `fine` is in rupiah.
    pub fn new(biller: Biller, account_numbers: &[String; 3], number: u64, fine: u64) -> Self {
        let last_digit = account_numbers[0]
            .bytes()
            .next_back()
            .map_or(0, |digit| u64::from(digit.wrapping_sub(b'0')));
        let parts = match biller {
            Biller::Pln if (1..=BILLS_MAX).contains(&last_digit) => last_digit,
            Biller::Bpjs => account_numbers[2].parse().unwrap_or(1),
            Biller::Pln | Biller::Telephone | Biller::Water => 1,
        };
        let amount = |part| match biller {
            Biller::Bpjs => PREMIUM,
            _ => BILL + 1_000 * part + 100 * number,
        };
        Self {
            biller,
            number,
            parts: (1..=parts).map(amount).collect(),
            fine,
        }
    }

    /// Returns the amount without the fee, in rupiah.
    pub fn nominal(&self) -> u64 {
        self.parts.iter().sum::<u64>() + self.fine
    }

    /// Returns the fee, in rupiah.
    pub fn admin_fee(&self) -> u64 {
        let bills = match self.biller {
            Biller::Bpjs => 1,
            _ => self.parts.len() as u64,
        };
        FEE * bills
    }

    /// Returns the names and texts of `additionaldata`.
    pub fn additional_data(&self, customer: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut add = |name: &str, text: &str| pairs.push((name.to_owned(), text.to_owned()));
        match self.biller {
            Biller::Telephone | Biller::Water => add("namapelanggan", "BUDI & SITI"),
            Biller::Bpjs => {
                add("namapeserta", "BUDI <SITI>");
                add("jumlahpeserta", "2");
            }
            Biller::Pln => {
                let count = self.parts.len();
                add("caid", "0000000");
                add("subscriberid", customer);
                add("billingstatus", &count.to_string());
                add("paymentstatus", "0");
                add("totalmonthoutstanding", &format!("{count:02}"));
                add("swreferenceid", "0SYM212Z83A4C2E165D4522042E5CF9E");
                add("subscribername", "BUDI & SITI");
                add("serviceunit", "51106");
                add("serviceunitphone", "021222222");
                add("subscribersegmentation", "R1");
                add("subscribercategory", "000001300");
                add("totaladmincharge", &format!("{:011}", self.admin_fee()));
                for (part, amount) in (1_u32..).zip(&self.parts) {
                    let mut numbered = |name: &str, text: &str| add(&format!("{name}{part}"), text);
                    numbered("blth", &format!("2026{part:02}"));
                    numbered("duedate", &format!("2026{part:02}20"));
                    numbered("meterreaddate", &format!("2026{part:02}01"));
                    numbered("RPTAG", &format!("{amount:011}"));
                    let sign = if part % 2 == 0 { 'D' } else { 'C' };
                    numbered("incentive", &format!("{sign}{:010}", 100 * part));
                    numbered("valuaddedtax", "0000000110");
                    numbered("penaltyfee", &format!("{:012}", 3_000 * (part - 1)));
                    numbered("SLALWBP", &format!("{:08}", 1_000 * part));
                    numbered("SAHLWBP", &format!("{:08}", 1_000 * part + 150));
                    numbered("SLAWBP", "00000000");
                    numbered("SAHWBP", "00000000");
                    numbered("SLAKVARH", "00000000");
                    numbered("SAHKVARH", "00000000");
                }
                add("alamat", "JL. MELATI NO. 1");
                add("plnnpwp", "010016087051000");
                add("subscribernpwp", "000000000000000");
                add("totalrptag", &format!("{:012}", self.nominal()));
                add("info", "Informasi: hubungi 123");
            }
        }
        pairs
    }
}
