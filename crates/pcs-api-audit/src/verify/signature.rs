//! Signatures of digests: ECDSA on P-256 over SHA-256, as AWS KMS makes them.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

/// `SubjectPublicKeyInfo` of an uncompressed P-256 point up to the point (RFC 5480): the algorithm leaves no choice.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// One byte for the form, then both coordinates.
const POINT_BYTES: usize = 65;
const UNCOMPRESSED: u8 = 4;

/// Public half of the key that signs the digests.
#[derive(Clone)]
pub struct PublicKey(UnparsedPublicKey<Vec<u8>>);

impl PublicKey {
    /// Reads PEM, or the base64 that `aws kms get-public-key --query PublicKey --output text` prints.
    pub fn read(text: &str) -> Result<PublicKey, &'static str> {
        let base64: String = text
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .flat_map(|line| line.chars().filter(|char| !char.is_whitespace()))
            .collect();
        let der = BASE64_STANDARD
            .decode(base64)
            .map_err(|_| "is neither PEM nor base64")?;
        let point = der
            .strip_prefix(&P256_PREFIX)
            .filter(|point| point.len() == POINT_BYTES && point.first() == Some(&UNCOMPRESSED))
            .ok_or("is not a public key for ECDSA on P-256 (ECC_NIST_P256)")?;
        Ok(PublicKey(UnparsedPublicKey::new(
            &ECDSA_P256_SHA256_ASN1,
            point.to_vec(),
        )))
    }

    /// Whether the base64 of a DER signature is this key's, of the message.
    pub fn has_signed(&self, message: &str, signature: &str) -> bool {
        BASE64_STANDARD
            .decode(signature)
            .is_ok_and(|signature| self.0.verify(message.as_bytes(), &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with OpenSSL 3: `openssl ecparam -genkey -name prime256v1`, `openssl ec -pubout`,
    /// `printf abc | openssl dgst -sha256 -sign`.
    const PEM: &str = include_str!("../../tests/fixtures/openssl-p256.pem");
    const SIGNATURE: &str = include_str!("../../tests/fixtures/openssl-p256-abc.base64");

    #[test]
    fn signatures_of_openssl_are_verified() {
        for text in [
            PEM.to_owned(),
            PEM.lines().filter(|line| !line.starts_with('-')).collect(),
        ] {
            let key = PublicKey::read(&text).ok().unwrap();
            assert!(key.has_signed("abc", SIGNATURE.trim()));
            assert!(!key.has_signed("abd", SIGNATURE.trim()));
            assert!(!key.has_signed("abc", "AAAA"));
            assert!(!key.has_signed("abc", "not base64"));
        }
    }

    #[test]
    fn other_keys_are_refused() {
        let rsa = include_str!("../../tests/fixtures/openssl-rsa.pem");
        for text in [rsa, "", "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----"] {
            assert!(PublicKey::read(text).is_err(), "{text}");
        }
    }
}
