//! The root, mounts, masks and devices, seen from inside.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use rig::bundle::Bundle;
use rig::cgroups::Cgroup;
use rig::{Rig, mounts};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use serde_json::json;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn directory(rig: &Rig, name: &str) -> PathBuf {
    let dir = rig.dir.join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn the_host_sees_no_mount_of_a_container() {
    let mut rig = Rig::ready();
    let bundle = rig.script("sleep 100");
    rig.run(&bundle);
    // one: the network namespace's pin
    assert_eq!(mounts().matches(&rig.dir.to_str().unwrap()[5..]).count(), 1);
    // and the container sees none of the host's
    let text = rig.exec(&bundle, &["cat", "/proc/self/mounts"], |_| {}).unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().filter(|l| l.starts_with("overlay / overlay rw")).count(), 1, "{text}");
    let known = ["/", "/proc", "/dev", "/sys"];
    let inside = |l: &str| {
        known.iter().any(|k| l.split(' ').nth(1).is_some_and(|at| at == *k || at.starts_with(&format!("{k}/"))))
    };
    assert!(text.lines().all(inside), "{text}");
}

#[test]
fn standard_devices_links_and_mounts() {
    let mut rig = Rig::ready();
    let script = "for d in null zero full random urandom tty; do stat -c '%n %t:%T %a %F' /dev/$d; done; \
                  for l in fd stdin stdout stderr core ptmx; do readlink /dev/$l; done; \
                  grep -c . /sys/fs/cgroup/memory/cgroup.procs; touch /sys/fs/cgroup/x 2>/dev/null || echo ro; \
                  touch /sys/fs/cgroup/memory/x 2>/dev/null || echo ro; stat -c %a /dev/shm; head -c 3 /dev/zero | wc -c";
    let cgroup = Cgroup::make("devices");
    let mut bundle = rig.script(script);
    bundle.request.cgroup = Some(cgroup.facts.clone());
    let expected = "/dev/null 1:3 666 character special file\n/dev/zero 1:5 666 character special file\n\
                    /dev/full 1:7 666 character special file\n/dev/random 1:8 666 character special file\n\
                    /dev/urandom 1:9 666 character special file\n/dev/tty 5:0 666 character special file\n\
                    /proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n/proc/kcore\npts/ptmx\n\
                    2\nro\nro\n1777\n3\n";
    assert_eq!(rig.output(&bundle), expected);
}

#[test]
fn masked_and_readonly_paths() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script(
        "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/domainname || echo ro; \
         cat /tmp/gone 2>/dev/null || echo gone; cat /etc/masked; ls /root; touch /root/x 2>/dev/null || echo ro; \
         touch /etc/passwd && echo rw",
    );
    for path in ["/etc/masked", "/root", "/no/such"] {
        bundle.spec["linux"]["maskedPaths"].as_array_mut().unwrap().push(json!(path));
    }
    std::fs::write(bundle.dir.join("upper").join("etc-masked"), "").unwrap();
    let lower = rig.dir.join("busybox");
    std::fs::write(lower.join("etc/masked"), "secret").unwrap();
    std::fs::write(lower.join("root/secret"), "secret").unwrap();
    assert_eq!(rig.output(&bundle), "0\n0\nro\ngone\nro\nrw\n");
}

#[test]
fn a_readonly_root_has_writable_mounts() {
    let mut rig = Rig::ready();
    let data = directory(&rig, "data");
    let mut bundle =
        rig.script("touch /x 2>/dev/null || echo ro; touch /data/x && echo rw; touch /dev/shm/x && echo shm");
    bundle.spec["root"]["readonly"] = json!(true);
    bundle.mount("/data", &data, &["rbind", "rprivate", "rw"]);
    assert_eq!(rig.output(&bundle), "ro\nrw\nshm\n");
    assert!(data.join("x").exists());
}

#[test]
fn mounts_are_readonly_deep_or_not() {
    let mut rig = Rig::ready();
    let data = directory(&rig, "data");
    let below = directory(&rig, "data/below");
    mount("tmpfs", &below, "tmpfs", rustix::mount::MountFlags::empty(), c"").unwrap();
    let mut bundle = rig.script(
        "for d in ro ro/below rro rro/below flat; do touch /$d/x 2>/dev/null && echo $d rw || echo $d ro; done; ls /flat/below",
    );
    std::fs::write(below.join("inside"), "").unwrap();
    bundle.mount("/ro", &data, &["rbind", "rprivate", "ro"]);
    bundle.mount("/rro", &data, &["rbind", "rprivate", "rro"]);
    bundle.mount("/flat", &data, &["bind", "rprivate", "rw"]);
    let out = rig.output(&bundle);
    unmount(&below, UnmountFlags::DETACH).unwrap();
    assert_eq!(out, "ro ro\nro/below rw\nrro ro\nrro/below ro\nflat rw\n");
}

#[test]
fn files_links_and_missing_targets() {
    let mut rig = Rig::ready();
    let lower = rig.dir.join("busybox");
    let mut bundle = rig.script("cat /etc/hosts /deep/er/file /var/run/s/f; ls -l /link/d | head -1; cat /abs");
    symlink("../../../../../outside", lower.join("up")).unwrap();
    std::fs::create_dir_all(lower.join("var")).unwrap();
    symlink("/run", lower.join("var/run")).unwrap();
    symlink("/nowhere", lower.join("link")).unwrap();
    let file = rig.dir.join("file");
    std::fs::write(&file, "text\n").unwrap();
    symlink("file", rig.dir.join("alias")).unwrap();
    let dir = directory(&rig, "d");
    bundle.mount("/etc/hosts", &file, &["rbind", "ro"]);
    bundle.mount("/deep/er/file", &file, &["bind"]);
    bundle.mount("/var/run/s/f", &rig.dir.join("alias"), &["rbind"]);
    bundle.mount("/link/d", &dir, &["rbind"]);
    bundle.mount("/up/x", &file, &["rbind"]);
    bundle.mount("/abs/../abs", &file, &["rbind"]);
    assert_eq!(rig.output(&bundle), "text\ntext\ntext\ntotal 0\ntext\n");
    assert!(!Path::new("/outside").exists() && !Path::new("/nowhere").exists());
}

#[test]
fn mounts_that_would_deceive_are_refused() {
    let mut rig = Rig::ready();
    let dir = directory(&rig, "false-proc");
    let refused = |rig: &mut Rig, bundle: &Bundle| rig.create(bundle).unwrap_err().failure().unwrap().kind();
    for target in ["/proc/self/attr", "/proc/sys", "/", "/proc"] {
        let mut bundle = rig.bundle(&["true"]);
        bundle.mount(target, &dir, &["rbind"]);
        assert_eq!(refused(&mut rig, &bundle), Kind::Invalid, "{target}");
    }
    // an image whose /proc is a link
    let lower = rig.dir.join("evil");
    rig::bundle::busybox_root(&lower);
    std::fs::remove_dir(lower.join("proc")).unwrap();
    symlink("/tmp", lower.join("proc")).unwrap();
    let mut bundle = rig.bundle(&["true"]);
    bundle.request.overlay.as_mut().unwrap().lower = vec![lower.to_str().unwrap().into()];
    assert_eq!(refused(&mut rig, &bundle), Kind::Invalid);
    let mut bundle = rig.bundle(&["true"]);
    bundle.mount("/data", &dir, &["rbind", "nonsense"]);
    assert_eq!(refused(&mut rig, &bundle), Kind::Invalid);
}

/// A shared tmpfs with a directory, gone when dropped.
struct Shared(PathBuf);

impl Shared {
    fn make(dir: PathBuf) -> Self {
        mount("tmpfs", &dir, "tmpfs", rustix::mount::MountFlags::empty(), c"").unwrap();
        mount_change(&dir, MountPropagationFlags::SHARED).unwrap();
        std::fs::create_dir(dir.join("host")).unwrap();
        std::fs::create_dir(dir.join("guest")).unwrap();
        Self(dir)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for _ in 0..8 {
            let _ = unmount(self.0.join("host"), UnmountFlags::DETACH);
            let _ = unmount(self.0.join("guest"), UnmountFlags::DETACH);
        }
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn propagation_goes_the_ways_that_were_asked_for() {
    for (option, into, out) in [("rprivate", false, false), ("rslave", true, false), ("rshared", true, true)] {
        let mut rig = Rig::ready();
        let shared = Shared::make(directory(&rig, "shared"));
        let mut bundle = rig.script("sleep 100");
        bundle.mount("/mnt", &shared.0, &["rbind", option]);
        let caps = json!(["CAP_SYS_ADMIN"]);
        for set in ["bounding", "effective", "permitted"] {
            bundle.spec["process"]["capabilities"][set] = caps.clone();
        }
        rig.run(&bundle);
        // made after the container started
        mount("tmpfs", shared.0.join("host"), "tmpfs", rustix::mount::MountFlags::empty(), c"").unwrap();
        std::fs::write(shared.0.join("host/seen"), "").unwrap();
        let reply = rig.exec(&bundle, &["ls", "/mnt/host"], |_| {}).unwrap();
        assert_eq!(reply.stdout == b"seen\n", into, "{option}");
        let script = "mount -t tmpfs t /mnt/guest && touch /mnt/guest/seen";
        let reply = rig.exec(&bundle, &["sh", "-c", script], |_| {}).unwrap();
        assert_eq!(reply.exit_code, 0, "{option}");
        assert_eq!(shared.0.join("guest/seen").exists(), out, "{option}");
        let remove = podwright_protocol::message::RemoveContainer { container_id: bundle.id.clone() };
        rig.client.call(podwright_protocol::message::request::Call::RemoveContainer(remove)).unwrap();
    }
}

#[test]
fn what_is_not_shared_is_not_propagated() {
    let mut rig = Rig::ready();
    let dir = directory(&rig, "private");
    mount("tmpfs", &dir, "tmpfs", rustix::mount::MountFlags::empty(), c"").unwrap();
    mount_change(&dir, MountPropagationFlags::PRIVATE).unwrap();
    for (option, text) in [("rshared", "not a shared mount"), ("rslave", "not a shared or slave mount")] {
        let mut bundle = rig.bundle(&["true"]);
        bundle.mount("/mnt", &dir, &["rbind", option]);
        let error = rig.create(&bundle).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.failure().unwrap().kind(), Kind::Invalid);
    }
    unmount(&dir, UnmountFlags::DETACH).unwrap();
}

#[test]
fn devices_by_host_path() {
    let mut rig = Rig::ready();
    let dir = directory(&rig, "dev");
    let node = |name: &str, minor| {
        let number = rustix::fs::makedev(1, minor);
        let mode = rustix::fs::Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(rustix::fs::CWD, dir.join(name), rustix::fs::FileType::CharacterDevice, mode, number)
            .unwrap();
    };
    node("one", 5);
    std::fs::create_dir(dir.join("sub")).unwrap();
    node("sub/two", 7);
    symlink("one", dir.join("alias")).unwrap();
    std::fs::write(dir.join("plain"), "").unwrap();
    let cgroup = Cgroup::make("host-devices");
    let mut bundle = rig.script(
        "stat -c '%n %t:%T %a' /dev/link /dev/all/one /dev/all/sub/two; head -c 2 /dev/link | wc -c; \
         echo x > /dev/link || echo refused; cat /dev/kmsg-like 2>/dev/null || echo refused; head -c1 /dev/zero | wc -c",
    );
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let list = json!([
        {"hostPath": path("alias"), "containerPath": "/dev/link", "permissions": "r"},
        {"hostPath": path(""), "containerPath": "/dev/all", "permissions": "rwm"},
    ]);
    bundle.annotate("podwright.devices", &list.to_string());
    bundle.spec["linux"]["devices"] = json!([{"path": "/dev/kmsg-like", "type": "c", "major": 1, "minor": 11}]);
    bundle.spec["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
    bundle.request.cgroup = Some(cgroup.facts.clone());
    std::fs::write(bundle.dir.join("config.json"), bundle.spec.to_string()).unwrap();
    let created = rig.create(&bundle).unwrap();
    let mut paths: Vec<(String, u32, String)> =
        created.devices.iter().map(|d| (d.path.clone(), d.minor, d.access.clone())).collect();
    paths.sort();
    let expected = [("/dev/all/one", 5, "rwm"), ("/dev/all/sub/two", 7, "rwm"), ("/dev/link", 5, "r")];
    assert_eq!(paths, expected.map(|(p, m, a)| (p.to_owned(), m, a.to_owned())));
    rig.start_container(&bundle.id).unwrap();
    assert_eq!(rig.exit_of(&bundle.id).exit_code, 0);
    let log = bundle.log();
    assert!(
        log.contains("/dev/link 1:5 640\nstdout F /dev/all/one 1:5 640\nstdout F /dev/all/sub/two 1:7 640\nstdout F 2"),
        "{log}"
    );
    assert!(log.matches("refused").count() >= 1 && log.ends_with("stdout F 1\n"), "{log}");
    for wrong in ["plain", "missing"] {
        let mut bundle = rig.bundle(&["true"]);
        let list = json!([{"hostPath": path(wrong), "containerPath": "/dev/x", "permissions": "rwm"}]);
        bundle.annotate("podwright.devices", &list.to_string());
        assert!(rig.create(&bundle).unwrap_err().to_string().contains(wrong));
    }
}

#[test]
fn many_layers_and_a_complete_root() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("ls /layers | wc -l");
    let mut lower = Vec::new();
    for n in 0..60 {
        let dir = directory(&rig, &format!("a-layer-with-a-long-name-like-a-chain-id-has-{n:0>60}"));
        std::fs::create_dir(dir.join("layers")).unwrap();
        std::fs::write(dir.join("layers").join(n.to_string()), "").unwrap();
        lower.push(dir.to_str().unwrap().to_owned());
    }
    lower.extend(bundle.request.overlay.as_ref().unwrap().lower.clone());
    bundle.request.overlay.as_mut().unwrap().lower = lower;
    assert_eq!(rig.output(&bundle), "60\n");
    let mut plain = rig.script("touch /written; echo plain");
    plain.request.overlay = None;
    rig::bundle::busybox_root(&plain.dir.join("rootfs"));
    assert_eq!(rig.output(&plain), "plain\n");
    assert!(plain.dir.join("rootfs/written").exists());
}

#[test]
fn the_log_is_made_as_the_kubelet_wants_it() {
    let mut rig = Rig::ready();
    let bundle = rig.script("echo x");
    rig.output(&bundle);
    let log = bundle.dir.join("logs/0.log");
    let (file, dir) = (std::fs::metadata(&log).unwrap(), std::fs::metadata(log.parent().unwrap()).unwrap());
    assert_eq!((file.permissions().mode() & 0o777, dir.permissions().mode() & 0o777), (0o640, 0o755));
    assert!(file.file_type().is_file() && !file.file_type().is_fifo() && file.uid() == 0);
}

#[test]
fn the_pods_shm_is_shared_and_limited() {
    let mut rig = Rig::ready_with(|r| r.shm_bytes = 1 << 20);
    let writer = rig.script(
        "echo shared > /dev/shm/x; head -c 2000000 /dev/zero > /dev/shm/big 2>/dev/null || echo full; sleep 100",
    );
    rig.run(&writer);
    let reader =
        rig.script("while [ ! -s /dev/shm/big ]; do sleep 0.05; done; cat /dev/shm/x; grep /dev/shm /proc/mounts");
    let out = rig.output(&reader);
    assert!(out.starts_with("shared\n") && out.contains("nosuid,nodev,noexec") && out.contains("size=1024k"), "{out}");
}
