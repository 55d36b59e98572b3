//! Project quota on a file system made for the test. Needs root, and a kernel that has it: ignored unless asked for
//! (`hack/testbed run -- cargo test ... -- --include-ignored`).
#![cfg(feature = "host-tests")]

mod scratch;

use podwright_rootfs::{
    ProjectRange, forget_projects, make_project, make_snapshot, project_usage, quota_support, remove_now, retire,
};
use scratch::Scratch;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

const RANGE: ProjectRange = ProjectRange { first: 1_886_846_976, count: 16 };

/// An ext4 with project quota in a file, mounted while the test lasts.
struct Disk {
    at: PathBuf,
    _scratch: Scratch,
}

impl Disk {
    /// Fails where the kernel cannot mount such a file system.
    fn new() -> Self {
        let scratch = Scratch::new();
        let at = scratch.make("disk");
        let image = scratch.root.join("image");
        fs::File::create(&image).and_then(|file| file.set_len(64 << 20)).expect("make image");
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-O", "quota,project", "-E", "quotatype=prjquota"])
            .arg(&image)
            .status()
            .is_ok_and(|status| status.success());
        assert!(made, "there is no mkfs.ext4 that makes project quota");
        let mounted = Command::new("mount").args(["-o", "loop,prjquota"]).arg(&image).arg(&at).output().expect("mount");
        assert!(mounted.status.success(), "this kernel mounts no ext4 with project quota");
        Self { at, _scratch: scratch }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.at).status().expect("umount").success());
    }
}

fn write(path: &Path, bytes: usize) -> std::io::Result<()> {
    let file = fs::File::create(path)?;
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![1; bytes], 0)?;
    file.sync_all()
}

#[test]
#[ignore = "needs a kernel with project quota on ext4"]
fn a_layer_is_counted_and_held_to_its_limit() {
    let disk = Disk::new();
    let support = quota_support(&disk.at).expect("support");
    assert!(support.counted && support.enforced, "{support:?}");
    let dir = disk.at.join("one");
    let project = make_project(&dir, RANGE, Some(2 << 20)).expect("assign");
    let (upper, work) = make_snapshot(&dir).expect("snapshot");
    let empty = project_usage(&dir, RANGE).expect("usage").expect("a project");
    assert_eq!((empty.id, empty.inodes, empty.limit_bytes), (project, 3, 2 << 20));
    write(&upper.join("file"), 1 << 20).expect("within the limit");
    fs::rename(upper.join("file"), work.join("file")).expect("upper and work are one project");
    let used = project_usage(&dir, RANGE).expect("usage").expect("a project");
    assert_eq!(used.bytes - empty.bytes, 1 << 20);
    assert_eq!(used.inodes, 4);
    // root itself may pass a limit of ext4 (CAP_SYS_RESOURCE); overlayfs writes without that right
    let helper = Command::new("setpriv")
        .args([
            "--bounding-set",
            "-sys_resource",
            "--inh-caps",
            "-sys_resource",
            "dd",
            "if=/dev/zero",
            "bs=1M",
            "count=3",
        ])
        .arg(format!("of={}", upper.join("more").display()))
        .output()
        .expect("setpriv");
    assert!(!helper.status.success());
    assert!(String::from_utf8_lossy(&helper.stderr).contains("quota exceeded"), "{helper:?}");
    assert_eq!(make_project(&dir, RANGE, None).expect("again"), project, "a directory keeps its project");
    assert_eq!(project_usage(&dir, RANGE).expect("usage").expect("a project").limit_bytes, 0);
    assert_eq!(project_usage(&disk.at, RANGE).expect("usage"), None, "a directory of no project");
}

#[test]
#[ignore = "needs a kernel with project quota on ext4"]
fn a_number_is_free_when_nothing_counts_for_it() {
    let disk = Disk::new();
    let trash = disk.at.join("trash");
    let dirs: Vec<PathBuf> = (0..16).map(|at| disk.at.join(format!("c{at}"))).collect();
    let mut taken: Vec<u32> = dirs.iter().map(|dir| make_project(dir, RANGE, Some(1 << 20)).expect("assign")).collect();
    taken.sort_unstable();
    assert_eq!(taken, (RANGE.first..RANGE.first + 16).collect::<Vec<_>>());
    let full = make_project(&disk.at.join("full"), RANGE, None).expect_err("none is free");
    assert_eq!(std::io::Error::from_raw_os_error(full.errno).kind(), ErrorKind::StorageFull);
    let retired = retire(&dirs[3], &trash).expect("retire").expect("it was there");
    assert!(make_project(&disk.at.join("full"), RANGE, None).is_err(), "what lies in the trash still counts");
    remove_now(&retired).expect("remove");
    assert_eq!(forget_projects(&disk.at, RANGE).expect("forget"), 1);
    assert_eq!(forget_projects(&disk.at, RANGE).expect("forget"), 0);
    let again = make_project(&disk.at.join("full"), RANGE, None).expect("one is free");
    assert!(taken.contains(&again));
    let used = project_usage(&disk.at.join("full"), RANGE).expect("usage").expect("a project");
    assert_eq!((used.inodes, used.limit_bytes), (1, 0), "without the limit of the one before");
}
