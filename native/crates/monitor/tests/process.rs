//! Users, capabilities, limits, filters, environment and the terminal, seen from inside.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{NamespaceMode, StopContainer, Sysctl};
use rig::Rig;
use serde_json::json;
use std::time::Duration;

/// A filter that lets everything pass but gives uname(2) the errno 38 (ENOSYS).
fn no_uname() -> Vec<u8> {
    // and nothing that old profiles do not have and the child could need: close_range, pidfd_open, openat2
    let filter: [(u16, u8, u8, u32); 8] = [
        (0x20, 0, 0, 0),           // load the system call's number
        (0x15, 5, 0, 63),          // uname on x86_64
        (0x15, 3, 0, 436),         // close_range
        (0x15, 2, 0, 434),         // pidfd_open
        (0x15, 1, 0, 437),         // openat2
        (0x06, 0, 0, 0x7fff_0000), // allow
        (0x06, 0, 0, 0x0005_0001), // errno 1
        (0x06, 0, 0, 0x0005_0026), // errno 38
    ];
    let mut bytes = Vec::new();
    for (code, jt, jf, k) in filter {
        bytes.extend(code.to_ne_bytes());
        bytes.extend([jt, jf]);
        bytes.extend(k.to_ne_bytes());
    }
    bytes
}

const STATUS: &str =
    "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|SigBlk|SigIgn)' /proc/self/status | tr '\\t' ' '";

#[test]
fn root_with_the_usual_capabilities() {
    let mut rig = Rig::ready();
    let bundle = rig.script(STATUS);
    let out = rig.output(&bundle);
    let expected = "Uid: 0 0 0 0\nGid: 0 0 0 0\nGroups:  \nSigBlk: 0000000000000000\nSigIgn: 0000000000000000\n\
                    CapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\n\
                    CapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 0\n";
    assert_eq!(out, expected);
}

#[test]
fn another_user_with_groups_and_ambient_capabilities() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script(&format!(
        "{STATUS}; id -u; umask; touch /tmp/own && stat -c '%u %g %a' /tmp/own; echo x > /dev/stdout"
    ));
    std::fs::set_permissions(rig.dir.join("busybox/tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o1777))
        .unwrap();
    bundle.spec["process"]["user"] = json!({"uid": 1000, "gid": 2000, "additionalGids": [10, 20], "umask": 0o027});
    let net = json!(["CAP_NET_BIND_SERVICE"]);
    for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
        bundle.spec["process"]["capabilities"][set] = net.clone();
    }
    let out = rig.output(&bundle);
    for line in [
        "Uid: 1000 1000 1000 1000\n",
        "Gid: 2000 2000 2000 2000\n",
        "Groups: 10 20 \n",
        "CapInh: 0000000000000400\n",
        "CapPrm: 0000000000000400\n",
        "CapEff: 0000000000000400\n",
        "CapBnd: 0000000000000400\n",
        "CapAmb: 0000000000000400\n",
        "1000\n0027\n1000 2000 640\nx\n",
    ] {
        assert!(out.contains(line), "{line}{out}");
    }
    // without them, a user has none
    let mut bundle = rig.script(STATUS);
    bundle.spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let caps = rig::bundle::usual_capabilities();
    bundle.spec["process"]["capabilities"] = json!({"bounding": caps});
    let out = rig.output(&bundle);
    assert!(out.contains("CapPrm: 0000000000000000") && out.contains("CapBnd: 00000000a80425fb"), "{out}");
}

#[test]
fn filters_load_with_and_without_no_new_privs() {
    let mut rig = Rig::ready_with(|r| r.pid = NamespaceMode::Pod.into());
    for (no_new_privileges, pid) in [
        (true, NamespaceMode::Container),
        (false, NamespaceMode::Container),
        (true, NamespaceMode::Pod),
        (false, NamespaceMode::Pod),
    ] {
        let mut bundle = rig.bundle(&["sh", "-c", &format!("{STATUS}; sleep 100")]);
        std::os::unix::fs::symlink("busybox", rig.dir.join("busybox/bin/uname"))
            .or_else(|e| if e.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })
            .unwrap();
        bundle.request.pid = pid.into();
        bundle.request.seccomp_bpf = no_uname();
        bundle.spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
        rig.run(&bundle);
        let change = |r: &mut podwright_protocol::message::ExecSync| r.seccomp_bpf = no_uname();
        let reply = rig.exec(&bundle, &["sh", "-c", &format!("{STATUS}; uname")], change).unwrap();
        let out = String::from_utf8(reply.stdout).unwrap();
        let nnp = if no_new_privileges { "NoNewPrivs: 1\nSeccomp: 2\n" } else { "NoNewPrivs: 0\nSeccomp: 2\n" };
        assert!(out.contains(nnp) && !out.contains("Linux"), "{out}");
        bundle.await_log("Seccomp");
        let log = bundle.log().replace("stdout F ", "");
        assert!(log.contains(nnp), "{log}");
    }
    let mut bundle = rig.bundle(&["true"]);
    bundle.request.seccomp_bpf = vec![1, 2, 3];
    rig.create(&bundle).unwrap();
    assert!(rig.start_container(&bundle.id).unwrap_err().to_string().contains("seccomp"));
}

#[test]
fn limits_and_scores_are_set_or_clamped_with_a_note() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("ulimit -n; ulimit -c; ulimit -Hn; cat /proc/self/oom_score_adj");
    bundle.spec["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 9_999_999},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]);
    bundle.spec["process"]["oomScoreAdj"] = json!(-997);
    let created = rig.create(&bundle).unwrap();
    rig.start_container(&bundle.id).unwrap();
    rig.exit_of(&bundle.id);
    let out = bundle.log().replace("stdout F ", "");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["1024", "0"]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let held = status.lines().find_map(|l| l.strip_prefix("CapPrm:\t")).unwrap();
    if u64::from_str_radix(held, 16).unwrap() & (1 << 24) == 0 {
        assert_eq!(lines[3], "0");
        assert!(
            created.notes.iter().any(|n| n == "oom_score_adj -997 clamped to 0: no CAP_SYS_RESOURCE"),
            "{:?}",
            created.notes
        );
        assert!(
            created.notes.iter().any(|n| n.contains("rlimit Nofile hard 9999999 clamped to")),
            "{:?}",
            created.notes
        );
    } else {
        assert_eq!(lines[3], "-997");
    }
    let mut bundle = rig.script("cat /proc/self/oom_score_adj");
    bundle.spec["process"]["oomScoreAdj"] = json!(321);
    bundle.request.pid = NamespaceMode::Node.into();
    assert_eq!(rig.output(&bundle), "321\n");
}

#[test]
fn an_exec_has_the_score_of_its_container() {
    let mut rig = Rig::ready();
    let mut bundle = rig.script("sleep 100");
    bundle.spec["process"]["oomScoreAdj"] = json!(500);
    rig.run(&bundle);
    bundle.spec["process"].as_object_mut().unwrap().remove("oomScoreAdj");
    assert_eq!(rig.exec(&bundle, &["cat", "/proc/self/oom_score_adj"], |_| {}).unwrap().stdout, b"500\n");
}

#[test]
fn environment_directory_and_names() {
    let mut rig = Rig::ready_with(|r| {
        r.sysctls.push(Sysctl { name: "net.ipv4.ip_unprivileged_port_start".into(), value: "7".into() });
    });
    let script =
        "env | sort; pwd; hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; stat -c %a /made/for/it";
    std::os::unix::fs::symlink("busybox", {
        let lower = rig.dir.join("busybox");
        rig::bundle::busybox_root(&lower);
        lower.join("bin/sort")
    })
    .unwrap();
    let mut bundle = rig.script(script);
    bundle.spec["process"]["env"] = json!(["PATH=/bin", "A=b c", "EMPTY=", "BAD"]);
    bundle.spec["process"]["cwd"] = json!("/made/for/it");
    let out = rig.output(&bundle);
    assert!(out.contains("A=b c\n") && out.contains("EMPTY=\n") && out.contains("PATH=/bin\n"), "{out}");
    assert!(out.ends_with("/made/for/it\nrig\n7\n755\n"), "{out}");
}

#[test]
fn a_directory_outside_is_refused() {
    let mut rig = Rig::ready();
    let running = rig.script("sleep 100");
    rig.run(&running);
    for number in 3..12 {
        let mut bundle = rig.bundle(&["true"]);
        bundle.spec["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let created = rig.create(&bundle);
        if created.is_ok() {
            assert!(rig.start_container(&bundle.id).is_err(), "{number}");
        }
        let mut process = running.spec["process"].clone();
        process["args"] = json!(["cat", "../../../etc/shadow"]);
        process["cwd"] = json!(format!("/proc/self/fd/{number}"));
        assert!(rig.exec(&running, &[], |r| r.process = process.to_string()).is_err(), "{number}");
    }
}

#[test]
fn a_terminal_is_the_containers_own() {
    let mut rig = Rig::ready();
    let mut bundle =
        rig.script("tty; stty size; stat -c '%u %t' /dev/console; echo err >&2; test -t 0 && test -t 2 && echo tty; echo >/dev/tty c");
    bundle.spec["process"]["terminal"] = json!(true);
    bundle.spec["process"]["consoleSize"] = json!({"height": 33, "width": 99});
    bundle.spec["process"]["user"] = json!({"uid": 77, "gid": 77});
    bundle.request.terminal = true;
    let (exit, log) = rig.finish(&bundle);
    assert_eq!(exit.exit_code, 0, "{log}");
    let expected = "stdout F /dev/pts/0\nstdout F 33 99\nstdout F 77 88\nstdout F err\nstdout F tty\nstdout F c\n";
    assert_eq!(log, expected);
    let raw = std::fs::read_to_string(bundle.dir.join("logs/0.log")).unwrap();
    assert_eq!(raw.matches("\r\n").count(), 6);
}

#[test]
fn standard_input_is_null_or_stays_open() {
    let mut rig = Rig::ready();
    let bundle = rig.script("cat; echo end");
    assert_eq!(rig.output(&bundle), "end\n");
    let mut bundle = rig.script("cat; echo end");
    bundle.request.stdin = true;
    rig.run(&bundle);
    assert!(rig.client.event(Duration::from_millis(300)).unwrap().is_none());
    let stop = StopContainer { container_id: bundle.id.clone(), signal: 9, timeout_ms: 0 };
    rig.client.call(Call::StopContainer(stop)).unwrap();
}

#[test]
fn wrong_processes_are_refused() {
    let mut rig = Rig::ready();
    for (pointer, value, kind) in [
        ("args", json!([]), Kind::Invalid),
        ("cwd", json!("relative"), Kind::Invalid),
        ("terminal", json!(true), Kind::Invalid),
        ("rlimits", json!([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]), Kind::Invalid),
        ("selinuxLabel", json!("u:r:t\n"), Kind::Invalid),
    ] {
        let mut bundle = rig.bundle(&["true"]);
        bundle.spec["process"][pointer] = value;
        assert_eq!(rig.create(&bundle).unwrap_err().failure().unwrap().kind(), kind, "{pointer}");
    }
    let bundle = rig.bundle(&["true"]);
    std::fs::write(bundle.dir.join("config.json"), "{").unwrap();
    let error = rig.client.call(Call::CreateContainer(bundle.request.clone())).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::Invalid);
}
