//! How a layer is compressed: what its media type says, and what its first bytes show.

use crate::cause::Cause;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, Read};

/// A layer's compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Plain,
    Gzip,
    Zstd,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Compression by media type: OCI image-spec layer types and Docker's schema 2; `None` for Docker's plain type, under
/// which compressed layers have been pushed too (containerd looks at their bytes likewise).
pub(crate) fn of_media_type(media_type: &str) -> Result<Option<Compression>, Cause> {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar" | "application/vnd.docker.image.rootfs.foreign.diff.tar" => {
            Ok(None)
        }
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.oci.image.layer.nondistributable.v1.tar" => {
            Ok(Some(Compression::Plain))
        }
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gz"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gz" => Ok(Some(Compression::Gzip)),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zst"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.zst" => Ok(Some(Compression::Zstd)),
        _ => Err(Cause::Request("the layer's media type is unknown")),
    }
}

/// Compression by the first bytes of a stream (RFC 1952; RFC 8878, whose skippable frames zstd:chunked begins with).
pub(crate) fn of_bytes(start: &[u8]) -> Result<Compression, Cause> {
    match start {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(Cause::Inflate("xz is not supported".to_owned())),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(Cause::Inflate("bzip2 is not supported".to_owned())),
        _ => Ok(Compression::Plain),
    }
}

/// The compression of a stream; an error if it is not what was announced.
pub(crate) fn verified(start: &[u8], announced: Option<Compression>) -> Result<Compression, Cause> {
    let found = of_bytes(start)?;
    match announced {
        Some(announced) if announced != found => {
            Err(Cause::Inflate(format!("the media type says {}, the bytes are {}", announced.name(), found.name())))
        }
        _ => Ok(found),
    }
}

/// A decoder over a stream; all members or frames of it, one after the other.
pub(crate) fn decoder<'a>(source: impl BufRead + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Plain => Box::new(source),
        Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_must_be_there() {
        let gzip = [0x1f, 0x8b, 8, 0];
        assert_eq!(verified(&gzip, Some(Compression::Gzip)).expect("ok"), Compression::Gzip);
        assert_eq!(verified(&gzip, None).expect("ok"), Compression::Gzip);
        let text = verified(&gzip, Some(Compression::Zstd)).expect_err("lie").to_string();
        assert_eq!(text, "inflate: the media type says zstd, the bytes are gzip");
        assert_eq!(of_bytes(b"").expect("ok"), Compression::Plain);
        assert_eq!(of_bytes(&[0x51, 0x2a, 0x4d, 0x18]).expect("ok"), Compression::Zstd);
        assert!(of_bytes(b"\xfd7zXZ\0").is_err());
        assert!(of_media_type("application/vnd.example.layer").is_err());
        assert_eq!(of_media_type("application/vnd.docker.image.rootfs.diff.tar").expect("ok"), None);
        for ending in ["gz", "gzip"] {
            let name = format!("application/vnd.docker.image.rootfs.foreign.diff.tar.{ending}");
            assert_eq!(of_media_type(&name).expect("ok"), Some(Compression::Gzip));
        }
    }
}
