//! Reading through layers, usage, removal, commits. Needs root.
#![cfg(feature = "host-tests")]

mod scratch;
mod tar_builder;

use podwright_rootfs::{
    commit_dir, fs_info, make_snapshot, read_through, remove_now, retire, sweep, tree_usage, write_file_atomic,
};
use scratch::{LIMITS, Scratch, listing, mode};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tar_builder::TarBuilder;

fn layer(s: &Scratch, name: &str, tar: TarBuilder) -> PathBuf {
    s.apply_with(name, &tar.end(), &LIMITS).expect("apply");
    s.root.join(name)
}

fn read(layers: &[&PathBuf], path: &str) -> Option<String> {
    read_through(layers, path.as_bytes(), 1 << 20).expect("read").map(|data| String::from_utf8(data).expect("utf-8"))
}

#[test]
fn a_stack_is_read_as_overlayfs_would_merge_it() {
    let s = Scratch::new();
    let low = layer(
        &s,
        "1",
        TarBuilder::new()
            .file("etc/passwd", b"low")
            .file("etc/group", b"group")
            .file("usr/lib/os", b"os")
            .file("gone/f", b"")
            .file("opq/f", b"")
            .symlink("lib", "usr/lib")
            .file("dir/f", b""),
    );
    let mid = layer(
        &s,
        "2",
        TarBuilder::new()
            .file("etc/passwd", b"mid")
            .symlink("etc/link", "/usr/../lib/os")
            .symlink("loop", "loop")
            .file(".wh.gone", b"")
            .file("opq/.wh..wh..opq", b"")
            .symlink("abs", "/../../etc/passwd")
            .file("dir", b"file now"),
    );
    let top = layer(&s, "3", TarBuilder::new().file("gone/g", b"new").file("etc/.wh.group", b""));
    let all = [&top, &mid, &low];
    assert_eq!(read(&all, "/etc/passwd").as_deref(), Some("mid"));
    assert_eq!(read(&all, "etc/group"), None);
    assert_eq!(read(&[&mid, &low], "etc/group").as_deref(), Some("group"));
    assert_eq!(read(&all, "etc/link").as_deref(), Some("os"));
    assert_eq!(read(&all, "lib/os").as_deref(), Some("os"));
    assert_eq!(read(&all, "abs").as_deref(), Some("mid"));
    assert_eq!(read(&all, "gone/f"), None);
    assert_eq!(read(&all, "gone/g").as_deref(), Some("new"));
    assert_eq!(read(&all, "opq/f"), None);
    assert_eq!(read(&all, "dir/f"), None);
    assert_eq!(read(&all, "etc/passwd/x"), None);
    assert_eq!(read_through(&all, b"loop", 1).expect_err("loop").errno, 40);
    assert_eq!(read_through(&all, b"etc", 1).expect_err("directory").errno, 21);
    assert_eq!(read_through(&all, b"etc/passwd", 2).expect_err("too big").errno, 27);
    assert_eq!(read_through(&[s.root.join("none")], b"x", 2).expect_err("no layer").errno, 2);
}

#[test]
fn it_agrees_with_a_real_overlay_mount() {
    let s = Scratch::new();
    let low = layer(
        &s,
        "1",
        TarBuilder::new()
            .file("a/x", b"low")
            .file("b/x", b"low")
            .file("c/x", b"low")
            .symlink("s", "a/x")
            .file("d/x", b"low"),
    );
    let top = layer(
        &s,
        "2",
        TarBuilder::new()
            .file("a/.wh.x", b"")
            .file("b/.wh..wh..opq", b"")
            .file("b/y", b"top")
            .file(".wh.c", b"")
            .file("c/z", b"top")
            .file("d/y", b"top"),
    );
    let merged = s.make("merged");
    let script = format!(
        "mount -t overlay overlay -o lowerdir={}:{} {m} && cd {m} && for f in a/x b/x b/y c/x c/z d/x d/y s; do cat $f 2>/dev/null || printf -; printf ' '; done",
        top.display(),
        low.display(),
        m = merged.display()
    );
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .output()
        .expect("unshare");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ours: String = ["a/x", "b/x", "b/y", "c/x", "c/z", "d/x", "d/y", "s"]
        .map(|path| read(&[&top, &low], path).unwrap_or_else(|| "-".into()) + " ")
        .concat();
    assert_eq!(ours, String::from_utf8_lossy(&output.stdout));
}

#[test]
fn usage_counts_a_linked_file_once() {
    let s = Scratch::new();
    let dir = layer(&s, "1", TarBuilder::new().file("f", &[1; 100_000]).hard_link("g", "f").symlink("l", "f"));
    let usage = tree_usage(&dir).expect("usage");
    assert_eq!(usage.inodes, 3);
    assert!((100_000..200_000).contains(&usage.bytes), "{usage:?}");
    assert_eq!(tree_usage(&s.root.join("none")).expect_err("absent").errno, 2);
}

#[test]
fn removal_follows_no_link_and_minds_no_flag() {
    let s = Scratch::new();
    let outside = s.make("outside");
    fs::write(outside.join("victim"), b"").expect("write");
    let dir = layer(
        &s,
        "1",
        TarBuilder::new()
            .symlink("d/link", outside.to_str().expect("utf-8"))
            .file("d/immutable", b"")
            .file("d/append/f", b"")
            .node(b'6', "d/pipe", (0, 0), 0o600),
    );
    let flag = |flag: &str, path: &str| {
        assert!(Command::new("chattr").arg(flag).arg(dir.join(path)).status().expect("chattr").success())
    };
    flag("+i", "d/immutable");
    flag("+a", "d/append");
    let trash = s.root.join("trash");
    let retired = retire(&dir, &trash).expect("retire").expect("was there");
    assert!(!dir.exists() && retired.exists());
    assert_eq!(retire(&dir, &trash).expect("retire again"), None);
    fs::write(trash.join("file"), b"").expect("write");
    assert_eq!(sweep(&trash).expect("sweep"), 2);
    assert!(listing(&trash).is_empty() && outside.join("victim").exists());
    assert_eq!(sweep(&s.root.join("none")).expect("nothing"), 0);
    assert_eq!(remove_now(&s.root.join("none/below")).expect("nothing"), 0);
}

#[test]
fn a_sweep_and_the_background_share_the_work() {
    let s = Scratch::new();
    let trash = s.root.join("trash");
    for round in 0..20 {
        let tar = (0..50).fold(TarBuilder::new(), |t, i| t.file(&format!("d{i}/e/f"), b""));
        let dir = layer(&s, &format!("l{round}"), tar);
        podwright_rootfs::free_later(retire(&dir, &trash).expect("retire").expect("was there"));
    }
    sweep(&trash).expect("sweep");
    assert!(listing(&trash).is_empty());
}

#[test]
fn removal_does_not_enter_a_mount() {
    let s = Scratch::new();
    let (dir, victim) = (s.make("dir/mnt"), s.make("victim"));
    fs::write(victim.join("f"), b"").expect("write");
    let script = format!(
        "mount --bind {v} {d} && exec \"$0\" --exact --ignored remove_in_child --nocapture",
        v = victim.display(),
        d = dir.display()
    );
    let me = std::env::current_exe().expect("exe");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .arg(&me)
        .env("SCRATCH_DIR", s.root.join("dir"))
        .output()
        .expect("unshare");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(victim.join("f").exists());
}

#[test]
#[ignore = "run by removal_does_not_enter_a_mount in a mount namespace of its own"]
fn remove_in_child() {
    let dir = std::env::var_os("SCRATCH_DIR").expect("SCRATCH_DIR");
    assert_eq!(remove_now(dir.as_ref()).expect_err("busy").errno, 16);
}

#[test]
fn one_commit_wins_and_the_other_cleans_up() {
    let s = Scratch::new();
    let (a, b, to) = (s.make("a/diff"), s.make("b/diff"), s.root.join("layer"));
    assert!(commit_dir(a.parent().expect("parent"), &to).expect("first"));
    assert!(!commit_dir(b.parent().expect("parent"), &to).expect("second"));
    assert_eq!(listing(&s.root), ["layer", "layer/diff"]);
    assert_eq!(commit_dir(&s.root.join("none"), &to.join("x")).expect_err("absent").errno, 2);
}

#[test]
fn files_are_written_whole_with_their_mode() {
    let s = Scratch::new();
    let path = s.root.join("f");
    write_file_atomic(&path, b"one", 0o666, true).expect("write");
    write_file_atomic(&path, b"two", 0o600, false).expect("write");
    assert_eq!((fs::read(&path).expect("read"), mode(&path)), (b"two".to_vec(), 0o600));
    assert!(write_file_atomic(&s.root.join("no/f"), b"", 0o600, false).is_err());
    fs::create_dir(s.root.join("dir")).expect("mkdir");
    assert!(write_file_atomic(&s.root.join("dir"), b"", 0o600, false).is_err());
    assert_eq!(listing(&s.root), ["dir", "f"]);
}

#[test]
fn a_snapshot_has_its_two_directories() {
    let s = Scratch::new();
    let (upper, work) = make_snapshot(&s.root.join("snap")).expect("make");
    assert_eq!((mode(&upper), mode(&work)), (0o755, 0o700));
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o711)).expect("chmod");
    make_snapshot(&s.root.join("snap")).expect("again");
    assert_eq!(mode(&upper), 0o711);
    assert!(fs_info(&upper).expect("info").available_bytes > 0);
}
