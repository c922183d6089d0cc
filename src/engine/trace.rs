//! Trace ids of transactions whose events carry none.

use sha2::{Digest, Sha256};

/// The trace id of a transaction: the first 16 bytes of `SHA-256("v1|" flow "|" transaction id)`, never all zero.
#[must_use]
pub fn derived_trace_id(flow: &str, transaction: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in ["v1|", flow, "|", transaction] {
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut id: [u8; 16] = std::array::from_fn(|i| digest[i]);
    if id == [0; 16] {
        id[15] = 1;
    }
    id
}

/// 32 hex digits.
#[must_use]
pub fn hex(id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sha_256_of_the_contract() {
        // printf 'v1|checkout|tx-42' | sha256sum
        assert_eq!(hex(derived_trace_id("checkout", "tx-42")), "49e62c3944f7e16267922a864426493b");
    }
}
