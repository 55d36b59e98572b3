//! Digests as the OCI image-spec writes them: `algorithm:hex`.

use crate::cause::Cause;
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;

/// A checked digest; never anything that could be a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// Takes `sha256:` and 64, or `sha512:` and 128 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, Cause> {
        let hex_length = match text.split_once(':') {
            Some(("sha256", hex)) => Some((hex, 64)),
            Some(("sha512", hex)) => Some((hex, 128)),
            _ => None,
        };
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        match hex_length {
            Some((digits, length)) if digits.len() == length && digits.bytes().all(hex) => Ok(Self(text.to_owned())),
            _ => Err(Cause::Request("a digest is malformed")),
        }
    }

    /// Begins to hash with this digest's algorithm.
    pub(crate) fn hasher(&self) -> Hasher {
        if self.0.starts_with("sha512:") { Hasher::Sha512(Sha512::new()) } else { Hasher::Sha256(Sha256::new()) }
    }

    /// Whether both are of one algorithm.
    pub(crate) fn same_algorithm(&self, other: &Self) -> bool {
        self.0.split(':').next() == other.0.split(':').next()
    }

    /// The text, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hash in the making.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => Digest(format!("sha256:{}", hex(&hash.finalize()))),
            Self::Sha512(hash) => Digest(format!("sha512:{}", hex(&hash.finalize()))),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_digests_are_taken() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = Digest::parse(empty).expect("parse");
        assert_eq!(digest.hasher().finish(), digest);
        assert!(Digest::parse(&format!("sha512:{}", "0".repeat(128))).is_ok());
        for bad in [
            "",
            "sha256:",
            "sha256:../../etc",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            &empty.to_uppercase(),
            &empty[..70],
        ] {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
    }
}
