//! Layers through the whole pipeline: unpacked and verified, or refused with nothing left behind. Needs root.
#![cfg(feature = "host-tests")]

mod scratch;
mod server;
#[path = "../../rootfs/tests/tar_builder/mod.rs"]
mod tar_builder;

use flate2::{Compression, write::GzEncoder};
use scratch::{GZIP, Scratch, failure, get_layer, layer_request, noise, sha256};
use serde_json::json;
use server::{Reply, Server};
use std::io::Write;
use std::time::Duration;
use tar_builder::{Head, TarBuilder};

const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("gzip");
    encoder.finish().expect("gzip")
}

fn tar() -> Vec<u8> {
    TarBuilder::new()
        .dir("etc", 0o750)
        .file("etc/passwd", b"root")
        .file("big", &noise(3 << 20))
        .file("opt/x", b"")
        .end()
}

fn serve(blob: &[u8]) -> Server {
    let blob = blob.to_vec();
    Server::http(move |got| Reply::ranged(got, &blob))
}

fn url(server: &Server) -> String {
    format!("http://{}/layer", server.authority)
}

#[test]
fn a_layer_comes_in_every_compression() {
    let tar = tar();
    let members = [gzip(&tar[..1 << 20]), gzip(&tar[1 << 20..])].concat();
    let frames =
        [&[0x51, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd::encode_all(&tar[..], 3).expect("zstd")].concat();
    for (blob, media_type) in [(gzip(&tar), GZIP), (members, GZIP), (frames, ZSTD), (tar.clone(), PLAIN)] {
        let (s, server) = (Scratch::new(), serve(&blob));
        let kept = s.root.join("blob");
        let change = json!({ "expected": { "mediaType": media_type }, "destination": { "keepBlobPath": kept } });
        let layer = get_layer(&layer_request(&url(&server), &blob, &tar, &s.root, change)).expect(media_type);
        assert_eq!((layer.blob_digest.as_str(), layer.blob_bytes), (&*sha256(&blob), blob.len() as u64));
        assert_eq!((layer.diff_id.as_str(), layer.entries, layer.inodes), (&*sha256(&tar), 4, 8));
        assert_eq!(layer.unpacked_bytes, (3 << 20) + 4);
        assert_eq!(s.names(), ["blob", "staging"]);
        assert_eq!(std::fs::read(s.root.join("staging/diff/big")).expect("read"), noise(3 << 20));
        assert_eq!(std::fs::read(s.root.join("staging/implied")).expect("read"), b"opt\0");
        assert_eq!(std::fs::read(kept).expect("read"), blob);
    }
}

#[test]
fn a_cut_download_is_resumed_into_the_same_layer() {
    let tar = tar();
    let blob = gzip(&tar);
    let (s, served) = (Scratch::new(), blob.clone());
    let server =
        Server::http(move |got| Reply { cut: (got.nth < 3).then_some(700_001), ..Reply::ranged(got, &served) });
    get_layer(&layer_request(&url(&server), &blob, &tar, &s.root, json!({ "attempts": 6 }))).expect("resumed");
    assert!(server.requests().len() >= 4);
}

/// A refused layer: its stage, code and message, with nothing left in the directory.
fn refused(blob: &[u8], tar: &[u8], change: serde_json::Value) -> (&'static str, String) {
    let (s, server) = (Scratch::new(), serve(blob));
    let mut with_kept = json!({ "destination": { "keepBlobPath": s.root.join("blob") } });
    scratch::merge(&mut with_kept, change);
    let request = layer_request(&url(&server), blob, tar, &s.root, with_kept);
    let (stage, _, message) = failure(get_layer(&request));
    assert!(s.names().is_empty(), "left: {:?}", s.names());
    assert!(message.contains(&request.expected.digest) && message.contains(&server.authority), "{message}");
    (stage, message)
}

#[test]
fn layers_that_lie_or_are_damaged_are_refused() {
    let tar = tar();
    let blob = gzip(&tar);
    let other = sha256(b"other");
    let (stage, message) = refused(&blob, &tar, json!({ "expected": { "digest": other } }));
    assert!(stage == "digest" && message.contains(": digest mismatch: got sha256:"), "{message}");
    let (stage, message) = refused(&blob, &tar, json!({ "expected": { "diffId": other } }));
    assert!(stage == "digest" && message.contains(": diff id mismatch: got sha256:"), "{message}");
    let (stage, message) = refused(&tar, &tar, json!({ "expected": { "mediaType": PLAIN, "diffId": other } }));
    assert!(stage == "digest" && message.contains("diff id"), "{message}");
    let (stage, message) = refused(&blob, &tar, json!({ "expected": { "mediaType": ZSTD } }));
    assert!(stage == "inflate" && message.ends_with("the media type says zstd, the bytes are gzip"), "{message}");
    assert_eq!(refused(&blob, &tar, json!({ "expected": { "mediaType": "application/x" } })).0, "request");
    let cut = &blob[..blob.len() - 100_000];
    let (stage, message) = refused(cut, &tar, json!({}));
    assert!(stage == "inflate" && message.ends_with("the stream ends early"), "{message}");
    let (stage, _) = refused(&gzip(&tar[..2 << 20]), &tar[..2 << 20], json!({}));
    assert_eq!(stage, "tar");
    let mut damaged = zstd::encode_all(&tar[..], 3).expect("zstd");
    let middle = damaged.len() / 2;
    damaged.truncate(middle);
    assert_eq!(refused(&damaged, &tar, json!({ "expected": { "mediaType": ZSTD } })).0, "inflate");
    // Damaged on the way, it is the digest that is wrong, not the layer.
    let mut flipped = blob.clone();
    flipped[5000] ^= 0x40;
    let (stage, message) = refused(&flipped, &tar, json!({ "expected": { "digest": sha256(&blob) } }));
    assert!(stage == "digest" && message.contains(": digest mismatch"), "{message}");
    let evil = TarBuilder::new().file("../../escape", b"").end();
    let (stage, message) = refused(&gzip(&evil), &evil, json!({}));
    assert!(stage == "tar" && message.ends_with("leads out of the layer (entry ../../escape)"), "{message}");
}

#[test]
fn bombs_are_stopped() {
    let zeros = 64 << 20;
    let bomb =
        TarBuilder::new().head(&Head { size: zeros as u64, ..Head::new(b'0', "zeros") }).data(&vec![0; zeros]).end();
    let blob = gzip(&bomb);
    let (stage, message) = refused(&blob, &bomb, json!({ "limits": { "maxRatio": 100 } }));
    assert!(stage == "limit" && message.ends_with("more than 100 bytes for each compressed byte"), "{message}");
    let (stage, message) = refused(&blob, &bomb, json!({ "limits": { "maxBytes": 32 << 20, "maxRatio": 5000 } }));
    assert!(stage == "limit" && message.contains("33554432"), "{message}");
    let many: Vec<u8> = (0..2000).fold(TarBuilder::new(), |t, i| t.file(&format!("f{i}"), b"")).end();
    let (stage, message) = refused(&gzip(&many), &many, json!({}));
    assert!(stage == "limit" && message.contains("more than 1000 entries"), "{message}");
}

#[test]
fn a_cancelled_layer_leaves_nothing() {
    let tar = tar();
    let blob = gzip(&tar);
    let (s, served) = (Scratch::new(), blob.clone());
    let server = Server::http(move |_| Reply { stall: Some(1 << 20), ..Reply::new(200, &served) });
    let request = layer_request(&url(&server), &blob, &tar, &s.root, json!({ "stallMs": 60_000 }));
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| get_layer(&request));
        let seen =
            || podwright_fetch::progress().into_iter().find(|p| p.handle == request.handle && p.bytes >= 1 << 19);
        while seen().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(podwright_fetch::cancel(&request.handle));
        assert_eq!(failure(fetch.join().expect("join")).0, "cancel");
    });
    assert!(s.names().is_empty());
    assert!(podwright_fetch::progress().iter().all(|p| p.handle != request.handle));
}

#[test]
fn a_staging_directory_that_is_there_is_not_touched() {
    let tar = tar();
    let blob = gzip(&tar);
    let (s, server) = (Scratch::new(), serve(&blob));
    s.write("staging/mine", b"");
    let (stage, code, _) = failure(get_layer(&layer_request(&url(&server), &blob, &tar, &s.root, json!({}))));
    assert_eq!((stage, code), ("disk", 17));
    assert!(s.root.join("staging/mine").exists());
}

#[test]
fn eight_at_once_wait_for_each_other() {
    let tar = tar();
    let blob = gzip(&tar);
    let server = serve(&blob);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let s = Scratch::new();
                get_layer(&layer_request(&url(&server), &blob, &tar, &s.root, json!({}))).expect("layer");
            });
        }
    });
}

#[test]
fn random_damage_never_panics_or_leaves_a_trace() {
    let tar = TarBuilder::new().file("f", &noise(20_000)).symlink("l", "/").file("l/g", b"g").end();
    let blob = gzip(&tar);
    let random = noise(400);
    for round in 0..100 {
        let mut bad = blob.clone();
        let at = u32::from_le_bytes([random[round], random[round + 1], random[round + 2], 0]) as usize % bad.len();
        bad[at] ^= random[round + 3] | 1;
        let s = Scratch::new();
        let archive = s.write("archive", &bad);
        let request = json!({
            "handle": scratch::unique("handle"), "path": archive, "entry": { "name": "x", "offset": 0, "size": bad.len() },
            "expected": { "digest": null, "diffId": sha256(&tar) },
            "destination": { "stagingDir": s.root.join("staging"), "keepBlobPath": null }, "limits": scratch::limits(),
        });
        let request = serde_json::from_value(request).expect("request");
        let job = podwright_fetch::Job::register(&scratch::unique("job"), 0).expect("register");
        let result = podwright_fetch::unpack_from_archive(&request, &job);
        // Some bits of a gzip header mean nothing.
        assert!(result.is_ok() || s.names() == ["archive"]);
    }
}
