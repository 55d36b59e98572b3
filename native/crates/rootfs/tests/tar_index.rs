//! Tars that are unpacked with an index come out of it byte for byte, whatever they are like.
#![cfg(feature = "host-tests")]

mod scratch;
mod tar_builder;

use podwright_rootfs::{IndexWriter, Limits, RebuildError, apply_layer_indexed, rebuild_tar};
use rustix::fs::{Mode, OFlags};
use scratch::{LIMITS, Scratch};
use std::os::fd::OwnedFd;
use std::path::Path;
use tar_builder::{Head, TarBuilder};

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("open")
}

/// Unpacks into `<root>/diff` and answers the index, if the layer can have one.
fn unpack(scratch: &Scratch, tar: &[u8]) -> Option<Vec<u8>> {
    let (diff, mut index) = (scratch.make("diff"), Vec::new());
    let writer = IndexWriter::new(&mut index, open(&scratch.root));
    let (_, whole) = apply_layer_indexed(tar, open(&diff), &LIMITS, writer).expect("apply");
    whole.then_some(index)
}

fn rebuild(scratch: &Scratch, index: &[u8]) -> Result<Vec<u8>, RebuildError> {
    let mut tar = Vec::new();
    let length = rebuild_tar(&scratch.root, || Ok(index), &mut tar)?;
    assert_eq!(length, tar.len() as u64);
    Ok(tar)
}

#[track_caller]
fn comes_back(tar: &[u8]) {
    let scratch = Scratch::new();
    let index = unpack(&scratch, tar).expect("index");
    let again = rebuild(&scratch, &index).expect("rebuild");
    assert!(again == tar, "{} bytes came back, of {}", again.len(), tar.len());
}

#[test]
fn plain_layers_come_back_without_their_contents_in_the_index() {
    let contents = vec![7; 300_000];
    let tar = TarBuilder::new()
        .dir("a/", 0o755)
        .file("a/file", &contents)
        .file("a/empty", b"")
        .symlink("link", "a")
        .file("link/through", b"in a")
        .hard_link("again", "a/file")
        .pax(&[("path", b"implied/long"), ("SCHILY.xattr.user.x", b"1"), ("mtime", b"1.5")])
        .file("short", b"pax")
        .gnu_long(b'L', &"x".repeat(150))
        .file("short", b"gnu")
        .node(b'3', "null", (1, 3), 0o666)
        .end();
    comes_back(&tar);
    let scratch = Scratch::new();
    let index = unpack(&scratch, &tar).expect("index");
    assert!(index.len() < 30_000, "{} bytes", index.len());
}

#[test]
fn what_later_entries_replace_is_kept_beside_the_layer() {
    let tar = TarBuilder::new()
        .file("file", b"first")
        .hard_link("name", "file")
        .file("file", b"second")
        .file("file", b"third")
        .dir("dir/", 0o755)
        .file("dir/in/deep", b"deep")
        .file("dir/other", b"other")
        .symlink("dir", "elsewhere")
        .dir("elsewhere/", 0o755)
        .file("dir/in", b"through the link")
        .file("dir/in", b"again")
        .symlink("file", "name")
        .file("name", b"last")
        .hard_link("name", "elsewhere/in")
        .end();
    comes_back(&tar);
    let scratch = Scratch::new();
    unpack(&scratch, &tar).expect("index");
    assert_eq!(std::fs::read(scratch.diff().join("name")).expect("read"), b"again");
    assert!(!scratch.diff().join("dir/other").exists());
}

#[test]
fn whiteouts_and_what_is_not_unpacked_come_back_with_their_contents() {
    let body = b"a whiteout with contents";
    let tar = TarBuilder::new()
        .file("dir/.wh.gone", body)
        .file("dir/.wh..wh..opq", b"opaque")
        .file(".wh..wh.plnk/aufs", body)
        .node(b'3', "whiteout", (0, 0), 0)
        .file(".wh.twice", b"")
        .file("twice/there", b"1")
        .head(&Head { size: 5, ..Head::new(b'g', "pax_global") })
        .data(b"junk\n")
        .head(&Head { size: 700, ..Head::new(b'V', "label") })
        .data(&[9; 700])
        .end();
    comes_back(&tar);
}

#[test]
fn ends_of_all_kinds_come_back() {
    let body = TarBuilder::new().file("a", b"a").bytes;
    let with = |end: &[u8]| [&body, end].concat();
    comes_back(&body);
    comes_back(&with(&[0; 512]));
    comes_back(&with(&[0; 10240]));
    comes_back(&with(&[&[0; 1024][..], b"garbage that is no block"].concat()));
    comes_back(&with(&[&[0; 1024][..], &vec![0xa5; 200_001]].concat()));
    comes_back(b"");
    comes_back(&[0; 1024]);
    // What fills the last block need not be zeros.
    comes_back(&TarBuilder::new().head(&Head { size: 3, ..Head::new(b'0', "p") }).raw(&[b'p'; 512]).end());
}

#[test]
fn sparse_files_of_pax_come_back() {
    let map = b"2\n4096\n5\n100000\n7\n".to_vec();
    let stored = [&map[..], &vec![0; 512 - map.len()], b"helloworld!!"].concat();
    let one = TarBuilder::new()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.realsize", b"200000"),
        ])
        .file("GNUSparseFile.0/sparse", &stored)
        .pax(&[("GNU.sparse.size", b"50"), ("GNU.sparse.map", b"0,3,10,2")])
        .file("old", b"12345")
        .end();
    comes_back(&one);
}

#[test]
fn a_changed_layer_is_told() {
    let tar = TarBuilder::new().file("a/file", b"contents").file("b", b"b").end();
    let scratch = Scratch::new();
    let index = unpack(&scratch, &tar).expect("index");
    let file = scratch.diff().join("a/file");
    let said = || rebuild(&scratch, &index).map(drop).map_err(|e| e.to_string());
    std::fs::write(&file, b"CONTENTS").expect("write");
    assert_ne!(rebuild(&scratch, &index).expect("its digest tells"), tar);
    std::fs::write(&file, b"short").expect("write");
    assert_eq!(said(), Err("a/file in the layer has another size".to_owned()));
    std::fs::remove_file(&file).expect("remove");
    assert_eq!(said(), Err("a/file in the layer is gone".to_owned()));
    std::os::unix::fs::symlink("/etc/hostname", &file).expect("symlink");
    assert_eq!(said(), Err("a/file in the layer is no file any more".to_owned()));
    std::fs::remove_dir_all(scratch.diff()).expect("remove");
    assert_eq!(said(), Err("diff in the layer is gone".to_owned()));
}

#[test]
fn a_damaged_index_is_an_error_never_a_panic() {
    let tar = TarBuilder::new().file("a", b"contents").file("a", b"more").symlink("l", "a").end();
    let scratch = Scratch::new();
    let index = unpack(&scratch, &tar).expect("index");
    for length in 0..index.len() {
        assert!(rebuild(&scratch, &index[..length]).is_err(), "cut at {length}");
    }
    for at in 0..index.len() {
        let mut damaged = index.clone();
        damaged[at] ^= 0xff;
        if let Ok(again) = rebuild(&scratch, &damaged) {
            assert_ne!(again, tar, "flipped at {at}");
        }
    }
}

#[test]
fn a_layer_that_replaces_without_end_is_unpacked_but_has_no_index() {
    let one = TarBuilder::new().file("x", b"").bytes;
    let tar = [one.repeat(65_600), TarBuilder::new().file("x", b"last").end()].concat();
    let scratch = Scratch::new();
    let (diff, mut index) = (scratch.make("diff"), Vec::new());
    let writer = IndexWriter::new(&mut index, open(&scratch.root));
    let limits = Limits { max_entries: 100_000, ..LIMITS };
    let (_, whole) = apply_layer_indexed(tar.as_slice(), open(&diff), &limits, writer).expect("apply");
    assert!(!whole);
    assert_eq!(std::fs::read(diff.join("x")).expect("read"), b"last");
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Few names, so that entries meet: replaced, linked, written through links, hidden.
fn random_tar(random: &mut Random) -> Vec<u8> {
    let names = ["a", "b", "c", "a/b", "a/c", "b/a", "c/b/a", "a/b/c", "./c", "/b/./c"];
    let mut tar = TarBuilder::new();
    for _ in 0..random.below(14) {
        let name = random.one_of(&names);
        let size = [0, 3, 511, 512, 513, 70_000][random.below(6) as usize];
        let content = vec![random.below(256) as u8; size];
        let target = random.one_of(&names);
        tar = match random.below(12) {
            0..=3 => tar.file(name, &content),
            4 | 5 => tar.dir(name, 0o755),
            6 => tar.symlink(name, random.one_of(&["a", "b", "/c", "..", "c/b", "."])),
            7 => tar.hard_link(name, target),
            8 => tar.file(&format!("{name}/.wh.{}", random.one_of(&["a", "b", "c"])), &content),
            9 => tar.file(&format!("{name}/.wh..wh..opq"), b""),
            10 => tar.pax(&[("path", name.as_bytes()), ("comment", b"x")]).file("ignored", &content),
            _ => tar.node(b'6', name, (0, 0), 0o600),
        };
    }
    for _ in 0..random.below(4) {
        tar = tar.raw(&[0; 512]);
    }
    if tar.bytes.ends_with(&[0; 1024]) && random.below(2) == 0 {
        tar = tar.raw(b"and what nobody reads");
    }
    tar.bytes
}

#[test]
fn random_tars_come_back() {
    let mut unpacked = 0;
    for seed in 1..=1000_u64 {
        let tar = random_tar(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let scratch = Scratch::new();
        let (diff, mut index) = (scratch.make("diff"), Vec::new());
        let writer = IndexWriter::new(&mut index, open(&scratch.root));
        // Some are refused, as a link to a directory or a way through a file.
        let Ok((_, whole)) = apply_layer_indexed(tar.as_slice(), open(&diff), &LIMITS, writer) else { continue };
        assert!(whole);
        unpacked += 1;
        let again = rebuild(&scratch, &index).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!(again == tar, "seed {seed}");
    }
    assert!(unpacked > 300, "only {unpacked} were unpacked");
}
