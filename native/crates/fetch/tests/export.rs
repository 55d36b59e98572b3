//! Layers that were unpacked with an index, held against their digests and written out again. Needs root.
#![cfg(feature = "host-tests")]

mod scratch;
#[path = "../../rootfs/tests/tar_builder/mod.rs"]
mod tar_builder;

use podwright_fetch::archive::{index, read_entry};
use podwright_fetch::request::EntryAt;
use podwright_fetch::{
    ExportedBlob, FetchError, Job, begin_archive, cancel, export_blob, finish_archive, unpack_from_archive, verify_blob,
};
use scratch::{Scratch, failure, noise, sha256};
use serde_json::{Value, json};
use std::io::Read;
use std::path::PathBuf;
use tar_builder::TarBuilder;

fn job() -> Job {
    Job::register(&scratch::unique("job"), 0).expect("register")
}

/// An unpacked layer; the tar it is of.
fn layer(s: &Scratch) -> (PathBuf, Vec<u8>) {
    let tar = TarBuilder::new()
        .file("large", &noise(700_000))
        .file("twice", b"first")
        .file("twice", b"second")
        .file(".wh.gone", b"")
        .end();
    let (path, dir) = (s.write("layer.tar", &tar), s.root.join("layer"));
    let request = json!({
        "handle": scratch::unique("handle"), "path": path,
        "entry": { "name": "layer.tar", "offset": 0, "size": tar.len() },
        "expected": { "digest": null, "diffId": sha256(&tar) },
        "destination": { "stagingDir": dir, "keepBlobPath": null }, "limits": scratch::limits(),
    });
    unpack_from_archive(&serde_json::from_value(request).expect("request"), &job()).expect("unpack");
    (dir, tar)
}

fn export(source: Value, compression: &str, into: Value) -> Result<ExportedBlob, FetchError> {
    let request = json!({ "handle": "x", "source": source, "compression": compression, "into": into });
    export_blob(&serde_json::from_value(request).expect("request"), &job())
}

fn verify(dir: &PathBuf, tar: &[u8]) -> Result<u64, FetchError> {
    let request = json!({ "handle": "x", "source": { "type": "layer", "layerDir": dir, "diffId": sha256(tar) } });
    verify_blob(&serde_json::from_value(request).expect("request"), &job())
}

#[test]
fn an_archive_of_layers_and_documents_is_read_back() {
    let s = Scratch::new();
    let (dir, tar) = layer(&s);
    assert_eq!(verify(&dir, &tar).expect("verify"), tar.len() as u64);
    let (part, done) = (s.root.join("part"), s.root.join("done.tar"));
    let source = json!({ "type": "layer", "layerDir": dir, "diffId": sha256(&tar) });
    let inode = begin_archive(&part).expect("begin");
    assert!(begin_archive(&part).is_err(), "over nothing that is there");
    let into = json!({ "type": "archive", "path": part, "inode": inode, "name": null });
    let plain = export(source.clone(), "none", into.clone()).expect("plain");
    assert_eq!((plain.digest.as_str(), plain.bytes), (&*sha256(&tar), tar.len() as u64));
    let packed = [export(source.clone(), "gzip", into.clone()), export(source.clone(), "zstd", into.clone())];
    let text = json!({ "type": "text", "text": "[1]" });
    export(text, "none", json!({ "type": "archive", "path": part, "inode": inode, "name": "manifest.json" }))
        .expect("text");
    finish_archive(&part, &inode, &done).expect("finish");
    let found = index(&done, &s.root).expect("index");
    assert_eq!(found.entries.len(), 4);
    assert_eq!(found.files.get("manifest.json").map(String::as_str), Some("[1]"));
    for (blob, gzip) in packed.into_iter().zip([true, false]) {
        let blob = blob.expect("packed");
        let name = format!("blobs/{}", blob.digest.as_str().replace(':', "/"));
        let entry = found.entries.iter().find(|e| e.name == name).expect("entry");
        let at = EntryAt { name, offset: entry.offset, size: entry.size };
        let bytes = read_entry(&done, &at).expect("read");
        assert_eq!((sha256(&bytes), bytes.len() as u64), (blob.digest.to_string(), blob.bytes));
        let mut inflated = Vec::new();
        match gzip {
            true => drop(flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut inflated).expect("gzip")),
            false => inflated = zstd::decode_all(&bytes[..]).expect("zstd"),
        }
        assert!(inflated == tar);
    }
    assert!(!part.exists());
}

#[test]
fn a_directory_of_blobs_has_only_whole_ones() {
    let s = Scratch::new();
    let (dir, tar) = layer(&s);
    let out = s.root.join("out");
    std::fs::create_dir(&out).expect("mkdir");
    let into = json!({ "type": "directory", "path": out });
    let source = json!({ "type": "layer", "layerDir": dir, "diffId": sha256(&tar) });
    let blob = export(source.clone(), "none", into.clone()).expect("plain");
    let hex = blob.digest.as_str().trim_start_matches("sha256:").to_owned();
    assert!(std::fs::read(out.join(&hex)).expect("read") == tar);
    let file = json!({ "type": "file", "path": out.join(&hex), "digest": sha256(&tar), "size": tar.len() });
    assert_eq!(export(file, "none", into.clone()).expect("file"), blob);
    for (digest, size) in [(sha256(b"other"), tar.len()), (sha256(&tar), tar.len() - 1)] {
        let file = json!({ "type": "file", "path": out.join(&hex), "digest": digest, "size": size });
        assert_eq!(failure(export(file, "none", into.clone())).0, "digest");
    }
    std::fs::write(dir.join("diff/twice"), b"SECOND").expect("damage");
    assert_eq!(failure(export(source, "gzip", into)).0, "digest");
    assert_eq!(std::fs::read_dir(&out).expect("list").count(), 1);
}

#[test]
fn damage_is_told_apart_from_an_index_that_never_was() {
    let s = Scratch::new();
    let (dir, tar) = layer(&s);
    std::fs::write(dir.join("diff/twice"), b"SECOND").expect("damage");
    let (stage, _, message) = failure(verify(&dir, &tar));
    assert!(stage == "digest" && message.contains("diff id mismatch"), "{message}");
    std::fs::remove_file(dir.join("replaced/0")).expect("damage");
    let (stage, _, message) = failure(verify(&dir, &tar));
    assert!(stage == "layer" && message.ends_with("twice in the layer is gone"), "{message}");
    std::fs::write(dir.join("tar-index.zst"), b"no zstd").expect("damage");
    assert_eq!(failure(verify(&dir, &tar)).0, "layer");
    std::fs::remove_file(dir.join("tar-index.zst")).expect("damage");
    let (stage, _, message) = failure(verify(&dir, &tar));
    assert!(stage == "layer" && message.contains("without a tar index"), "{message}");
}

#[test]
fn a_cancelled_verification_ends() {
    let s = Scratch::new();
    let (dir, tar) = layer(&s);
    let handle = scratch::unique("cancelled");
    let job = Job::register(&handle, 0).expect("register");
    assert!(cancel(&handle));
    let request = json!({ "handle": handle, "source": { "type": "layer", "layerDir": dir, "diffId": sha256(&tar) } });
    let request = serde_json::from_value(request).expect("request");
    assert_eq!(failure(verify_blob(&request, &job)).0, "cancel");
}

#[test]
fn what_took_the_archives_place_is_not_written() {
    let s = Scratch::new();
    let (part, theirs) = (s.root.join("part"), s.write("theirs", "as it was"));
    let inode = begin_archive(&part).expect("begin");
    std::fs::remove_file(&part).expect("remove");
    std::fs::hard_link(&theirs, &part).expect("link");
    let into = json!({ "type": "archive", "path": part, "inode": inode, "name": "x" });
    let (stage, _, message) = failure(export(json!({ "type": "text", "text": "ours" }), "none", into));
    assert!(stage == "archive" && message.contains("was replaced"), "{message}");
    assert!(finish_archive(&part, &inode, &s.root.join("done")).is_err());
    assert_eq!(std::fs::read(theirs).expect("read"), b"as it was");
}

#[test]
fn a_file_of_an_archive_is_copied_out_and_held_against_its_digest() {
    let s = Scratch::new();
    let data = noise(600_000);
    let archive = s.write("archive", [b"before".as_slice(), &data, b"behind"].concat());
    let out = s.root.join("out");
    std::fs::create_dir(&out).expect("mkdir");
    let entry = json!({ "name": "blob", "offset": 6, "size": data.len() });
    let source = |digest: String| json!({ "type": "entry", "path": archive, "entry": entry, "digest": digest });
    let into = json!({ "type": "directory", "path": out });
    let done = export(source(sha256(&data)), "none", into.clone()).expect("export");
    assert_eq!(done.digest.to_string(), sha256(&data));
    assert_eq!(std::fs::read(out.join(&sha256(&data)[7..])).expect("read"), data);
    let (stage, ..) = failure(export(source(sha256(b"other")), "none", into));
    assert_eq!(stage, "digest");
    assert_eq!(std::fs::read_dir(&out).expect("list").count(), 1);
}
