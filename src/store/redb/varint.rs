//! Numbers in as many bytes as they need: seven bits in each, the lowest first.

/// Appends a number.
pub(super) fn write(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

/// Reads a number from the front; returns `None` when there is none.
pub(super) fn read(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7F);
        if shift > 0 && bits >> (u64::BITS - shift) != 0 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_reads_back_as_written() {
        for number in [0, 1, 0x7F, 0x80, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            write(&mut bytes, number);
            let mut left = bytes.as_slice();
            assert_eq!((read(&mut left), left), (Some(number), &[][..]));
            assert_eq!(read(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(read(&mut [0xFF; 11].as_slice()), None);
    }
}
