//! Listing, freezing, killing and removing on this host. Root only.
#![cfg(feature = "host-tests")]

mod scratch;

use podwright_cgroups::kill::{KillTarget, kill_once, kill_until_empty};
use podwright_cgroups::{CgroupError, freeze, group, procs};
use scratch::{Scratch, Tested, wait_until};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn processes_below_are_listed_too() -> Tested {
    let parent = Scratch::new(|_| ())?;
    let child = Scratch::at(&format!("{}/inner", parent.path), |_| ())?;
    let mut sleeper = child.sh("exec sleep 30")?;
    assert_eq!(group::procs(&parent.layout, &parent.path)?, [sleeper.id() as i32]);
    sleeper.kill()?;
    sleeper.wait()?;
    assert!(group::procs(&parent.layout, &parent.path)?.is_empty());
    assert!(group::procs(&parent.layout, "/podwright-test-none-such")?.is_empty());
    Ok(())
}

#[test]
fn a_group_that_forks_is_killed_whole() -> Tested {
    let s = Scratch::new(|r| r.pids_limit = Some(200))?;
    let forker = "f() { while :; do (sleep 30) & sleep 0.01; done; }; f & f & f & wait";
    for freezer_only in [false, true] {
        let mut shell = s.sh(forker)?;
        wait_until("some forks", || group::procs(&s.layout, &s.path).is_ok_and(|p| p.len() > 12));
        let mut target = KillTarget::from(&s.facts);
        if freezer_only {
            target.kill_file = "";
        }
        kill_until_empty(target, SOON)?;
        shell.wait()?;
        assert!(group::procs(&s.layout, &s.path)?.is_empty());
    }
    Ok(())
}

#[test]
fn one_kill_reaches_a_frozen_group() -> Tested {
    let s = Scratch::new(|_| ())?;
    let mut sleeper = s.sh("sleep 30 & sleep 30")?;
    let freezer = Path::new(&s.facts.freezer_dir);
    if !s.facts.freezer_dir.is_empty() {
        assert!(freeze::freeze_v1(freezer, SOON)?);
        freeze::thaw_v1(freezer)?;
    }
    if !s.facts.kill_file.is_empty() {
        let unified = Path::new(&s.facts.place.unified_dir);
        assert!(freeze::freeze_v2(unified, SOON)?);
    }
    kill_once(KillTarget::from(&s.facts))?;
    sleeper.wait()?;
    wait_until("the group to empty", || procs::list(Path::new(&s.facts.procs_dir)).is_ok_and(|p| p.is_empty()));
    Ok(())
}

#[test]
fn what_is_gone_needs_no_killing() -> Tested {
    let s = Scratch::new(|_| ())?;
    group::remove(&s.layout, &s.path)?;
    kill_once(KillTarget::from(&s.facts))?;
    kill_until_empty(KillTarget::from(&s.facts), SOON)?;
    group::kill(&s.layout, &s.path, SOON)?;
    group::remove(&s.layout, &s.path)?;
    Ok(())
}

#[test]
fn a_group_is_removed_with_what_is_below_and_not_with_processes() -> Tested {
    let s = Scratch::new(|_| ())?;
    let (inner, _) = group::create(&s.layout, &format!("{}/a/b", s.path), None)?;
    assert!(Path::new(&inner.procs_dir).is_dir());
    let mut sleeper = s.sh("exec sleep 30")?;
    let refused = group::remove(&s.layout, &s.path);
    assert!(matches!(&refused, Err(CgroupError::Sys(e)) if e.errno == libc::EBUSY), "{refused:?}");
    sleeper.kill()?;
    sleeper.wait()?;
    group::remove(&s.layout, &s.path)?;
    let left: Vec<_> =
        s.layout.v1_dirs(&s.path).into_iter().chain(s.layout.unified_dir(&s.path)).filter(|d| d.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn a_name_that_leaves_the_tree_is_refused() -> Tested {
    let layout = podwright_cgroups::Layout::detect()?;
    for path in ["/", "/../x", "/a/../../b", "a"] {
        assert!(matches!(group::remove(&layout, path), Err(CgroupError::Path { .. })), "{path}");
        assert!(matches!(group::create(&layout, path, None), Err(CgroupError::Path { .. })), "{path}");
    }
    Ok(())
}
