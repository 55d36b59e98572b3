//! What well-formed layers become. Needs root (owners, devices, trusted.*).
#![cfg(feature = "host-tests")]

mod scratch;
mod tar_builder;

use scratch::{Scratch, is_opaque, is_whiteout, listing, mode};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use tar_builder::{Head, TarBuilder, sum};

fn xattr(path: &std::path::Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0_u8; 256];
    rustix::fs::getxattr(path, name, &mut value[..]).ok().map(|n| value[..n].to_vec())
}

#[test]
fn files_directories_links_and_nodes_with_all_they_carry() {
    let s = Scratch::new();
    let tar = TarBuilder::new()
        .dir("./", 0o755)
        .dir("etc/", 0o750)
        .head(&Head { size: 5, mode: 0o4755, owner: (12, 34), mtime: 1_234_567_890, ..Head::new(b'0', "etc/suid") })
        .data(b"hello")
        .symlink("etc/link", "../../../../outside")
        .hard_link("etc/hard", "./etc/suid")
        .node(b'3', "null", (1, 3), 0o666)
        .node(b'4', "disk", (254, 7), 0o660)
        .node(b'6', "pipe", (0, 0), 0o640)
        .head(&Head { mtime: 1_000_000_000, mode: 0o1777, ..Head::new(b'5', "tmp") })
        .file("tmp/x", b"")
        .end();
    let applied = s.apply(&tar).expect("apply");
    let d = s.diff();
    assert_eq!(fs::read(d.join("etc/suid")).expect("read"), b"hello");
    let stat = fs::metadata(d.join("etc/suid")).expect("stat");
    assert_eq!(
        (stat.uid(), stat.gid(), stat.mode() & 0o7777, stat.mtime(), stat.nlink()),
        (12, 34, 0o4755, 1_234_567_890, 2)
    );
    assert_eq!(fs::read_link(d.join("etc/link")).expect("readlink").to_str(), Some("../../../../outside"));
    assert_eq!(mode(&d.join("etc")), 0o750);
    let null = fs::metadata(d.join("null")).expect("stat");
    assert!(
        null.file_type().is_char_device() && null.rdev() == rustix::fs::makedev(1, 3) && null.mode() & 0o7777 == 0o666
    );
    assert!(fs::metadata(d.join("disk")).expect("stat").file_type().is_block_device());
    assert!(fs::metadata(d.join("pipe")).expect("stat").file_type().is_fifo() && mode(&d.join("pipe")) == 0o640);
    let tmp = fs::metadata(d.join("tmp")).expect("stat");
    assert_eq!((tmp.mode() & 0o7777, tmp.mtime()), (0o1777, 1_000_000_000));
    assert_eq!((applied.entries, applied.bytes, applied.inodes, applied.skipped), (10, 5, 8, 0));
    assert!(applied.implied.is_empty());
}

#[test]
fn whiteouts_and_opaque_directories_in_any_order() {
    let s = Scratch::new();
    let tar = TarBuilder::new()
        .file("a/.wh.gone", b"")
        .file("b/.wh..wh..opq", b"")
        .file("b/kept", b"k")
        // A name both hidden and made anew, both orders: the new directory hides the lower one.
        .file(".wh.c", b"")
        .file("c/new", b"n")
        .file("e/new", b"n")
        .file(".wh.e", b"")
        .file(".wh.f", b"")
        .file("f", b"new")
        .file(".wh.g", b"")
        .dir("g", 0o700)
        .file(".wh..wh.plnk/12", b"")
        .end();
    let applied = s.apply(&tar).expect("apply");
    let d = s.diff();
    assert!(is_whiteout(&d.join("a/gone")));
    assert!(is_opaque(&d.join("b")) && fs::read(d.join("b/kept")).expect("read") == b"k");
    assert!(is_opaque(&d.join("c")) && is_opaque(&d.join("e")) && is_opaque(&d.join("g")));
    assert_eq!(fs::read(d.join("f")).expect("read"), b"new");
    assert_eq!(listing(&d), ["a", "a/gone", "b", "b/kept", "c", "c/new", "e", "e/new", "f", "g"]);
    assert_eq!((applied.inodes, applied.skipped), (10, 1));
    assert_eq!(applied.implied, [b"a".to_vec(), b"b".to_vec(), b"e".to_vec()]);
}

#[test]
fn attributes_of_images_but_not_of_overlayfs() {
    let s = Scratch::new();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tar = TarBuilder::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.note", b"a\0b\n"),
            ("mtime", b"1.25"),
            ("uid", b"70000"),
        ])
        .head(&Head { size: 1, mode: 0o755, ..Head::new(b'0', "bin/ping") })
        .data(b"x")
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/root"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ])
        .dir("d", 0o755)
        .end();
    s.apply(&tar).expect("apply");
    let ping = s.diff().join("bin/ping");
    assert_eq!(xattr(&ping, "security.capability").as_deref(), Some(&capability[..]));
    assert_eq!(xattr(&ping, "user.note").as_deref(), Some(&b"a\0b\n"[..]));
    let stat = fs::metadata(&ping).expect("stat");
    assert_eq!((stat.uid(), stat.mtime(), stat.mtime_nsec()), (70000, 1, 250_000_000));
    for name in ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque"] {
        assert_eq!(xattr(&s.diff().join("d"), name), None, "{name}");
    }
}

#[test]
fn long_names_in_both_spellings() {
    let s = Scratch::new();
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    let target = "t".repeat(300);
    let tar = TarBuilder::new()
        .gnu_long(b'L', &long)
        .file("short", b"gnu")
        .pax(&[("path", format!("{}2", long).as_bytes()), ("size", b"3")])
        .head(&Head { size: 3, ..Head::new(b'0', "short") })
        .data(b"pax")
        .gnu_long(b'K', &target)
        .symlink("link", "short")
        .end();
    s.apply(&tar).expect("apply");
    assert_eq!(fs::read(s.diff().join(&long)).expect("read"), b"gnu");
    assert_eq!(fs::read(s.diff().join(format!("{long}2"))).expect("read"), b"pax");
    assert_eq!(fs::read_link(s.diff().join("link")).expect("readlink").to_str(), Some(target.as_str()));
}

#[test]
fn sparse_files_of_all_four_forms_have_their_holes() {
    let s = Scratch::new();
    let mut gnu = Head { size: 1024, ..Head::new(b'S', "gnu") }.block();
    gnu[257..265].copy_from_slice(b"ustar  \0");
    gnu[329..345].fill(0);
    gnu[345..386].fill(0);
    for (i, (offset, length)) in [(0_u64, 512_u64), (1 << 20, 512)].iter().enumerate() {
        gnu[386 + i * 24..398 + i * 24].copy_from_slice(format!("{offset:011o}\0").as_bytes());
        gnu[398 + i * 24..410 + i * 24].copy_from_slice(format!("{length:011o}\0").as_bytes());
    }
    gnu[483..495].copy_from_slice(format!("{:011o}\0", 2 << 20).as_bytes());
    sum(&mut gnu);
    let contents = [[b'a'; 512], [b'b'; 512]].concat();
    let map = b"2\n0\n512\n1048576\n512\n";
    let size = b"2097152";
    let head = |stored: usize| Head { size: stored as u64, ..Head::new(b'0', "GNUSparseFile.0/x") };
    let tar = TarBuilder::new()
        .raw(&gnu)
        .data(&contents)
        .pax(&[
            ("GNU.sparse.size", size),
            ("GNU.sparse.name", b"pax00"),
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"512"),
            ("GNU.sparse.offset", b"1048576"),
            ("GNU.sparse.numbytes", b"512"),
        ])
        .head(&head(1024))
        .data(&contents)
        .pax(&[("GNU.sparse.size", size), ("GNU.sparse.name", b"pax01"), ("GNU.sparse.map", b"0,512,1048576,512")])
        .head(&head(1024))
        .data(&contents)
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"pax10"),
            ("GNU.sparse.realsize", size),
        ])
        .head(&head(512 + 1024))
        .data(map)
        .data(&contents)
        .file("after", b"after")
        .end();
    s.apply(&tar).expect("apply");
    for name in ["gnu", "pax00", "pax01", "pax10"] {
        let data = fs::read(s.diff().join(name)).expect("read");
        assert_eq!(data.len(), 2 << 20, "{name}");
        assert!(
            data[..512].iter().all(|&b| b == b'a') && data[1 << 20..(1 << 20) + 512].iter().all(|&b| b == b'b'),
            "{name}"
        );
        assert_eq!(data.iter().filter(|&&b| b != 0).count(), 1024, "{name}");
        assert!(fs::metadata(s.diff().join(name)).expect("stat").blocks() < 64, "{name} has holes");
    }
    assert_eq!(fs::read(s.diff().join("after")).expect("read"), b"after");
}

#[test]
fn the_last_entry_of_a_path_wins() {
    let s = Scratch::new();
    let tar = TarBuilder::new()
        .file("a", b"1")
        .file("a", b"2")
        .file("tree/x/y", b"")
        .file("tree", b"now a file")
        .symlink("l", "/etc")
        .dir("l", 0o711)
        .file("l/f", b"in the directory")
        .file("d/x", b"")
        .dir("d", 0o705)
        .file("A", b"another than a")
        .end();
    let applied = s.apply(&tar).expect("apply");
    let d = s.diff();
    assert_eq!(fs::read(d.join("a")).expect("read"), b"2");
    assert_eq!(fs::read(d.join("A")).expect("read"), b"another than a");
    assert_eq!(fs::read(d.join("tree")).expect("read"), b"now a file");
    assert_eq!(fs::read(d.join("l/f")).expect("read"), b"in the directory");
    assert_eq!(mode(&d.join("d")), 0o705);
    assert_eq!(listing(&d), ["A", "a", "d", "d/x", "l", "l/f", "tree"]);
    assert_eq!(applied.inodes, 7);
}

#[test]
fn archives_without_an_end_mark_and_with_bytes_after_it() {
    let s = Scratch::new();
    s.apply_with("one", &TarBuilder::new().file("f", b"x").bytes, &scratch::LIMITS).expect("no end mark");
    s.apply_with("two", &TarBuilder::new().file("f", b"x").raw(&[0; 512]).bytes, &scratch::LIMITS)
        .expect("half an end mark");
    s.apply_with("three", &TarBuilder::new().file("f", b"x").raw(&[0; 1024]).raw(&[7; 999]).bytes, &scratch::LIMITS)
        .expect("trailing bytes");
    s.apply_with("empty", &[], &scratch::LIMITS).expect("empty");
}

#[test]
fn implied_directories_inherit_from_the_layers_below() {
    let s = Scratch::new();
    s.apply_with(
        "low/diff",
        &TarBuilder::new()
            .head(&Head { mode: 0o1777, owner: (5, 6), ..Head::new(b'5', "tmp") })
            .dir("opt", 0o700)
            .end(),
        &scratch::LIMITS,
    )
    .expect("low");
    let applied = s
        .apply_with("top/diff", &TarBuilder::new().file("tmp/f", b"").file("opt/a/b", b"").end(), &scratch::LIMITS)
        .expect("top");
    let top = s.root.join("top");
    podwright_rootfs::write_implied(&top, &applied.implied).expect("write");
    assert_eq!(podwright_rootfs::inherit_directories(&top, &[s.root.join("low/diff")]).expect("inherit"), 2);
    let tmp = fs::metadata(top.join("diff/tmp")).expect("stat");
    assert_eq!((tmp.mode() & 0o7777, tmp.uid(), tmp.gid()), (0o1777, 5, 6));
    assert_eq!((mode(&top.join("diff/opt")), mode(&top.join("diff/opt/a"))), (0o700, 0o755));
}
