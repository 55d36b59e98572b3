//! What callers ask for, in the words of boundary.ts.

use crate::reach::Reach;
use podwright_rootfs::Limits;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;

/// A header; its value is never shown.
#[derive(Clone, Deserialize, PartialEq, Eq)]
pub struct Header(pub String, pub String);

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.0)
    }
}

/// TLS settings of one host: PEM files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Trusted besides the system's store.
    pub ca_files: Vec<PathBuf>,
    /// Our certificate chain, with `client_key`.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
    /// Any certificate will do.
    pub skip_verify: bool,
}

/// A proxy's URL; it may hold a password and is never shown.
#[derive(Clone, Deserialize)]
pub struct ProxyUrl(pub String);

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyUrl(…)")
    }
}

/// One blob at one host.
#[derive(Debug, Clone)]
pub struct Source {
    /// The URL, without credentials.
    pub url: String,
    /// Headers of the request.
    pub headers: Vec<Header>,
    /// Whether plain HTTP may be spoken.
    pub allow_http: bool,
    /// TLS settings.
    pub tls: Tls,
    /// The proxy.
    pub proxy: Option<ProxyUrl>,
    /// Milliseconds to resolve and to connect.
    pub connect_ms: u64,
    /// Milliseconds without a byte.
    pub stall_ms: u64,
    /// Milliseconds from the request's last byte to the answer's first.
    pub answer_ms: u64,
    /// Connections at most.
    pub attempts: u32,
}

/// What a layer's blob must be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedLayer {
    /// Digest of the blob.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: String,
    /// Tells the compression.
    pub media_type: String,
}

/// Where a layer goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// Made by the call.
    pub staging_dir: PathBuf,
    /// Where the blob is kept too.
    pub keep_blob_path: Option<PathBuf>,
}

/// `UnpackLimits` of boundary.ts.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnpackLimits {
    max_entries: u64,
    max_bytes: u64,
    max_ratio: u64,
    max_depth: usize,
    max_path_bytes: usize,
    max_xattr_bytes: usize,
}

impl From<UnpackLimits> for Limits {
    fn from(l: UnpackLimits) -> Self {
        Self {
            max_entries: l.max_entries,
            max_bytes: l.max_bytes,
            max_ratio: l.max_ratio,
            max_depth: l.max_depth,
            max_path_bytes: l.max_path_bytes,
            max_xattr_bytes: l.max_xattr_bytes,
        }
    }
}

impl From<Limits> for UnpackLimits {
    fn from(l: Limits) -> Self {
        Self {
            max_entries: l.max_entries,
            max_bytes: l.max_bytes,
            max_ratio: l.max_ratio,
            max_depth: l.max_depth,
            max_path_bytes: l.max_path_bytes,
            max_xattr_bytes: l.max_xattr_bytes,
        }
    }
}

/// `FetchLayerRequest` of boundary.ts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FetchLayer {
    /// The caller's name for this fetch.
    pub handle: String,
    url: String,
    headers: Vec<Header>,
    allow_http: bool,
    tls: Tls,
    proxy: Option<ProxyUrl>,
    connect_ms: u64,
    stall_ms: u64,
    attempts: u32,
    /// What must come.
    pub expected: ExpectedLayer,
    /// Where it goes.
    pub destination: Destination,
    /// Bounds.
    pub limits: UnpackLimits,
}

/// What a blob must be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedBlob {
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
}

/// `FetchBlobRequest` of boundary.ts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FetchBlob {
    /// The caller's name for this fetch.
    pub handle: String,
    url: String,
    headers: Vec<Header>,
    allow_http: bool,
    tls: Tls,
    proxy: Option<ProxyUrl>,
    connect_ms: u64,
    stall_ms: u64,
    attempts: u32,
    /// What must come.
    pub expected: ExpectedBlob,
    /// A file to write it to, else it is returned.
    pub keep_blob_path: Option<PathBuf>,
}

/// How a blob is sent.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum SendMethod {
    /// The whole, or the end of what went before.
    Put,
    /// A part.
    Patch,
}

impl SendMethod {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// A file that is to be sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendFile {
    /// Its path, through no link at its end.
    pub path: PathBuf,
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
}

/// `SendBlobRequest` of boundary.ts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendBlob {
    /// The caller's name for this work.
    pub handle: String,
    /// How.
    pub method: SendMethod,
    /// Where to.
    pub url: String,
    headers: Vec<Header>,
    allow_http: bool,
    tls: Tls,
    proxy: Option<ProxyUrl>,
    connect_ms: u64,
    stall_ms: u64,
    answer_ms: u64,
    /// Where the url's host may be.
    pub reach: Reach,
    /// What.
    pub file: SendFile,
    /// The part's first byte.
    pub begin: u64,
    /// The one behind its last.
    pub end: u64,
}

macro_rules! has_source {
    ($($request:ty: $answer_ms:expr, $attempts:expr;)*) => {$(
        impl $request {
            /// The part that says where to ask, or to send.
            pub fn source(&self) -> Source {
                Source {
                    url: self.url.clone(),
                    headers: self.headers.clone(),
                    allow_http: self.allow_http,
                    tls: self.tls.clone(),
                    proxy: self.proxy.clone(),
                    connect_ms: self.connect_ms,
                    stall_ms: self.stall_ms,
                    answer_ms: $answer_ms(self),
                    attempts: $attempts(self),
                }
            }
        }
    )*};
}
has_source! {
    FetchLayer: |it: &Self| it.stall_ms, |it: &Self| it.attempts;
    FetchBlob: |it: &Self| it.stall_ms, |it: &Self| it.attempts;
    SendBlob: |it: &Self| it.answer_ms, |_: &Self| 1;
}

/// One file of an archive (`ArchiveEntry`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntryAt {
    /// Its name in the archive.
    pub name: String,
    /// Offset of its contents in a tar.
    pub offset: u64,
    /// Bytes of its contents.
    pub size: u64,
}

/// What an archive's layer must be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedEntry {
    /// Digest of the bytes as stored.
    pub digest: Option<String>,
    /// Digest of the uncompressed tar.
    pub diff_id: String,
}

/// `UnpackFromArchiveRequest` of boundary.ts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnpackFromArchive {
    /// The caller's name for this work.
    pub handle: String,
    /// The archive: a plain tar or a directory.
    pub path: PathBuf,
    /// The layer in it.
    pub entry: EntryAt,
    /// What must come of it.
    pub expected: ExpectedEntry,
    /// Where it goes.
    pub destination: Destination,
    /// Bounds.
    pub limits: UnpackLimits,
}

/// Where an exported blob comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ExportSource {
    /// The tar of an unpacked layer.
    Layer {
        /// The layer's directory.
        layer_dir: PathBuf,
        /// Digest of the tar.
        diff_id: String,
    },
    /// A file as it is.
    File {
        /// Its path, through no link at its end.
        path: PathBuf,
        /// Its digest.
        digest: String,
        /// Its bytes.
        size: u64,
    },
    /// A file of an archive that is loaded: a plain tar or a directory.
    Entry {
        /// The archive.
        path: PathBuf,
        /// The file in it.
        entry: EntryAt,
        /// Its digest.
        digest: String,
    },
    /// A document.
    Text {
        /// Its text.
        text: String,
    },
}

/// What is to be held against its digest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyBlob {
    /// The caller's name for this work.
    pub handle: String,
    /// Where it is.
    pub source: ExportSource,
}

/// How an exported blob is compressed.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ExportCompression {
    /// As it is.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// Where an exported blob goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ExportInto {
    /// Behind what the tar has, which the caller made. `name` null: `blobs/<algorithm>/<hex>`.
    Archive {
        /// The tar.
        path: PathBuf,
        /// Its inode's number: nobody else's file is written.
        inode: String,
        /// The entry's name, at most 100 bytes.
        name: Option<String>,
    },
    /// A file named by its digest's hex.
    Directory {
        /// The directory.
        path: PathBuf,
    },
}

/// `ExportBlobRequest` of boundary.ts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportBlob {
    /// The caller's name for this work.
    pub handle: String,
    /// Where it comes from.
    pub source: ExportSource,
    /// How it is compressed.
    pub compression: ExportCompression,
    /// Where it goes.
    pub into: ExportInto,
}
