//! A directory for a test, requests as they come over the boundary, digests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use podwright_fetch::request::{FetchBlob, FetchLayer};
use podwright_fetch::{FetchError, FetchedBlob, Job, UnpackedLayer, fetch_blob, fetch_layer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub struct Scratch {
    pub root: PathBuf,
}

impl Scratch {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    pub fn below(dir: &Path) -> Self {
        let root = dir.join(unique("podwright-fetch"));
        std::fs::create_dir(&root).expect("make scratch");
        Self { root }
    }

    pub fn write(&self, name: &str, data: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        std::fs::write(&path, data).expect("write");
        path
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.root)
            .expect("list")
            .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        podwright_rootfs::remove_now(&self.root).expect("remove scratch");
    }
}

pub fn sha256(data: &[u8]) -> String {
    let hex: String = Sha256::digest(data).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// Bytes that do not compress and differ everywhere.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

pub fn no_tls() -> Value {
    json!({ "caFiles": [], "clientCert": null, "clientKey": null, "skipVerify": false })
}

/// A blob request as TypeScript makes it; `change` sets what the test is about.
pub fn blob_request(url: &str, blob: &[u8], change: Value) -> FetchBlob {
    let mut request = json!({
        "handle": unique("handle"), "url": url, "headers": [["Authorization", "Bearer s3cret"], ["X-Token", "s3cret"], ["Accept", "*/*"]],
        "allowHttp": true, "tls": no_tls(), "proxy": null, "connectMs": 2000, "stallMs": 2000, "attempts": 4,
        "expected": { "digest": sha256(blob), "size": blob.len() }, "keepBlobPath": null,
    });
    merge(&mut request, change);
    serde_json::from_value(request).expect("request")
}

pub fn limits() -> Value {
    json!({ "maxEntries": 1000, "maxBytes": 1 << 30, "maxRatio": 200, "maxDepth": 64, "maxPathBytes": 4095, "maxXattrBytes": 65536 })
}

pub const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layer request for a blob of a tar, staged in `dir/staging`.
pub fn layer_request(url: &str, blob: &[u8], tar: &[u8], dir: &Path, change: Value) -> FetchLayer {
    let mut request = json!({
        "handle": unique("handle"), "url": url, "headers": [],
        "allowHttp": true, "tls": no_tls(), "proxy": null, "connectMs": 2000, "stallMs": 2000, "attempts": 4,
        "expected": { "digest": sha256(blob), "size": blob.len(), "diffId": sha256(tar), "mediaType": GZIP },
        "destination": { "stagingDir": dir.join("staging"), "keepBlobPath": null }, "limits": limits(),
    });
    merge(&mut request, change);
    serde_json::from_value(request).expect("request")
}

pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

pub fn get(request: &FetchBlob) -> Result<FetchedBlob, FetchError> {
    let job = Job::register(&request.handle, request.expected.size).expect("register");
    fetch_blob(request, &job)
}

pub fn get_layer(request: &FetchLayer) -> Result<UnpackedLayer, FetchError> {
    let job = Job::register(&request.handle, request.expected.size).expect("register");
    fetch_layer(request, &job)
}

/// The stage, code and message of a failure, which must not give a secret away.
pub fn failure<T: std::fmt::Debug>(result: Result<T, FetchError>) -> (&'static str, i32, String) {
    let error = result.expect_err("must fail");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    (error.cause.stage(), error.cause.code(), error.to_string())
}
