//! A hash that is the same in every process and in every version: what is derived from it is stored.

/// Returns the FNV-1a hash, 64 bits, of a text.
///
/// Offset basis and prime are those of its authors (draft-eastlake-fnv). Its low bits are weak for short
/// texts that differ in their last byte alone, hence the final mix, which is the one of `MurmurHash3`.
pub(crate) fn stable(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
