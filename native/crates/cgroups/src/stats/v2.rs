//! Usage as the unified tree prints it.

use super::files::{Missing, Text};
use super::group::Group;
use super::{Cpu, Depth, Hugetlb, Io, IoCost, Memory, Pids, Pressure, Stats, parse};

type Done = std::result::Result<(), Missing>;

pub(super) fn cpu(group: &mut Group, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.unified else { return Ok(()) };
    let Some(content) = files.read(100, dir, "cpu.stat", text)? else { return Ok(()) };
    let mut cpu = Cpu::default();
    parse::keyed(content, |key, value| match key {
        b"usage_usec" => cpu.usage_ns = value * 1000,
        b"user_usec" => cpu.user_ns = value * 1000,
        b"system_usec" => cpu.system_ns = value * 1000,
        b"nr_periods" => cpu.quota.get_or_insert_default().periods = value,
        b"nr_throttled" => cpu.quota.get_or_insert_default().throttled_periods = value,
        b"throttled_usec" => cpu.quota.get_or_insert_default().throttled_ns = value * 1000,
        b"nr_bursts" => cpu.quota.get_or_insert_default().burst_periods = Some(value),
        b"burst_usec" => cpu.quota.get_or_insert_default().burst_ns = Some(value * 1000),
        _ => {}
    });
    stats.cpu = Some(cpu);
    Ok(())
}

pub(super) fn memory(group: &mut Group, depth: Depth, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.unified else { return Ok(()) };
    let Some(usage) = files.read(110, dir, "memory.current", text)?.map(parse::number) else { return Ok(()) };
    let mut memory = Memory { usage, ..Memory::default() };
    if let Some(content) = files.read(111, dir, "memory.stat", text)? {
        parse::keyed_text(content, |key, value| {
            let into = match key {
                b"anon" => &mut memory.rss,
                b"file" => &mut memory.cache,
                b"kernel" => memory.kernel.get_or_insert_default(),
                b"file_mapped" => &mut memory.mapped_file,
                b"active_file" => &mut memory.active_file,
                b"inactive_file" => &mut memory.inactive_file,
                b"pgfault" => &mut memory.page_faults,
                b"pgmajfault" => &mut memory.major_page_faults,
                _ => return,
            };
            *into = parse::number(value);
        });
    }
    memory.limit = files.read(112, dir, "memory.max", text)?.and_then(parse::limit);
    memory.swap_usage = files.read(114, dir, "memory.swap.current", text)?.map(parse::number);
    memory.swap_limit = files.read(115, dir, "memory.swap.max", text)?.and_then(parse::limit);
    if depth == Depth::All {
        memory.max_usage = files.read(113, dir, "memory.peak", text)?.map(parse::number);
        if let Some(content) = files.read(116, dir, "memory.events", text)? {
            parse::keyed(content, |key, value| match key {
                b"max" => memory.failcnt = value,
                b"oom_kill" => memory.oom_kills = value,
                _ => {}
            });
        }
    }
    memory.derive();
    stats.memory = Some(memory);
    Ok(())
}

pub(super) fn pids(group: &mut Group, depth: Depth, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.unified else { return Ok(()) };
    let Some(current) = files.read(120, dir, "pids.current", text)?.map(parse::number) else { return Ok(()) };
    let limit = match depth {
        Depth::All => files.read(121, dir, "pids.max", text)?.and_then(parse::limit),
        Depth::Container | Depth::Pod => None,
    };
    stats.pids = Some(Pids { current, limit });
    Ok(())
}

pub(super) fn io(group: &mut Group, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.unified else { return Ok(()) };
    let Some(content) = files.read(130, dir, "io.stat", text)? else { return Ok(()) };
    for (major, minor, rest) in parse::lines(content).filter_map(parse::device) {
        let io = parse::io_entry(&mut stats.io, major, minor);
        for word in rest.split(|b| *b == b' ') {
            let Some(at) = word.iter().position(|b| *b == b'=') else { continue };
            let value = parse::number(&word[at + 1..]);
            match &word[..at] {
                b"rbytes" => io.read_bytes = value,
                b"wbytes" => io.write_bytes = value,
                b"rios" => io.read_ops = value,
                b"wios" => io.write_ops = value,
                b"cost.usage" => cost(io).usage_us = value,
                b"cost.wait" => cost(io).wait_us = value,
                b"cost.indebt" => cost(io).indebt_us = value,
                b"cost.indelay" => cost(io).indelay_us = value,
                _ => {}
            }
        }
    }
    Ok(())
}

fn cost(io: &mut Io) -> &mut IoCost {
    io.cost.get_or_insert_default()
}

pub(super) fn hugetlb(group: &mut Group, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, page_sizes, .. } = group;
    let (Some(dir), None) = (&dirs.unified, &dirs.hugetlb) else { return Ok(()) };
    for (at, size) in (140..).step_by(2).zip(page_sizes.iter().flatten()) {
        let Some(usage) = files.read(at, dir, &format!("hugetlb.{size}.current"), text)?.map(parse::number) else {
            continue;
        };
        let mut failcnt = 0;
        if let Some(content) = files.read(at + 1, dir, &format!("hugetlb.{size}.events"), text)? {
            parse::keyed(content, |key, value| {
                if key == b"max" {
                    failcnt = value;
                }
            });
        }
        stats.hugetlb.push(Hugetlb { page_size: size.clone(), usage, max_usage: None, failcnt });
    }
    Ok(())
}

/// The three pressure files, also of the unified tree beside v1 hierarchies.
pub(super) fn pressure(group: &mut Group, text: &mut Text, stats: &mut Stats) -> Done {
    let Group { files, dirs, .. } = group;
    let Some(dir) = &dirs.unified else { return Ok(()) };
    let Some(cpu) = files.read(90, dir, "cpu.pressure", text)?.map(parse::psi) else { return Ok(()) };
    let Some(memory) = files.read(91, dir, "memory.pressure", text)?.map(parse::psi) else { return Ok(()) };
    let Some(io) = files.read(92, dir, "io.pressure", text)?.map(parse::psi) else { return Ok(()) };
    stats.psi = Some(Pressure { cpu, memory, io });
    Ok(())
}
