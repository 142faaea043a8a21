//! The compact form: the number of a dictionary, then a frame of zstd without its magic number.
//!
//! The frame names the length of its text, so decompression allocates that many bytes, and never
//! more than [`TEXT_BYTES_MAX`].

use zstd::zstd_safe::get_frame_content_size;

use super::dictionary::Dictionary;

/// The longest text. A record is far below: its evidence has some hundred entries of at most some
/// 20 KiB. What could not be read is not written either.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The magic number of a frame, which is the same for all and not stored.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// The greatest number of a dictionary; greater first bytes are other forms.
const NUMBER_MAX: u8 = 63;

/// Returns true for the first byte of a compact body.
pub(super) fn is_compact(first: u8) -> bool {
    (1..=NUMBER_MAX).contains(&first)
}

/// Compresses a text.
///
/// # Errors
/// A description of the problem.
pub(super) fn compress(text: &[u8]) -> Result<Vec<u8>, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let dictionary = Dictionary::written_with();
    let frame = dictionary
        .compress(text)
        .map_err(|error| error.to_string())?;
    let body = frame.strip_prefix(&MAGIC);
    let body = body.ok_or("zstd wrote another frame than expected")?;
    let mut compact = Vec::with_capacity(1 + body.len());
    compact.push(dictionary.number());
    compact.extend_from_slice(body);
    Ok(compact)
}

/// Decompresses a compact body.
///
/// # Errors
/// A description of the problem.
pub(super) fn decompress(compact: &[u8]) -> Result<Vec<u8>, String> {
    let (number, body) = compact.split_first().ok_or("it is empty")?;
    let dictionary = Dictionary::of(*number).ok_or_else(|| {
        format!(
            "it is compressed with dictionary {number} of a later release, so this release leaves \
             it unchanged: finish the upgrade"
        )
    })?;
    let frame = [&MAGIC, body].concat();
    let length = get_frame_content_size(&frame).ok().flatten();
    let length = length.and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| *length <= TEXT_BYTES_MAX);
    let length = length.ok_or("its length is missing or too great")?;
    let text = dictionary.decompress(&frame, length);
    text.map_err(|error| format!("it cannot be decompressed ({error})"))
}
