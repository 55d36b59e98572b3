//! Archives of images: what is in them, and layers out of them. Needs root for the layers.

mod scratch;
#[path = "../../rootfs/tests/tar_builder/mod.rs"]
mod tar_builder;

use flate2::{Compression, write::GzEncoder};
use podwright_fetch::archive::{ArchiveIndex, index, read_entry};
use podwright_fetch::request::EntryAt;
use scratch::{Scratch, failure, sha256};
use std::io::Write;
use std::path::Path;
use tar_builder::TarBuilder;

fn layer() -> Vec<u8> {
    TarBuilder::new().file("hello", b"hello").end()
}

fn docker_archive() -> Vec<u8> {
    TarBuilder::new()
        .dir("aa/", 0o755)
        .file("aa/layer.tar", &layer())
        .symlink("bb/layer.tar", "../aa/layer.tar")
        .hard_link("cc/layer.tar", "bb/layer.tar")
        .symlink("dd/layer.tar", "/etc/shadow")
        .symlink("ee/layer.tar", "../../outside")
        .file("./manifest.json", b"[]")
        .file("config.json", b"{}")
        .end()
}

fn at(index: &ArchiveIndex, name: &str) -> EntryAt {
    let entry = index.entries.iter().find(|e| e.name == name).expect(name);
    EntryAt { name: entry.name.clone(), offset: entry.offset, size: entry.size }
}

fn check_docker(s: &Scratch, archive: &Path) -> ArchiveIndex {
    let index = index(archive, &s.root).expect("index");
    let names: Vec<&str> = index.entries.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["aa/layer.tar", "bb/layer.tar", "cc/layer.tar", "config.json", "manifest.json"]);
    assert_eq!(index.files.get("manifest.json").map(String::as_str), Some("[]"));
    for name in ["aa/layer.tar", "cc/layer.tar"] {
        assert_eq!(read_entry(&index.path, &at(&index, name)).expect("read"), layer());
    }
    index
}

#[test]
fn a_docker_archive_plain_and_compressed() {
    let s = Scratch::new();
    let plain = s.write("a.tar", docker_archive());
    let found = check_docker(&s, &plain);
    assert!(found.path == plain && !found.temporary);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&docker_archive()).expect("gzip");
    let found = check_docker(&s, &s.write("a.tar.gz", encoder.finish().expect("gzip")));
    assert!(found.temporary && found.path.starts_with(&s.root));
    let zstd = zstd::encode_all(&docker_archive()[..], 1).expect("zstd");
    assert!(check_docker(&s, &s.write("a.tar.zst", zstd)).temporary);
}

#[test]
fn an_oci_layout_directory_through_no_link() {
    let s = Scratch::new();
    let dir = s.root.join("layout");
    let blob = sha256(b"blob").replace(':', "/");
    s.write("layout/index.json", "{}");
    s.write("layout/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    s.write(&format!("layout/blobs/{blob}"), "blob");
    let found = index(&dir, &s.root).expect("index");
    assert_eq!(found.entries.len(), 3);
    assert_eq!(read_entry(&dir, &at(&found, &format!("blobs/{blob}"))).expect("read"), b"blob");
    let escape = EntryAt { name: "../secret".into(), offset: 0, size: 1 };
    s.write("secret", "s3cret");
    assert_eq!(failure(read_entry(&dir, &escape)).0, "disk");
    std::os::unix::fs::symlink("/etc/shadow", dir.join("blobs/sha256/link")).expect("symlink");
    assert_eq!(failure(index(&dir, &s.root)).0, "disk");
}

#[test]
fn what_is_no_archive_is_refused() {
    let s = Scratch::new();
    assert_eq!(failure(index(&s.root.join("absent"), &s.root)).0, "disk");
    assert_eq!(failure(index(Path::new("/dev/zero"), &s.root)).0, "archive");
    let (stage, _, message) = failure(index(&s.write("text", "not a tar at all ".repeat(100)), &s.root));
    assert!(stage == "archive" && message.contains("octal"), "{message}");
    let cut = docker_archive();
    assert_eq!(failure(index(&s.write("cut", &cut[..1000]), &s.root)).0, "archive");
    assert_eq!(failure(index(&s.write("gz", [0x1f, 0x8b, 8, 0, 0]), &s.root)).0, "inflate");
    let (stage, _, message) = failure(index(&s.write("xz", b"\xfd7zXZ\0\0\0"), &s.root));
    assert!(stage == "inflate" && message.contains("xz is not supported"), "{message}");
    let beyond = EntryAt { name: "x".into(), offset: u64::MAX, size: 2 };
    assert_eq!(failure(read_entry(&s.write("small", "small"), &beyond)).0, "archive");
    assert_eq!(s.names(), ["cut", "gz", "small", "text", "xz"], "no temporary is left");
}

#[cfg(feature = "host-tests")]
#[test]
fn a_layer_out_of_an_archive() {
    use podwright_fetch::{Job, unpack_from_archive};
    use serde_json::json;
    let s = Scratch::new();
    let archive = s.write("a.tar", docker_archive());
    let found = index(&archive, &s.root).expect("index");
    let entry = at(&found, "bb/layer.tar");
    let request = |digest: Option<String>, diff_id: String| {
        let request = json!({
            "handle": scratch::unique("handle"), "path": archive,
            "entry": { "name": entry.name, "offset": entry.offset, "size": entry.size },
            "expected": { "digest": digest, "diffId": diff_id },
            "destination": { "stagingDir": s.root.join("staging"), "keepBlobPath": null }, "limits": scratch::limits(),
        });
        serde_json::from_value(request).expect("request")
    };
    let job = || Job::register(&scratch::unique("job"), entry.size).expect("register");
    let (stage, _, message) = failure(unpack_from_archive(&request(None, sha256(b"x")), &job()));
    assert!(stage == "digest" && message.contains("from bb/layer.tar in "), "{message}");
    assert_eq!(failure(unpack_from_archive(&request(Some(sha256(b"x")), sha256(&layer())), &job())).0, "digest");
    assert_eq!(s.names(), ["a.tar"]);
    let done = unpack_from_archive(&request(None, sha256(&layer())), &job()).expect("unpack");
    assert_eq!((done.blob_digest.as_str(), done.blob_bytes, done.entries), (&*sha256(&layer()), 2048, 1));
    assert_eq!(std::fs::read(s.root.join("staging/diff/hello")).expect("read"), b"hello");
}
