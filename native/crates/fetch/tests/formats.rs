//! Layers in the formats of lazy pullers, read as the plain archives that they are as well. Needs root.
#![cfg(feature = "host-tests")]

mod scratch;
mod server;
#[path = "../../rootfs/tests/tar_builder/mod.rs"]
mod tar_builder;

use flate2::{Compression, GzBuilder};
use scratch::{GZIP, Scratch, get_layer, layer_request, noise, sha256};
use serde_json::json;
use server::{Reply, Server};
use std::io::Write;
use tar_builder::TarBuilder;

const DOCKER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Where each file of the layer begins a member or frame of its own.
fn parts() -> Vec<Vec<u8>> {
    vec![
        TarBuilder::new().dir("etc", 0o755).file(".no.prefetch.landmark", b"\x0f").bytes,
        TarBuilder::new().file("etc/hosts", b"127.0.0.1").bytes,
        TarBuilder::new().file("big", &noise(1 << 20)).bytes,
    ]
}

fn member(data: &[u8], extra: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().extra(extra).write(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("gzip");
    encoder.finish().expect("gzip")
}

fn skippable(data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("length").to_le_bytes();
    [&[0x50, 0x2a, 0x4d, 0x18][..], &length, data].concat()
}

/// Unpacks a blob and gives the names at the top of the layer.
fn unpacked(blob: &[u8], tar: &[u8], media_type: &str) -> Vec<String> {
    let served = blob.to_vec();
    let server = Server::http(move |got| Reply::ranged(got, &served));
    let s = Scratch::new();
    let url = format!("http://{}/layer", server.authority);
    let change = json!({ "expected": { "mediaType": media_type } });
    let layer = get_layer(&layer_request(&url, blob, tar, &s.root, change)).expect("layer");
    assert_eq!(layer.diff_id.as_str(), sha256(tar));
    let diff = s.root.join("staging/diff");
    assert_eq!(std::fs::read(diff.join("big")).expect("read"), noise(1 << 20));
    assert_eq!(std::fs::read(diff.join("etc/hosts")).expect("read"), b"127.0.0.1");
    let mut names: Vec<String> = std::fs::read_dir(diff)
        .expect("list")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// eStargz: a member for each file, the index as a file of the tar, and a last member that holds nothing but, in its
/// header, where the index begins (stargz-snapshotter, docs/estargz.md).
#[test]
fn estargz_is_read_as_gzip_its_index_a_file_like_any_other() {
    let toc = br#"{"version":1,"entries":[]}"#;
    let mut parts = parts();
    parts.push(TarBuilder::new().file("stargz.index.json", toc).end());
    let mut blob: Vec<u8> = parts.iter().flat_map(|part| member(part, b"")).collect();
    let mut footer = b"SG".to_vec();
    footer.extend_from_slice(&22_u16.to_le_bytes());
    footer.extend_from_slice(format!("{:016x}STARGZ", blob.len()).as_bytes());
    blob.extend(member(b"", &footer));
    assert_eq!(unpacked(&blob, &parts.concat(), GZIP), [".no.prefetch.landmark", "big", "etc", "stargz.index.json"]);
}

#[test]
fn docker_s_plain_type_may_hide_any_compression() {
    let tar = [parts().concat(), TarBuilder::new().end()].concat();
    for blob in [tar.clone(), member(&tar, b""), zstd::encode_all(&tar[..], 3).expect("zstd")] {
        assert_eq!(unpacked(&blob, &tar, DOCKER), [".no.prefetch.landmark", "big", "etc"]);
    }
}

/// zstd:chunked: a frame for each file, the table of contents and the footer in skippable frames, which may also stand
/// before and between the others (RFC 8878, 3.1.2).
#[test]
fn zstd_chunked_is_read_as_zstd_its_table_of_contents_passed_over() {
    let mut parts = parts();
    parts.push(TarBuilder::new().end());
    let mut blob = skippable(b"");
    for part in &parts {
        blob.extend(zstd::encode_all(&part[..], 3).expect("zstd"));
        blob.extend(skippable(&noise(300_000)));
    }
    blob.extend(skippable(&[7; 64]));
    assert_eq!(unpacked(&blob, &parts.concat(), ZSTD), [".no.prefetch.landmark", "big", "etc"]);
}
