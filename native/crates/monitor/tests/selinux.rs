//! SELinux contexts as the kernel has them. For a machine that enforces the policy of test/helpers/selinux-policy.ts:
//! `hack/vm/selinux-tests.sh` runs them in one.

#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

mod rig;

use podwright_protocol::message::Relabel;
use podwright_protocol::message::failure::Kind;
use rig::Rig;
use rig::bundle::Bundle;
use rig::users::{mapped, with_users};
use serde_json::json;
use std::path::Path;

const PROCESS: &str = "system_u:system_r:container_t:s0:c3,c7";
const FILES: &str = "system_u:object_r:container_file_t:s0:c3,c7";

/// A rig whose pod has the level of these.
fn labelled() -> Rig {
    Rig::ready_with(|sandbox| sandbox.mount_label = FILES.into())
}

fn script(rig: &mut Rig, text: &str) -> Bundle {
    let mut bundle = rig.script(text);
    bundle.spec["process"]["selinuxLabel"] = json!(PROCESS);
    bundle.spec["linux"]["mountLabel"] = json!(FILES);
    bundle
}

fn context_of(path: &Path) -> String {
    let mut value = [0; 4096];
    let size = rustix::fs::lgetxattr(path, "security.selinux", &mut value[..]).unwrap();
    String::from_utf8_lossy(&value[..size]).trim_end_matches('\0').into()
}

#[test]
#[ignore = "needs a kernel that enforces SELinux: hack/vm/selinux-tests.sh"]
fn a_program_its_commands_and_its_mounts_have_their_contexts() {
    let mut rig = labelled();
    let bundle = script(&mut rig, "cat /proc/self/attr/current; echo; cat /proc/self/mountinfo");
    let said = rig.output(&bundle);
    assert_eq!(said.lines().next().unwrap().trim_end_matches('\0'), PROCESS);
    for at in ["/", "/dev", "/dev/pts", "/dev/shm", "/sys/firmware"] {
        let line = said.lines().rfind(|line| line.split(' ').nth(4) == Some(at)).unwrap();
        assert!(line.contains(&format!("context=\"{FILES}\"")), "{line}");
    }
    let mut bundle = script(&mut rig, "sleep 100");
    rig.run(&bundle);
    let reply = rig.exec(&bundle, &["cat", "/proc/self/attr/current"], |_| {}).unwrap();
    assert_eq!(String::from_utf8_lossy(&reply.stdout).trim_end_matches('\0'), PROCESS);
    bundle.spec["process"]["selinuxLabel"] = json!("system_u:system_r:no_such_t:s0");
    let error = rig.exec(&bundle, &["true"], |_| {}).unwrap_err();
    assert_eq!(error.failure().unwrap().kind(), Kind::Invalid);
}

#[test]
#[ignore = "needs a kernel that enforces SELinux: hack/vm/selinux-tests.sh"]
fn a_pod_with_a_user_namespace_has_its_contexts_too() {
    let mut rig = Rig::ready_with(|sandbox| {
        sandbox.mount_label = FILES.into();
        with_users(sandbox);
    });
    // the first container labels the message queues, the second one finds them labelled
    for _ in 0..2 {
        let bundle = mapped(script(&mut rig, "exec sleep 100"));
        let pid = rig.run(&bundle);
        let reply = rig.exec(&bundle, &["cat", "/proc/1/attr/current"], |_| {}).unwrap();
        assert_eq!(String::from_utf8_lossy(&reply.stdout).trim_end_matches('\0'), PROCESS);
        for at in ["", "dev", "dev/shm", "dev/mqueue", "bin/busybox"] {
            assert_eq!(context_of(&Path::new(&format!("/proc/{pid}/root")).join(at)), FILES, "/{at}");
        }
    }
}

#[test]
#[ignore = "needs a kernel that enforces SELinux: hack/vm/selinux-tests.sh"]
fn a_volume_gets_the_context_and_another_level_is_kept_off_it() {
    let mut rig = labelled();
    // a disk: what lies in the guest's memory has no contexts of its own
    let dir = Path::new("/var/lib/testbed").join(format!("podwright-selinux-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("volume/sub")).unwrap();
    std::fs::write(dir.join("volume/sub/file"), "secret").unwrap();
    std::fs::write(dir.join("outside"), "").unwrap();
    std::os::unix::fs::symlink("../outside", dir.join("volume/link")).unwrap();
    std::os::unix::fs::symlink("volume", dir.join("way")).unwrap();
    let relabel = |label: &str, source: &Path| Relabel {
        label: label.into(),
        sources: vec![source.to_str().unwrap().into()],
        refused: vec!["/".into(), "/etc".into()],
        refused_trees: vec!["/usr".into()],
        ..Relabel::default()
    };
    let mut bundle = script(&mut rig, "cat /volume/sub/file; echo");
    bundle.mount("/volume", &dir.join("way"), &["rbind"]);
    bundle.request.relabel = Some(relabel(FILES, &dir.join("way")));
    assert_eq!(rig.output(&bundle), "secret\n");
    for path in ["volume", "volume/sub", "volume/sub/file", "volume/link"] {
        assert_eq!(context_of(&dir.join(path)), FILES, "{path}");
    }
    assert_ne!(context_of(&dir.join("outside")), FILES);

    let mut bundle = script(&mut rig, "cat /volume/sub/file || echo refused");
    bundle.spec["process"]["selinuxLabel"] = json!(PROCESS.replace("c3,c7", "c4,c8"));
    bundle.spec["linux"]["mountLabel"] = json!(FILES.replace("c3,c7", "c4,c8"));
    bundle.mount("/volume", &dir.join("volume"), &["rbind"]);
    assert!(rig.output(&bundle).ends_with("refused\n"));

    for source in ["/etc", "/usr/share"] {
        let source = Path::new(source);
        let before = context_of(source);
        let mut bundle = script(&mut rig, "true");
        bundle.mount("/volume", source, &["rbind"]);
        bundle.request.relabel = Some(relabel(FILES, source));
        let error = rig.create(&bundle).unwrap_err();
        assert_eq!(error.failure().unwrap().kind(), Kind::Invalid, "{source:?}");
        assert_eq!(context_of(source), before);
    }
    std::fs::remove_dir_all(dir).unwrap();
}
