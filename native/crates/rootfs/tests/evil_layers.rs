//! Layers made to do harm: refused or confined, whatever they are. Needs root.
#![cfg(feature = "host-tests")]

mod scratch;
mod tar_builder;

use podwright_rootfs::{Limits, UnpackError};
use scratch::{LIMITS, Scratch, listing};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use tar_builder::{Head, TarBuilder};

fn refused(tar: &[u8]) -> String {
    let s = Scratch::new();
    match s.apply(tar) {
        Err(e @ UnpackError::Malformed { .. }) => e.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn too_large(tar: &[u8], limits: &Limits) -> String {
    let s = Scratch::new();
    match s.apply_with("diff", tar, limits) {
        Err(e @ UnpackError::LayerTooLarge { .. }) => e.to_string(),
        other => panic!("not too large: {other:?}"),
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["../x", "a/../../x", "..", "a/..", "/../x"] {
        assert!(refused(&TarBuilder::new().file(path, b"").end()).contains("a path leads out of the layer"), "{path}");
    }
    assert!(
        refused(&TarBuilder::new().dir("d", 0o755).file("d/.wh...", b"").end()).contains("a whiteout names no file")
    );
    assert!(refused(&TarBuilder::new().file(".wh..", b"").end()).contains("a whiteout names no file"));
    assert!(refused(&TarBuilder::new().file(".wh.", b"").end()).contains("a whiteout names no file"));
}

#[test]
fn absolute_paths_and_links_stay_in_the_layer() {
    let s = Scratch::new();
    let outside = s.make("outside");
    let target = outside.to_str().expect("utf-8");
    let tar = TarBuilder::new()
        .file(&format!("{target}/absolute"), b"1")
        .symlink("abs", target)
        .symlink("rel", &format!("../../../../../../..{target}"))
        .symlink("two", "abs")
        .file("abs/by-abs", b"2")
        .file("rel/by-rel", b"3")
        .file("two/by-two", b"4")
        .file("abs/.wh.hidden", b"")
        .file("abs/.wh..wh..opq", b"")
        .symlink("f", &format!("{target}/file"))
        .file("f", b"replaced")
        .symlink("dangling", "/var/new/run")
        .file("dangling/x", b"5")
        .end();
    s.apply(&tar).expect("confined");
    assert!(listing(&outside).is_empty(), "nothing outside");
    let inside = s.diff().join(target.trim_start_matches('/'));
    for name in ["absolute", "by-abs", "by-rel", "by-two"] {
        assert!(inside.join(name).is_file(), "{name}");
    }
    assert!(scratch::is_whiteout(&inside.join("hidden")) && scratch::is_opaque(&inside));
    assert_eq!(fs::read(s.diff().join("f")).expect("read"), b"replaced");
    assert_eq!(fs::read(s.diff().join("var/new/run/x")).expect("read"), b"5");
}

#[test]
fn hard_links_to_the_outside_or_nothing_are_refused() {
    let s = Scratch::new();
    let victim = s.make("outside").join("victim");
    fs::write(&victim, b"untouched").expect("write");
    let v = victim.to_str().expect("utf-8");
    let absent = "a hard link's target is not in this layer";
    assert!(refused(&TarBuilder::new().hard_link("h", v).end()).contains(absent));
    assert!(refused(&TarBuilder::new().hard_link("h", "../outside/victim").end()).contains("a path leads out"));
    assert!(
        refused(&TarBuilder::new().symlink("abs", "/tmp").hard_link("h", &format!("abs/{}", &v[5..])).end())
            .contains(absent)
    );
    assert!(refused(&TarBuilder::new().hard_link("self", "self").end()).contains(absent));
    assert!(refused(&TarBuilder::new().dir("d", 0o755).hard_link("h", "d").end()).contains("is a directory"));
    assert!(refused(&TarBuilder::new().hard_link("h", "/").end()).contains(absent));
    // A link to a link is a link to the link itself; content under its name replaces it.
    let tar = TarBuilder::new().symlink("l", v).hard_link("h", "l").file("h", b"evil").end();
    s.apply(&tar).expect("apply");
    assert_eq!(fs::read(&victim).expect("read"), b"untouched");
}

#[test]
fn malformed_archives_are_refused() {
    let truncated = TarBuilder::new()
        .file("first", b"1")
        .head(&Head { size: 4096, ..Head::new(b'0', "second") })
        .data(&[0; 100])
        .bytes;
    assert!(refused(&truncated).contains("ends within an entry (entry second)"));
    assert!(refused(&TarBuilder::new().file("f", b"").raw(&[1; 100]).bytes).contains("ends within"));
    assert!(refused(&TarBuilder::new().raw(&[b'x'; 512]).end()).contains("octal"));
    assert!(refused(&TarBuilder::new().head(&Head::new(b'Z', "f")).end()).contains("unknown type"));
    assert!(refused(&TarBuilder::new().file("f", b"").raw(&[0; 512]).file("g", b"").end()).contains("lone block"));
    assert!(
        refused(&TarBuilder::new().file(&"n".repeat(100), b"").gnu_long(b'L', &"n".repeat(300)).file("x", b"").end())
            .contains("longer than 255")
    );
    assert!(
        refused(&TarBuilder::new().file("x", b"").file("x/y", b"").end())
            .contains("below something that is no directory")
    );
    assert!(
        refused(&TarBuilder::new().symlink("p", "q").symlink("q", "p").file("p/f", b"").end())
            .contains("too many links")
    );
    assert!(refused(&TarBuilder::new().symlink("p", "").end()).contains("no target"));
    assert!(refused(&TarBuilder::new().node(b'3', "c", (5000, 0), 0o600).end()).contains("device number"));
    assert!(refused(&TarBuilder::new().pax(&[("uid", b"4294967295")]).file("f", b"").end()).contains("owner's id"));
    assert!(
        refused(&TarBuilder::new().pax(&[("size", b"18446744073709551615")]).file("f", b"").end())
            .contains("size is out of range")
    );
    assert!(
        refused(
            &TarBuilder::new()
                .pax(&[("GNU.sparse.map", b"0,512,4,512"), ("GNU.sparse.size", b"9999")])
                .head(&Head { size: 1024, ..Head::new(b'0', "s") })
                .data(&[0; 1024])
                .end()
        )
        .contains("sparse")
    );
    assert!(refused(&TarBuilder::new().file("./", b"").file("..", b"").end()).contains("leads out"));
}

#[test]
fn limits_are_kept() {
    let many: Vec<u8> = (0..20).fold(TarBuilder::new(), |t, i| t.file(&format!("f{i}"), b"")).end();
    assert!(too_large(&many, &Limits { max_entries: 19, ..LIMITS }).contains("more than 19 entries"));
    let implied = TarBuilder::new().file("a/b/c/d/e/f/g/h", b"").end();
    assert!(too_large(&implied, &Limits { max_entries: 5, ..LIMITS }).contains("more than 5 inodes"));
    assert!(too_large(&implied, &Limits { max_depth: 7, ..LIMITS }).contains("more than 7 components"));
    assert!(too_large(&implied, &Limits { max_path_bytes: 10, ..LIMITS }).contains("more than 10 bytes of a path"));
    let file = TarBuilder::new().file("f", &[1; 100]).file("g", &[1; 100]).end();
    assert!(too_large(&file, &Limits { max_bytes: 199, ..LIMITS }).contains("more than 199 bytes of files (entry g)"));
    let xattr = TarBuilder::new().pax(&[("SCHILY.xattr.user.x", &[b'x'; 1000])]).file("f", b"").end();
    assert!(too_large(&xattr, &Limits { max_xattr_bytes: 999, ..LIMITS }).contains("extended attributes"));
    let huge = TarBuilder::new().pax(&[("SCHILY.xattr.user.x", &vec![b'x'; 8 << 20])]).file("f", b"").end();
    assert!(too_large(&huge, &LIMITS).contains("bytes of an extended header"));
    let sparse = TarBuilder::new()
        .pax(&[("GNU.sparse.map", b""), ("GNU.sparse.size", b"9223372036854775807")])
        .head(&Head::new(b'0', "s"))
        .end();
    assert!(too_large(&sparse, &LIMITS).contains("bytes of files"));
    let headers: Vec<u8> = (0..30).fold(TarBuilder::new(), |t, _| t.pax(&[("comment", b"")])).end();
    assert!(too_large(&headers, &Limits { max_entries: 29, ..LIMITS }).contains("29 entries"));
}

#[test]
fn deep_nesting_is_bounded_by_path_and_removable_beyond() {
    let s = Scratch::new();
    let path = "d/".repeat(1500);
    s.apply_with(
        "diff",
        &TarBuilder::new().gnu_long(b'L', &format!("{path}f")).file("x", b"").end(),
        &Limits { max_depth: 2000, ..LIMITS },
    )
    .expect("1500 levels");
    let usage = podwright_rootfs::tree_usage(&s.diff()).expect("usage");
    assert_eq!(usage.inodes, 1502);
    // Deeper than a path can name: relative steps only.
    let mut here = rustix::fs::open(s.diff(), rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).expect("open");
    for _ in 0..5000 {
        rustix::fs::mkdirat(&here, "e", rustix::fs::Mode::from_raw_mode(0o755)).expect("mkdir");
        here = rustix::fs::openat(&here, "e", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).expect("open");
    }
    assert_eq!(podwright_rootfs::tree_usage(&s.diff()).expect("usage").inodes, 6502);
    assert_eq!(podwright_rootfs::remove_now(&s.diff()).expect("remove"), 6502);
}

#[test]
fn a_race_for_a_parent_never_leads_out() {
    let s = Scratch::new();
    let (outside, diff) = (s.make("outside"), s.make("diff"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (real, link) = (diff.join("a"), diff.join("aside"));
            while !stop.load(Ordering::Relaxed) {
                // What an attacker inside the staging directory would do: swap directory and link.
                let _ = fs::rename(&real, &link);
                let _ = std::os::unix::fs::symlink(&outside, &real);
                let _ = fs::remove_file(&real);
                let _ = fs::rename(&link, &real);
            }
        });
        for round in 0..150 {
            let tar = (0..20).fold(TarBuilder::new().dir("a", 0o755), |t, i| {
                t.file(&format!("a/{round}/{i}"), b"x").hard_link(&format!("a/l{round}-{i}"), &format!("a/{round}/{i}"))
            });
            // Its outcome is a matter of luck; where it writes is not.
            let _ = s.apply(&tar.end());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(listing(&outside).is_empty());
}

#[test]
fn random_bytes_never_panic_or_escape() {
    let s = Scratch::new();
    let good = TarBuilder::new()
        .dir("a", 0o755)
        .symlink("a/up", "../../..")
        .file("a/up/f", b"data")
        .pax(&[
            ("path", b"a/pax"),
            ("SCHILY.xattr.user.x", b"1"),
            ("GNU.sparse.map", b"0,4"),
            ("GNU.sparse.size", b"10"),
        ])
        .file("x", b"data")
        .gnu_long(b'L', "a/long")
        .hard_link("y", "a/up/f")
        .file("a/.wh.z", b"")
        .end();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let before = listing(&s.root);
    for round in 0..1500 {
        let mut tar = good.clone();
        for _ in 0..=random() % 6 {
            let at = random() as usize % tar.len();
            tar[at] = random() as u8;
        }
        if round % 3 == 0 {
            tar.truncate(random() as usize % tar.len());
        }
        // Headers with a right sum get further than any others.
        if round % 2 == 0 {
            for block in tar.chunks_exact_mut(512) {
                if block[257..262] == *b"ustar" {
                    tar_builder::sum(block.try_into().expect("512"));
                }
            }
        }
        let _ = s.apply_with("diff", &tar, &Limits { max_bytes: 1 << 20, ..LIMITS });
        podwright_rootfs::remove_now(&s.diff()).expect("remove");
    }
    assert_eq!(listing(&s.root), before);
}
