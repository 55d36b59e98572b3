//! Usage as v1 controllers print it.

use super::files::{Missing, Text};
use super::group::Group;
use super::{Cpu, Depth, Hugetlb, Memory, Pids, Quota, Stats, parse};

type Done = std::result::Result<(), Missing>;

/// cpuacct.stat counts in USER_HZ, which is 100 for every Linux program interface.
const TICK_NS: u64 = 10_000_000;

pub(super) fn cpu(group: &mut Group, depth: Depth, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.cpuacct else { return Ok(()) };
    let Some(usage) = files.read(1, dir, "cpuacct.usage", text)? else { return Ok(()) };
    let mut cpu = Cpu { usage_ns: parse::number(usage), ..Cpu::default() };
    if depth != Depth::All {
        stats.cpu = Some(cpu);
        return Ok(());
    }
    if let Some(content) = files.read(2, dir, "cpuacct.stat", text)? {
        parse::keyed(content, |key, value| match key {
            b"user" => cpu.user_ns = value * TICK_NS,
            b"system" => cpu.system_ns = value * TICK_NS,
            _ => {}
        });
    }
    if let Some(dir) = &dirs.cpu
        && let Some(content) = files.read(3, dir, "cpu.stat", text)?
    {
        let mut quota = Quota::default();
        parse::keyed(content, |key, value| match key {
            b"nr_periods" => quota.periods = value,
            b"nr_throttled" => quota.throttled_periods = value,
            b"throttled_time" => quota.throttled_ns = value,
            b"nr_bursts" => quota.burst_periods = Some(value),
            b"burst_time" => quota.burst_ns = Some(value),
            _ => {}
        });
        cpu.quota = Some(quota);
    }
    stats.cpu = Some(cpu);
    Ok(())
}

pub(super) fn memory(group: &mut Group, depth: Depth, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.memory else { return Ok(()) };
    let Some(content) = files.read(10, dir, "memory.stat", text)? else { return Ok(()) };
    let mut memory = Memory::default();
    // the limits of all above it too, each `None` for none: mostly there are none, and the files of its own need no reading
    let mut limit = None;
    let mut swap_counted = None;
    parse::keyed_text(content, |key, value| {
        let into = match key {
            b"total_cache" => &mut memory.cache,
            b"total_rss" => &mut memory.rss,
            b"total_swap" => memory.swap_usage.get_or_insert_default(),
            b"total_pgfault" => &mut memory.page_faults,
            b"total_pgmajfault" => &mut memory.major_page_faults,
            b"pgfault" => memory.own_page_faults.get_or_insert_default(),
            b"pgmajfault" => memory.own_major_page_faults.get_or_insert_default(),
            b"total_mapped_file" => &mut memory.mapped_file,
            b"total_active_file" => &mut memory.active_file,
            b"total_inactive_file" => &mut memory.inactive_file,
            b"hierarchical_memory_limit" => return limit = parse::limit(value),
            b"hierarchical_memsw_limit" => return swap_counted = Some(parse::limit(value)),
            _ => return,
        };
        *into = parse::number(value);
    });
    if let Some(content) = files.read(11, dir, "memory.usage_in_bytes", text)? {
        memory.usage = parse::number(content);
    }
    if limit.is_some()
        && let Some(content) = files.read(12, dir, "memory.limit_in_bytes", text)?
    {
        memory.limit = parse::limit(content);
    }
    match swap_counted {
        None => memory.swap_usage = None,
        Some(None) => {}
        Some(Some(_)) => {
            let both = files.read(15, dir, "memory.memsw.limit_in_bytes", text)?.and_then(parse::limit);
            memory.swap_limit = both.map(|both| both.saturating_sub(memory.limit.unwrap_or(0)));
        }
    }
    if depth == Depth::All {
        peaks(group, text, &mut memory)?;
    }
    memory.derive();
    stats.memory = Some(memory);
    Ok(())
}

/// What metrics tell beyond usage.
fn peaks(group: &mut Group, text: &mut Text, memory: &mut Memory) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.memory else { return Ok(()) };
    if let Some(content) = files.read(13, dir, "memory.max_usage_in_bytes", text)? {
        memory.max_usage = Some(parse::number(content));
    }
    if let Some(content) = files.read(14, dir, "memory.failcnt", text)? {
        memory.failcnt = parse::number(content);
    }
    if let Some(content) = files.read(16, dir, "memory.oom_control", text)? {
        parse::keyed(content, |key, value| {
            if key == b"oom_kill" {
                memory.oom_kills = value;
            }
        });
    }
    memory.kernel = files.read(17, dir, "memory.kmem.usage_in_bytes", text)?.map(parse::number);
    Ok(())
}

pub(super) fn pids(group: &mut Group, depth: Depth, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.pids else { return Ok(()) };
    let Some(current) = files.read(20, dir, "pids.current", text)?.map(parse::number) else { return Ok(()) };
    let limit = match depth {
        Depth::All => files.read(21, dir, "pids.max", text)?.and_then(parse::limit),
        Depth::Container | Depth::Pod => None,
    };
    stats.pids = Some(Pids { current, limit });
    Ok(())
}

/// The throttle policy counts every request whatever the scheduler (cgroup-v1/blkio-controller.rst).
pub(super) fn io(group: &mut Group, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.blkio else { return Ok(()) };
    for (key, name, bytes) in
        [(30, "blkio.throttle.io_service_bytes_recursive", true), (31, "blkio.throttle.io_serviced_recursive", false)]
    {
        let Some(content) = files.read(key, dir, name, text)? else { continue };
        for (major, minor, rest) in parse::lines(content).filter_map(parse::device) {
            let io = parse::io_entry(&mut stats.io, major, minor);
            let (into, value) = match (rest.strip_prefix(b"Read "), rest.strip_prefix(b"Write "), bytes) {
                (Some(value), _, true) => (&mut io.read_bytes, value),
                (Some(value), _, false) => (&mut io.read_ops, value),
                (_, Some(value), true) => (&mut io.write_bytes, value),
                (_, Some(value), false) => (&mut io.write_ops, value),
                _ => continue,
            };
            *into = parse::number(value);
        }
    }
    Ok(())
}

pub(super) fn hugetlb(group: &mut Group, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, page_sizes, .. } = group;
    let Some(dir) = &dirs.hugetlb else { return Ok(()) };
    for (at, size) in (40..).step_by(3).zip(page_sizes.iter().flatten()) {
        let Some(usage) = files.read(at, dir, &format!("hugetlb.{size}.usage_in_bytes"), text)?.map(parse::number)
        else {
            continue;
        };
        let max_usage =
            files.read(at + 1, dir, &format!("hugetlb.{size}.max_usage_in_bytes"), text)?.map(parse::number);
        let failcnt = files.read(at + 2, dir, &format!("hugetlb.{size}.failcnt"), text)?.map_or(0, parse::number);
        stats.hugetlb.push(Hugetlb { page_size: size.clone(), usage, max_usage, failcnt });
    }
    Ok(())
}
