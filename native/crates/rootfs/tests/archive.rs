//! A tree written as a tar and unpacked again is the same tree, overlayfs's marks included.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used)]

mod scratch;

use podwright_rootfs::apply_layer;
use podwright_rootfs::archive::{open_tree, write_tree};
use podwright_rootfs::tar::TarWriter;
use rustix::fs::{self, FileType, Mode, XattrFlags};
use scratch::{LIMITS, Scratch};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt, symlink};
use std::path::Path;

fn fill(root: &Path) {
    let at = |name: &str| root.join(name);
    std::fs::create_dir_all(at("d/e")).unwrap();
    std::fs::write(at("d/plain"), "hello").unwrap();
    std::fs::hard_link(at("d/plain"), at("d/e/second name")).unwrap();
    symlink("/nowhere", at("d/link")).unwrap();
    std::fs::set_permissions(at("d/e"), PermissionsExt::from_mode(0o1750)).unwrap();
    std::os::unix::fs::chown(at("d/plain"), Some(1234), Some(70_000)).unwrap();
    fs::setxattr(at("d/plain"), "user.note", b"a\0b", XattrFlags::empty()).unwrap();
    fs::mknodat(fs::CWD, at("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fs::mknodat(fs::CWD, at("gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    fs::setxattr(at("d/e"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    let holes = std::fs::File::create(at("holes")).unwrap();
    holes.set_len(64 << 20).unwrap();
    holes.write_all_at(b"in the middle", 32 << 20).unwrap();
    let long = "n".repeat(200);
    std::fs::File::create(at(&long)).unwrap().write_all(&[7; 3000]).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let scratch = Scratch::new();
    let (from, to) = (scratch.make("from"), scratch.make("to"));
    fill(&from);
    let mut tar = TarWriter::new(Vec::new());
    let done = write_tree(open_tree(from.to_str().unwrap()).unwrap(), &mut tar).unwrap();
    assert_eq!((done.deleted, done.sockets), (vec![b"gone".to_vec()], 1));
    let bytes = tar.finish().unwrap();
    assert!(bytes.len() < 1 << 20, "holes are not written: {} bytes", bytes.len());
    apply_layer(bytes.as_slice(), open_tree(to.to_str().unwrap()).unwrap(), &LIMITS).unwrap();
    for name in ["d", "d/e", "d/plain", "d/e/second name", "d/link", "fifo", "gone", "holes", &"n".repeat(200)] {
        let (a, b) = (from.join(name).symlink_metadata().unwrap(), to.join(name).symlink_metadata().unwrap());
        let facts = |m: &std::fs::Metadata| (m.mode(), m.uid(), m.gid(), m.nlink(), m.rdev());
        assert_eq!(facts(&a), facts(&b), "{name}");
        if !a.is_dir() && name != "gone" {
            assert_eq!((a.mtime(), a.mtime_nsec(), a.size()), (b.mtime(), b.mtime_nsec(), b.size()), "{name}");
        }
    }
    assert_eq!(std::fs::read(from.join("holes")).unwrap(), std::fs::read(to.join("holes")).unwrap());
    assert!(to.join("holes").metadata().unwrap().blocks() < 1000, "the holes are holes again");
    let mut value = [0_u8; 8];
    assert_eq!(fs::getxattr(to.join("d/plain"), "user.note", &mut value).unwrap(), 3);
    assert_eq!(fs::getxattr(to.join("d/e"), "trusted.overlay.opaque", &mut value).unwrap(), 1);
    assert!(!to.join("socket").exists());
}
