//! Layers changed at random, through everything that reads them: framing, inflating, tar, whiteouts, paths. Whatever they
//! are, nothing panics, nothing is made outside, nothing is left. Needs root. A few seconds as it is; for longer runs
//! `hack/fuzz layers`, which sets PODWRIGHT_FUZZ_SECONDS and PODWRIGHT_FUZZ_SEED.
#![cfg(feature = "host-tests")]

mod scratch;
#[path = "../../rootfs/tests/tar_builder/mod.rs"]
mod tar_builder;

use flate2::{Compression, GzBuilder};
use podwright_fetch::{Job, unpack_from_archive};
use scratch::{Scratch, noise, sha256};
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tar_builder::{Head, TarBuilder, sum};

/// Rounds when no time is given.
const ROUNDS: u64 = 400;

/// xorshift64: the same numbers for the same seed, so that a finding can be had again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end.max(1)
    }
}

/// What layers are made of, harmless and not; links lead to `outside`.
fn seeds(outside: &str) -> Vec<Vec<u8>> {
    let tree =
        TarBuilder::new().dir("a", 0o755).dir("a/b", 0o4755).file("a/b/f", &noise(3000)).hard_link("a/h", "a/b/f");
    let links = TarBuilder::new()
        .symlink("out", outside)
        .symlink("up", &format!("../../../../../../..{outside}"))
        .file("out/x", b"1")
        .dir("up/d", 0o777)
        .hard_link("hard", "out/x")
        .file("out", b"a file now");
    let whiteouts = TarBuilder::new()
        .file("d/.wh.gone", b"")
        .file("d/.wh..wh..opq", b"")
        .file("d/.wh..wh.plnk", b"")
        .file("d/gone", b"back")
        .file(".wh.d", b"");
    let nodes = TarBuilder::new()
        .node(b'3', "null", (1, 3), 0o666)
        .node(b'4', "disk", (8, 0), 0o660)
        .node(b'3', "white", (0, 0), 0)
        .node(b'6', "pipe", (0, 0), 0o600)
        .file_mode("setuid", b"#!", 0o6755);
    let extended = TarBuilder::new()
        .pax(&[("path", b"p/x"), ("SCHILY.xattr.user.a", b"1"), ("mtime", b"1.5"), ("uid", b"70000")])
        .file("short", b"data")
        .pax(&[("GNU.sparse.map", b"0,4,100,4"), ("GNU.sparse.size", b"200")])
        .file("sparse", b"12345678")
        .gnu_long(b'L', &"long/".repeat(60))
        .gnu_long(b'K', &"../".repeat(60))
        .symlink("l", "t");
    let odd = TarBuilder::new()
        .head(&Head { size: 1 << 40, ..Head::new(b'0', "huge") })
        .file("same", b"1")
        .dir("same", 0o700)
        .file("Same", b"2")
        .symlink("same", "Same")
        .file(&"d/".repeat(60), b"");
    [tree, links, whiteouts, nodes, extended, odd].map(|tar| tar.file("last", b"z").end()).to_vec()
}

/// Changes a tar: bits, whole blocks, its length, or a piece of another one put into it.
fn changed(tar: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for _ in 0..random.below(4) {
        let (blocks, at) = (tar.len() / 512, random.below(tar.len()));
        match random.below(6) {
            0 => tar[at] = random.next() as u8,
            1 => tar[at] ^= 1 << random.below(8),
            2 => {
                let block = random.below(blocks) * 512;
                let copy = tar[block..(block + 512).min(tar.len())].to_vec();
                let to = random.below(blocks) * 512;
                tar.splice(to..to, copy);
            }
            3 => {
                let block = random.below(blocks) * 512;
                tar.drain(block..(block + 512).min(tar.len()));
            }
            4 => {
                let (from, to) = (random.below(other.len() / 512) * 512, random.below(blocks) * 512);
                tar.splice(to..to, other[from..].to_vec());
            }
            _ => tar.truncate(at.max(512)),
        }
        if tar.len() < 512 {
            tar.resize(512, 0);
        }
    }
    // Headers with a right sum get further than any others.
    if random.below(4) > 0 {
        for block in tar.chunks_exact_mut(512) {
            if block[257..262] == *b"ustar" {
                sum(block.try_into().expect("512"));
            }
        }
    }
    tar
}

fn gzip(data: &[u8], extra: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().extra(extra).filename("f").comment("c").write(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("gzip");
    encoder.finish().expect("gzip")
}

/// Puts a tar into one or two members or frames, and sometimes damages those.
fn framed(tar: &[u8], random: &mut Random) -> Vec<u8> {
    let (first, second) = tar.split_at(random.below(tar.len()));
    let mut blob = match random.below(4) {
        0 => return tar.to_vec(),
        1 => [gzip(first, b"SG"), gzip(second, b"")].concat(),
        2 => gzip(tar, b""),
        _ => {
            let skipped = [&[0x50 + random.below(16) as u8, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"toc"].concat();
            let frame = |data: &[u8]| zstd::encode_all(data, 1).expect("zstd");
            [frame(first), skipped, frame(second)].concat()
        }
    };
    if random.below(3) == 0 {
        let at = random.below(blob.len());
        match random.below(3) {
            0 => blob.truncate(at.max(1)),
            1 => blob[at] ^= random.next() as u8,
            _ => blob.extend(noise(random.below(64))),
        }
    }
    blob
}

fn unpack(s: &Scratch, blob: &[u8]) {
    let archive = s.write("archive", blob);
    let mut limits = scratch::limits();
    scratch::merge(&mut limits, json!({ "maxBytes": 4 << 20, "maxEntries": 300, "maxRatio": 5000 }));
    let request = serde_json::from_value(json!({
        "handle": scratch::unique("fuzz"), "path": archive, "entry": { "name": "x", "offset": 0, "size": blob.len() },
        "expected": { "digest": null, "diffId": sha256(b"no layer is this") },
        "destination": { "stagingDir": s.root.join("staging"), "keepBlobPath": null }, "limits": limits,
    }))
    .expect("request");
    let job = Job::register(&scratch::unique("job"), 0).expect("register");
    unpack_from_archive(&request, &job).expect_err("its diff id is another");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_layer_panics_escapes_or_leaves_a_trace() {
    let seed = number("PODWRIGHT_FUZZ_SEED").unwrap_or(0x9e37_79b9_7f4a_7c15).max(1);
    let time = number("PODWRIGHT_FUZZ_SECONDS").map(Duration::from_secs);
    let (mut random, s, begin) = (Random(seed), Scratch::new(), Instant::now());
    let outside = s.root.join("outside");
    std::fs::create_dir(&outside).expect("outside");
    let seeds = seeds(outside.to_str().expect("utf-8"));
    let is_empty = |dir: &Path| std::fs::read_dir(dir).expect("list").next().is_none();
    let mut rounds = 0;
    while time.map_or(rounds < ROUNDS, |time| begin.elapsed() < time) {
        let state = random.0;
        let (one, other) = (random.below(seeds.len()), random.below(seeds.len()));
        let tar = changed(&seeds[one], &seeds[other], &mut random);
        let blob = framed(&tar, &mut random);
        // A panic of a stage goes on from here: the number is what hack/fuzz takes to begin with it.
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unpack(&s, &blob)));
        assert!(told.is_ok(), "round {rounds}, seed {state}");
        assert!(is_empty(&outside), "something was made outside: round {rounds}, seed {state}");
        assert_eq!(s.names(), ["archive", "outside"], "round {rounds}, seed {state}");
        rounds += 1;
    }
    println!("{rounds} layers from seed {seed}");
}
