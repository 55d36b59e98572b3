//! Batch reads on this host. Root only.
#![cfg(feature = "host-tests")]

mod scratch;

use podwright_cgroups::stats::{Clock, StatsReader};
use podwright_cgroups::{Version, group};
use scratch::{MIB, Scratch, Tested};
use std::time::Instant;

#[test]
fn usage_is_what_processes_used() -> Tested {
    let s = Scratch::new(|r| {
        r.memory_limit_bytes = Some(200 * MIB);
        r.memory_swap_limit_bytes = Some(200 * MIB);
        r.pids_limit = Some(50);
    })?;
    let mut reader = StatsReader::new(s.layout.clone(), 100);
    let mut shell = s.sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; x=$(head -c 20000000 /dev/zero | tr '\\0' a); echo; sleep 30")?;
    scratch::wait_until("20 MB held", || {
        reader
            .read(std::slice::from_ref(&s.path))
            .is_ok_and(|s| s[0].as_ref().and_then(|s| s.memory).is_some_and(|m| m.rss > 20_000_000))
    });
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as u64;
    let stats = reader.read(&[s.path.clone(), "/podwright-test-none-such".into()])?;
    assert_eq!(stats[1], None);
    let one = stats[0].as_ref().ok_or("no usage")?;
    assert!(one.timestamp_ns >= before);
    assert!(one.cpu.is_some_and(|c| c.usage_ns > 10_000_000), "{:?}", one.cpu);
    let memory = one.memory.ok_or("no memory")?;
    assert!(memory.usage >= memory.rss && memory.working_set <= memory.usage && memory.page_faults > 1000);
    assert_eq!(memory.available, Some(200 * MIB as u64 - memory.working_set));
    let pids = one.pids.ok_or("no pids")?;
    assert!(pids.current >= 1 && pids.limit == Some(50));
    assert_eq!(one.psi.is_some(), s.layout.version != Version::V1);
    shell.kill()?;
    shell.wait()?;
    Ok(())
}

#[test]
fn cpu_time_burnt_between_two_reads_is_seen() -> Tested {
    let s = Scratch::new(|_| ())?;
    let mut reader = StatsReader::new(s.layout.clone(), 100);
    let mut usage = || -> Tested<u64> {
        let stats = reader.read(std::slice::from_ref(&s.path))?;
        Ok(stats[0].as_ref().and_then(|s| s.cpu).ok_or("no cpu")?.usage_ns)
    };
    let before = usage()?;
    s.run("timeout 1 sh -c 'while :; do :; done'")?;
    assert!(usage()? - before > 30_000_000);
    Ok(())
}

#[test]
fn open_files_are_bounded_and_a_remade_group_is_seen() -> Tested {
    let s = Scratch::new(|_| ())?;
    let paths: Vec<String> = (0..10).map(|at| format!("{}/c{at}", s.path)).collect();
    for path in &paths {
        group::create(&s.layout, path, None)?;
    }
    let mut reader = StatsReader::new(s.layout.clone(), 60);
    for _ in 0..3 {
        assert!(reader.read(&paths)?.iter().all(Option::is_some));
        assert!(reader.open_files() <= 60, "{}", reader.open_files());
    }
    let last = &paths[9..];
    group::remove(&s.layout, &paths[9])?;
    assert_eq!(reader.read(last)?, [None]);
    group::create(&s.layout, &paths[9], None)?;
    assert!(reader.read(last)?[0].is_some());
    reader.forget(&s.path);
    assert_eq!(reader.open_files(), 0);
    Ok(())
}

#[test]
fn a_hundred_groups_are_read_by_several_threads_each_once() -> Tested {
    let s = Scratch::new(|_| ())?;
    let mut paths: Vec<String> = (0..100).map(|at| format!("{}/c{at}", s.path)).collect();
    for path in &paths {
        group::create(&s.layout, path, None)?;
    }
    paths.push("/podwright-test-none-such".into());
    paths.push(paths[0].clone());
    let mut reader = StatsReader::new(s.layout.clone(), 4096);
    let mut best = u128::MAX;
    let mut open = 0;
    for round in 0..5 {
        let begin = Instant::now();
        let read = reader.read(&paths)?;
        best = best.min(begin.elapsed().as_micros());
        assert!(read[..100].iter().all(Option::is_some));
        assert_eq!((&read[100], &read[101]), (&None, &read[0]), "the same one is read once");
        assert!(round == 0 || open == reader.open_files(), "files stay open");
        open = reader.open_files();
    }
    println!("100 cgroups in {best} us, {open} open files");
    let answer = reader.usage(&paths, &paths[..1], Clock::set_to(7, Instant::now()))?;
    let mut lengths = Vec::new();
    let mut rest = answer.as_slice();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        lengths.push(length);
        rest = &after[length..];
    }
    assert_eq!(lengths.len(), 103);
    assert!(lengths.iter().enumerate().all(|(at, length)| (*length == 0) == (at == 100)), "{lengths:?}");
    assert_eq!(reader.open_files(), open, "a part of the files is enough");
    Ok(())
}
