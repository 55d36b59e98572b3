//! Limits as the kernel enforces them on this host. Root only.
#![cfg(feature = "host-tests")]

mod scratch;

use podwright_cgroups::stats::StatsReader;
use podwright_cgroups::{CgroupError, HugepageLimit, Resources, Version, group, oom};
use scratch::{MIB, Scratch, Tested, wait_until};
use std::path::Path;

#[test]
fn limits_are_applied_and_read_back() -> Tested {
    let s = Scratch::new(|r| {
        r.cpu_shares = Some(512);
        r.cpu_quota = Some(50_000);
        r.cpu_period = Some(100_000);
        r.cpuset_cpus = "0".into();
        r.memory_limit_bytes = Some(64 * MIB);
        r.memory_swap_limit_bytes = Some(64 * MIB);
        r.pids_limit = Some(20);
        r.hugepage_limits = vec![HugepageLimit { page_size: "2MB".into(), limit: 0 }];
    })?;
    let read = group::read(&s.layout, &s.path)?;
    assert_eq!((read.cpu_shares, read.cpu_quota, read.cpu_period), (Some(512), Some(50_000), Some(100_000)));
    assert_eq!((read.memory_limit_bytes, read.pids_limit), (Some(64 * MIB), Some(20)));
    assert_eq!(read.cpuset_cpus, "0");
    assert_eq!(read, s.actual);
    // Raised and lowered: v1 keeps the limit of both above that of memory at every moment.
    for memory in [256, 32, 128] {
        let actual = s.update(|r| {
            r.memory_limit_bytes = Some(memory * MIB);
            r.memory_swap_limit_bytes = Some(memory * MIB);
        })?;
        assert_eq!(actual.memory_limit_bytes, Some(memory * MIB));
        assert_eq!(actual.memory_swap_limit_bytes, Some(memory * MIB));
        assert_eq!(actual.cpu_shares, Some(512));
    }
    // Memory alone: the room for swap stays what it was.
    let actual = s.update(|r| r.memory_limit_bytes = Some(512 * MIB))?;
    assert_eq!(actual.memory_swap_limit_bytes, Some(512 * MIB));
    let actual = s.update(|r| {
        r.memory_limit_bytes = Some(-1);
        r.cpu_quota = Some(-1);
        r.pids_limit = Some(-1);
    })?;
    assert_eq!((actual.memory_limit_bytes, actual.cpu_quota, actual.pids_limit), (Some(-1), Some(-1), Some(-1)));
    Ok(())
}

#[test]
fn a_fork_above_the_pids_limit_fails() -> Tested {
    let s = Scratch::new(|r| r.pids_limit = Some(4))?;
    let (_, errors) = s.run("for i in 1 2 3 4 5 6 7 8; do sleep 2 & done; wait")?;
    assert!(errors.to_lowercase().contains("fork"), "{errors}");
    Ok(())
}

#[test]
fn memory_above_the_limit_kills_and_is_counted() -> Tested {
    let s = Scratch::new(|r| {
        r.memory_limit_bytes = Some(16 * MIB);
        r.memory_swap_limit_bytes = Some(16 * MIB);
    })?;
    let events = Path::new(&s.facts.memory_events);
    assert_eq!(oom::kills(events)?, 0);
    let (code, _) = s.run("x=$(head -c 100000000 /dev/zero | tr '\\0' a); echo ${#x}")?;
    assert_ne!(code, Some(0));
    assert!(oom::kills(events)? >= 1);
    let stats = StatsReader::new(s.layout.clone(), 100).read(std::slice::from_ref(&s.path))?;
    let memory = stats[0].as_ref().and_then(|s| s.memory).ok_or("no memory usage")?;
    // Not failcnt: with both limits equal it is the one of memory and swap that is hit on v1.
    assert!(memory.oom_kills >= 1);
    assert_eq!(memory.limit, Some(16 * MIB as u64));
    assert!(memory.max_usage.is_some_and(|most| most <= 16 * MIB as u64));
    Ok(())
}

#[test]
fn a_cpu_quota_throttles() -> Tested {
    let s = Scratch::new(|r| {
        r.cpu_quota = Some(10_000);
        r.cpu_period = Some(100_000);
    })?;
    let mut spinner = s.sh("while :; do :; done")?;
    let cpu = || -> Tested<_> {
        let stats = StatsReader::new(s.layout.clone(), 100).read(std::slice::from_ref(&s.path))?;
        Ok(stats[0].as_ref().and_then(|s| s.cpu).ok_or("no cpu usage")?)
    };
    // on a busy machine the spinner waits for its turn as well
    let throttled =
        || cpu().is_ok_and(|c| c.quota.is_some_and(|q| q.throttled_periods >= 5 && q.throttled_ns > 100_000_000));
    wait_until("it is throttled", throttled);
    spinner.kill()?;
    spinner.wait()?;
    let cpu = cpu()?;
    let periods = cpu.quota.ok_or("nothing of its quota")?.periods;
    assert!(cpu.usage_ns < (periods + 10) * 20_000_000, "{cpu:?}");
    assert!(cpu.user_ns + cpu.system_ns > 0, "{cpu:?}");
    Ok(())
}

/// Holds 40 MB for as long as nobody reads its output.
const HOLD: &str = "exec dd if=/dev/zero bs=40000000 count=1";

fn wait_until_held(s: &Scratch) {
    wait_until("40 MB held", || {
        let stats = StatsReader::new(s.layout.clone(), 100).read(std::slice::from_ref(&s.path));
        stats.is_ok_and(|s| s[0].as_ref().and_then(|s| s.memory).is_some_and(|m| m.rss >= 40_000_000))
    });
}

#[test]
fn a_memory_limit_below_usage_is_refused_and_nothing_changes() -> Tested {
    let s = Scratch::new(|r| {
        r.memory_limit_bytes = Some(256 * MIB);
        r.memory_swap_limit_bytes = Some(256 * MIB);
        r.cpu_shares = Some(300);
    })?;
    let mut holder = s.sh(HOLD)?;
    wait_until_held(&s);
    let before = group::read(&s.layout, &s.path)?;
    let refused = s.update(|r| {
        r.memory_limit_bytes = Some(8 * MIB);
        r.memory_swap_limit_bytes = Some(8 * MIB);
        r.cpu_shares = Some(700);
    });
    assert!(matches!(refused, Err(CgroupError::MemoryBelowUsage { .. })), "{refused:?}");
    assert_eq!(before.memory_limit_bytes, Some(256 * MIB));
    assert_eq!(group::read(&s.layout, &s.path)?, before);
    assert!(holder.try_wait()?.is_none(), "the holder was killed");
    holder.kill()?;
    holder.wait()?;
    Ok(())
}

#[test]
fn a_limit_that_has_been_outgrown_meanwhile_stays_and_is_told_of() -> Tested {
    let s = Scratch::new(|r| {
        r.memory_limit_bytes = Some(16 * MIB);
        r.memory_swap_limit_bytes = Some(16 * MIB);
    })?;
    let larger = Resources {
        memory_limit_bytes: Some(256 * MIB),
        memory_swap_limit_bytes: Some(256 * MIB),
        ..Resources::default()
    };
    let mut holder = None;
    let refused = group::update_if(&s.layout, &s.path, &larger, || {
        holder = s.sh(HOLD).ok();
        wait_until_held(&s);
        Err(CgroupError::NoCgroups("refused"))
    });
    let mut holder = holder.ok_or("no holder")?;
    let message = refused.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(message.contains("refused; the new memory limit stays: memory limit 16777216 of"), "{message}");
    assert_eq!(group::read(&s.layout, &s.path)?.memory_limit_bytes, Some(256 * MIB));
    assert!(holder.try_wait()?.is_none(), "the holder was killed");
    holder.kill()?;
    holder.wait()?;
    Ok(())
}

#[test]
fn an_update_the_kernel_refuses_half_way_is_taken_back() -> Tested {
    let s = Scratch::new(|r| {
        r.memory_limit_bytes = Some(64 * MIB);
        r.memory_swap_limit_bytes = Some(64 * MIB);
    })?;
    let refused = s.update(|r| {
        r.memory_limit_bytes = Some(128 * MIB);
        r.memory_swap_limit_bytes = Some(128 * MIB);
        r.cpu_period = Some(7);
    });
    assert_eq!(refused.map_err(|e| e.errno()), Err(libc::EINVAL));
    let read = group::read(&s.layout, &s.path)?;
    assert_eq!((read.memory_limit_bytes, read.memory_swap_limit_bytes), (Some(64 * MIB), Some(64 * MIB)));
    Ok(())
}

#[test]
fn a_limit_that_is_outgrown_during_a_failed_update_kills_nobody() -> Tested {
    let limit = |r: &mut Resources, memory| {
        r.memory_limit_bytes = Some(memory * MIB);
        r.memory_swap_limit_bytes = Some(memory * MIB);
    };
    let s = Scratch::new(|r| limit(r, 24))?;
    let go = std::env::temp_dir().join(format!("podwright-go-{}", std::process::id()));
    let mut holder = s.sh(&format!("while ! [ -e {} ]; do sleep 0.05; done; {HOLD}", go.display()))?;
    let mut wanted = Resources::default();
    limit(&mut wanted, 256);
    let refused = group::update_if(&s.layout, &s.path, &wanted, || {
        assert!(std::fs::write(&go, "").is_ok());
        wait_until_held(&s);
        Err(CgroupError::NoCgroups("refused"))
    });
    std::fs::remove_file(&go)?;
    let told = refused.map_err(|e| e.to_string()).err().unwrap_or_default();
    // v1 refuses to go below usage by itself
    assert!(s.layout.version != Version::V2 || told.contains("the new memory limit stays"), "{told}");
    assert_eq!(group::read(&s.layout, &s.path)?.memory_limit_bytes, Some(256 * MIB));
    assert_eq!(oom::kills(Path::new(&s.facts.memory_events))?, 0);
    assert!(holder.try_wait()?.is_none(), "the holder was killed");
    holder.kill()?;
    holder.wait()?;
    Ok(())
}

#[test]
fn unified_keys_need_a_unified_host() -> Tested {
    let s = Scratch::new(|_| ())?;
    let set = s.update(|r| r.unified = [("memory.high".to_owned(), "max".to_owned())].into());
    match s.layout.version {
        Version::V2 => assert_eq!(set?.unified.len(), 1),
        _ => assert!(matches!(set, Err(CgroupError::UnifiedKey { .. }))),
    }
    Ok(())
}

#[test]
fn a_refused_creation_leaves_no_directory() -> Tested {
    let layout = podwright_cgroups::Layout::detect()?;
    let path = format!("/podwright-test-refused-{}/c", std::process::id());
    let wrong = podwright_cgroups::Resources { cpu_period: Some(7), ..Default::default() };
    assert!(group::create(&layout, &path, Some(&wrong)).is_err());
    let parent = path.trim_end_matches("/c");
    let left: Vec<_> =
        layout.v1_dirs(parent).into_iter().chain(layout.unified_dir(parent)).filter(|d| d.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}
