//! Pods with a user namespace: whose everything is, inside and outside.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{CreateSandbox, IdMapping, NamespaceMode, Sysctl, UserNamespace, response};
use podwright_sys::namespace::owner_of;
use rig::bundle::Bundle;
use rig::cgroups::Cgroup;
use rig::fuse::Fuse;
use rig::streams::{exec_of, rest, send_all, tty_of};
use rig::users::{COUNT, FIRST, mapped, mapping, with_users};
use rig::{Rig, alive};
use serde_json::{Value, json};
use std::fs::{metadata, read_link, read_to_string};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// A monitor whose pod has a user namespace; its directory is for root alone, as a daemon's is.
fn pod(change: impl FnOnce(&mut CreateSandbox)) -> Rig {
    let rig = Rig::ready_with(|request| {
        with_users(request);
        change(request);
    });
    std::fs::set_permissions(&rig.dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    rig
}

fn map_last_mount(bundle: &mut Bundle) {
    let mount = bundle.spec["mounts"].as_array_mut().unwrap().last_mut().unwrap();
    mount["uidMappings"] = mapping();
    mount["gidMappings"] = mapping();
}

fn look(rig: &mut Rig, bundle: &Bundle, script: &str) -> String {
    let reply = rig.exec(bundle, &["sh", "-c", script], |_| {}).unwrap();
    assert_eq!(reply.exit_code, 0, "{script}: {}", String::from_utf8_lossy(&reply.stderr));
    String::from_utf8(reply.stdout).unwrap().trim().to_owned()
}

/// A pod with one container that waits.
fn waiting(change: impl FnOnce(&mut Bundle)) -> (Rig, Bundle, i32) {
    let mut rig = pod(|_| {});
    let mut bundle = mapped(rig.script("exec sleep 1000"));
    change(&mut bundle);
    let pid = rig.run(&bundle);
    (rig, bundle, pid)
}

fn uid(path: impl AsRef<Path>) -> u32 {
    metadata(path).unwrap().uid()
}

/// The inode of the user namespace that owns the namespace behind a path.
fn owner(path: &str) -> u64 {
    let file = std::fs::File::open(path).unwrap();
    rustix::fs::fstat(owner_of(file.as_fd()).unwrap()).unwrap().st_ino
}

#[test]
fn root_inside_is_nobody_special_outside() {
    let (mut rig, bundle, pid) = waiting(|_| {});
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}\n")), "{status}");
    assert!(status.contains(&format!("Gid:\t{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}\n")), "{status}");
    let seen = look(&mut rig, &bundle, "id -u; id -g; cat /proc/self/uid_map /proc/1/gid_map; cat /proc/1/comm");
    let words: Vec<&str> = seen.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "0", "500000", "65536", "0", "500000", "65536", "sleep"]);
    // the program's own, not the monitor's, and not the helper's that prepared it
    assert_ne!(read_link(format!("/proc/{pid}/ns/user")).unwrap(), read_link("/proc/self/ns/user").unwrap());
    let monitor = rig.hello.pid;
    assert_eq!(read_link(format!("/proc/{monitor}/ns/user")).unwrap(), read_link("/proc/self/ns/user").unwrap());
}

#[test]
fn every_namespace_belongs_to_it() {
    let (rig, _, pid) = waiting(|_| {});
    let user = metadata(format!("/proc/{pid}/ns/user")).unwrap().ino();
    for name in ["net", "ipc", "uts", "mnt", "pid", "cgroup"] {
        assert_eq!(owner(&format!("/proc/{pid}/ns/{name}")), user, "{name}");
    }
    assert_eq!(owner(rig.pin().to_str().unwrap()), user);
}

#[test]
fn files_keep_their_ids_on_disk() {
    let (mut rig, bundle, _) = waiting(|_| {});
    let seen = look(
        &mut rig,
        &bundle,
        "stat -c %u:%g /bin/busybox /etc/passwd; touch /made; mkdir /tmp/d; chown 33:34 /tmp/d; stat -c %u:%g /made \
         /tmp/d; echo x >> /etc/passwd; rm /bin/tty; stat -c %u /etc/passwd",
    );
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0:0", "0:0", "0:0", "33:34", "0"]);
    let upper = bundle.dir.join("upper");
    assert_eq!((uid(upper.join("made")), uid(upper.join("tmp/d")), uid(upper.join("etc/passwd"))), (0, 33, 0));
    let lower = rig.dir.join("busybox");
    assert_eq!((uid(lower.join("etc/passwd")), uid(lower.join("bin/busybox"))), (0, 0));
    assert!(lower.join("bin/tty").is_symlink() && !read_to_string(lower.join("etc/passwd")).unwrap().ends_with("x\n"));
}

#[test]
fn volumes_are_shown_by_its_ids_when_asked_for() {
    let mut rig = pod(|_| {});
    let (volume, plain) = (rig.dir.join("volume"), rig.dir.join("plain"));
    for dir in [&volume, &plain] {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join("of-root"), "").unwrap();
    }
    let mut bundle = mapped(rig.script("exec sleep 1000"));
    bundle.mount("/volume", &volume, &["rbind", "rprivate", "rw"]);
    map_last_mount(&mut bundle);
    bundle.mount("/file", &volume.join("of-root"), &["bind", "rprivate", "ro"]);
    map_last_mount(&mut bundle);
    bundle.mount("/plain", &plain, &["rbind", "rprivate", "rw"]);
    rig.run(&bundle);
    let seen = look(
        &mut rig,
        &bundle,
        "stat -c %u /volume/of-root /file /plain/of-root; touch /volume/mine; chown 7 /volume/mine; touch /plain/x \
         2>/dev/null && echo written; touch /file 2>/dev/null && echo changed; true",
    );
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0", "0", "65534"]);
    assert_eq!((uid(volume.join("of-root")), uid(volume.join("mine"))), (0, 7));
}

#[test]
fn a_volume_that_cannot_be_shown_so_is_refused() {
    let mut rig = pod(|_| {});
    let mut bundle = mapped(rig.script("true"));
    bundle.mount("/p", Path::new("/proc/sys/kernel"), &["rbind", "rprivate"]);
    map_last_mount(&mut bundle);
    let error = rig.create(&bundle).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.kind(), Kind::Unsupported, "{failure:?}");
    assert!(failure.detail.contains("/proc/sys/kernel") && failure.detail.contains("idmapped"), "{}", failure.detail);
}

#[test]
fn capabilities_end_at_its_border() {
    let (mut rig, bundle, pid) = waiting(|bundle| {
        let caps = json!(["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_SYS_TIME", "CAP_CHOWN", "CAP_SETUID"]);
        for set in ["bounding", "effective", "permitted"] {
            bundle.spec["process"]["capabilities"][set] = caps.clone();
        }
    });
    let seen = look(
        &mut rig,
        &bundle,
        "mount -t tmpfs t /tmp && echo mounted; hostname inside && hostname; mknod /tmp/null c 1 3 || echo no node; \
         ip link set lo up && echo up; echo 1 > /proc/sys/kernel/sysrq || echo no sysrq; \
         echo a > /dev/null && echo null; head -c 1 /dev/urandom | wc -c",
    );
    let expected = ["mounted", "inside", "no node", "up", "no sysrq", "null", "1"];
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    assert!(read_to_string(format!("/proc/{pid}/status")).unwrap().contains("NoNewPrivs:\t1"));
}

#[test]
fn a_user_that_is_not_root_runs_as_its_host_id() {
    let (mut rig, bundle, pid) = waiting(|bundle| {
        bundle.spec["process"]["user"] = json!({"uid": 1001, "gid": 1002, "additionalGids": [1003]});
        bundle.spec["process"]["capabilities"] = json!({});
        bundle.spec["process"]["args"] = json!(["sh", "-c", "echo out > /dev/stdout; exec sleep 1000"]);
    });
    bundle.await_log("out");
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{}", FIRST + 1001)) && status.contains(&format!("Gid:\t{}", FIRST + 1002)));
    assert!(status.contains(&format!("Groups:\t{}", FIRST + 1003)) && status.contains("CapEff:\t0000000000000000"));
    assert_eq!(
        look(&mut rig, &bundle, "id -u; id -G; echo again > /dev/stdout").replace('\n', " "),
        "1001 1002 1003 again"
    );
}

#[test]
fn a_user_without_an_id_is_refused() {
    let mut rig = pod(|_| {});
    let mut bundle = mapped(rig.script("true"));
    for user in [json!({"uid": COUNT, "gid": 0}), json!({"uid": 0, "gid": 0, "additionalGids": [70000]})] {
        bundle.spec["process"]["user"] = user;
        let error = rig.create(&bundle).unwrap_err();
        assert_eq!(error.failure().unwrap().kind(), Kind::Invalid, "{error:?}");
    }
}

#[test]
fn shared_pids_shm_and_queues_are_the_pods() {
    let mut rig = Rig::start();
    let mut request = rig.sandbox();
    with_users(&mut request);
    request.pid = NamespaceMode::Pod.into();
    let response::Result::CreateSandbox(reply) = rig.client.call(Call::CreateSandbox(request)).unwrap() else {
        unreachable!()
    };
    let status = read_to_string(format!("/proc/{}/status", reply.pause_pid)).unwrap();
    assert!(status.contains(&format!("Uid:\t{}", FIRST + 65534)), "{status}");
    let shared = |mut bundle: Bundle| {
        bundle.request.pid = NamespaceMode::Pod.into();
        mapped(bundle)
    };
    let one = shared(rig.script("echo hello > /dev/shm/x; touch /dev/mqueue/q; exec sleep 1001"));
    let pid = rig.run(&one);
    assert!(alive(pid) && alive(reply.pause_pid));
    let two = shared(rig.script("exec sleep 1000"));
    rig.run(&two);
    let seen = look(
        &mut rig,
        &two,
        "until test -e /dev/mqueue/q; do usleep 1000; done; cat /proc/1/comm /dev/shm/x; stat -c %u /dev/mqueue \
         /dev/shm /dev/shm/x; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 1001'",
    );
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["podwright-pause", "hello", "0", "0", "0", "1"]);
    assert_eq!(owner(&format!("/proc/{pid}/ns/pid")), metadata(format!("/proc/{pid}/ns/user")).unwrap().ino());
}

#[test]
fn sysctls_of_both_namespaces_are_set() {
    let mut rig = pod(|request| {
        for (name, value) in [("net.ipv4.ip_forward", "1"), ("kernel.msgmax", "10000")] {
            request.sysctls.push(Sysctl { name: name.into(), value: value.into() });
        }
    });
    let bundle = mapped(rig.script("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; hostname"));
    assert_eq!(rig.output(&bundle), "1\n10000\nrig\n");
    let mut rig = Rig::start();
    let mut request = rig.sandbox();
    with_users(&mut request);
    request.sysctls.push(Sysctl { name: "net.ipv4.ping_group_range".into(), value: "0 2147483647".into() });
    let error = rig.client.call(Call::CreateSandbox(request)).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::Invalid, "{error:?}");
}

#[test]
fn with_the_hosts_network_sys_is_bound() {
    let mut rig = pod(|request| {
        (request.net, request.uts) = (NamespaceMode::Node.into(), NamespaceMode::Node.into());
        (request.netns_pin, request.hostname) = (String::new(), String::new());
    });
    let mut bundle =
        mapped(rig.script("id -u; ls /sys/class/net/lo/mtu; echo 1 > /sys/class/net/lo/mtu || echo refused"));
    let sys = |mount: &&mut Value| mount["destination"] == "/sys";
    let mount = bundle.spec["mounts"].as_array_mut().unwrap().iter_mut().find(sys).unwrap();
    *mount = json!({"destination": "/sys", "type": "bind", "source": "/sys",
                    "options": ["bind", "rprivate", "nosuid", "noexec", "nodev", "ro"]});
    assert_eq!(rig.output(&bundle), "0\n/sys/class/net/lo/mtu\nrefused\n");
}

#[test]
fn devices_and_terminals_work() {
    let mut rig = pod(|_| {});
    let mut bundle =
        mapped(rig.script("tty; stat -c %u $(tty); test -c /dev/console; test -c /dev/other && echo node"));
    bundle.spec["process"]["terminal"] = json!(true);
    bundle.spec["process"]["user"] = json!({"uid": 12, "gid": 12});
    bundle.request.terminal = true;
    let wanted = json!([{"hostPath": "/dev/fuse", "containerPath": "/dev/other", "permissions": "rw"}]);
    bundle.annotate("podwright.devices", &wanted.to_string());
    bundle.spec["linux"]["resources"] = json!({});
    let (exit, log) = rig.finish(&bundle);
    assert_eq!(exit.exit_code, 0, "{log}");
    assert_eq!(log.replace('\r', ""), "stdout F /dev/pts/0\nstdout F 12\nstdout F node\n");
}

#[test]
fn execs_with_streams_and_ports_work() {
    let (mut rig, mut bundle, _) = waiting(|_| {});
    bundle.spec["process"]["user"] = json!({"uid": 12, "gid": 12});
    rig.begin(tty_of(&bundle, "t", &["sh", "-c", "tty; stat -c %u $(tty); stty size; echo x >/dev/tty"])).unwrap();
    drop(rig.stdin("t"));
    assert_eq!(rest(&mut rig.stdout("t")), "/dev/pts/0\r\n12\r\n31 101\r\nx\r\n");
    assert_eq!(rig.wait_exec("t", 0).unwrap(), 0);
    // its pipes are its user's: it may open them again
    rig.begin(exec_of(&bundle, "p", &["sh", "-c", "cat </dev/stdin >/dev/stdout; id -u >/proc/self/fd/2"])).unwrap();
    send_all(&mut rig.stdin("p"), b"through");
    assert_eq!((rest(&mut rig.stdout("p")).as_str(), rest(&mut rig.stderr("p")).as_str()), ("through", "12\n"));
    assert_eq!(rig.wait_exec("p", 0).unwrap(), 0);
    let failure = rig.port(9).unwrap_err();
    assert_eq!(failure.failure().unwrap().kind(), Kind::FailedPrecondition);
}

#[test]
fn what_the_kernel_cannot_do_is_refused() {
    type Change = fn(&mut CreateSandbox);
    let table: [(&str, Change); 5] = [
        ("the host's pids", |r| r.pid = NamespaceMode::Node.into()),
        ("the host's ipc", |r| r.ipc = NamespaceMode::Node.into()),
        ("no ids", |r| r.user = Some(UserNamespace::default())),
        ("no root", |r| {
            r.user.as_mut().unwrap().uids = Some(IdMapping { inside: 1, outside: FIRST, count: 10 });
        }),
        ("ids above the largest", |r| {
            r.user.as_mut().unwrap().gids = Some(IdMapping { inside: 0, outside: u32::MAX - 5, count: 6 });
        }),
    ];
    let mut rig = Rig::start();
    for (name, change) in table {
        let mut request = rig.sandbox();
        with_users(&mut request);
        change(&mut request);
        let error = rig.client.call(Call::CreateSandbox(request)).unwrap_err();
        assert_eq!(error.failure().unwrap().kind(), Kind::Invalid, "{name}");
    }
    // a spec that says otherwise than the pod
    let mut rig = pod(|_| {});
    let bundle = rig.script("true");
    assert_eq!(rig.create(&bundle).unwrap_err().failure().unwrap().kind(), Kind::Invalid);
    let mut bundle = mapped(bundle);
    bundle.request.container_id += "-other";
    bundle.spec["linux"]["gidMappings"][0]["hostID"] = json!(1);
    assert_eq!(rig.create(&bundle).unwrap_err().failure().unwrap().kind(), Kind::Invalid);
    let mut plain = Rig::ready();
    let bundle = mapped(plain.script("true"));
    assert_eq!(plain.create(&bundle).unwrap_err().failure().unwrap().kind(), Kind::Invalid);
}

#[test]
fn a_short_program_and_a_missing_one_end_as_anywhere() {
    let mut rig = pod(|_| {});
    let bundle = mapped(rig.bundle(&["true"]));
    assert_eq!(rig.finish(&bundle).0.exit_code, 0);
    let bundle = mapped(rig.bundle(&["/nowhere"]));
    rig.create(&bundle).unwrap();
    let error = rig.start_container(&bundle.id).unwrap_err();
    assert!(error.failure().unwrap().detail.contains("no such file"), "{error:?}");
    assert_eq!(rig.exit_of(&bundle.id).exit_code, 128);
}

#[test]
fn ports_of_the_pod_are_reached() {
    let (mut rig, bundle, _) = waiting(|bundle| {
        let serve = "ip link set lo up; echo up; echo served | nc -l -p 8080; sleep 1000";
        bundle.spec["process"]["args"] = json!(["sh", "-c", serve]);
        for set in ["bounding", "effective", "permitted"] {
            bundle.spec["process"]["capabilities"][set] = json!(["CAP_NET_ADMIN"]);
        }
    });
    bundle.await_log("up");
    look(&mut rig, &bundle, "until grep -q ':1F90 .* 0A ' /proc/net/tcp /proc/net/tcp6; do usleep 1000; done");
    assert_eq!(rest(&mut rig.port(8080).unwrap()), "served\n");
}

#[test]
fn a_hung_source_is_named_and_given_up() {
    let mut rig = pod(|_| {});
    let fuse = Fuse::silent(rig.dir.join("silent"));
    let mut bundle = mapped(rig.script("true"));
    bundle.mount("/hung", &fuse.dir, &["rbind", "rprivate"]);
    map_last_mount(&mut bundle);
    // by then it has come that far, on a busy machine too
    bundle.request.deadline_ms = 5000;
    let error = rig.create(&bundle).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.kind(), Kind::DeadlineExceeded, "{failure:?}");
    assert!(failure.detail.contains(fuse.dir.to_str().unwrap()), "{}", failure.detail);
    let other = mapped(rig.script("echo fine"));
    assert_eq!(rig.output(&other), "fine\n");
}

#[test]
fn a_cgroup_that_may_be_written_is_the_containers_own_to_divide() {
    let cgroup = Cgroup::make("userns");
    {
        let mut rig = pod(|_| {});
        let mut bundle = mapped(rig.script(
            "cd /sys/fs/cgroup/unified && mkdir sub && echo 1 > sub/cgroup.procs && cat /proc/self/cgroup | grep ^0: && \
             echo 1 > cgroup.procs && rmdir sub; echo 0 > cgroup.freeze || echo limits are not",
        ));
        bundle.request.cgroup = Some(cgroup.facts.clone());
        for mount in bundle.spec["mounts"].as_array_mut().unwrap() {
            if mount["type"] == "cgroup" {
                mount["options"] = json!(["nosuid", "noexec", "nodev", "rw"]);
            }
        }
        assert_eq!(rig.output(&bundle), "0::/sub\nlimits are not\n");
        let mut bundle = mapped(rig.script("mkdir /sys/fs/cgroup/unified/sub || echo shut"));
        bundle.request.cgroup = Some(cgroup.facts.clone());
        assert_eq!(rig.output(&bundle), "shut\n");
    }
}

#[test]
fn the_probe_tells_the_truth_and_leaves_nothing() {
    let rig = Rig::start();
    let (store, state) = (rig.dir.join("store"), rig.dir.join("state"));
    for dir in [&store, &state] {
        // what a probe that was killed has left is in nobody's way
        std::fs::create_dir_all(dir.join("user-namespaces-probe/lower")).unwrap();
    }
    let probe = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podwright-monitor"));
        let ended = command.arg("probe").arg("--store").arg(&store).arg("--state").arg(&state).output().unwrap();
        for dir in [&store, &state] {
            assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "{dir:?}");
        }
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    assert_eq!(probe(), (Some(0), String::new()));
    // a file system without idmapped mounts
    rustix::mount::mount("ramfs", &state, "ramfs", rustix::mount::MountFlags::empty(), None).unwrap();
    let (code, why) = probe();
    rustix::mount::unmount(&state, rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("idmapped mounts"), "{why}");
}
