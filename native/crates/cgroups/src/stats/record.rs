//! Usage of many cgroups as words of one size: JSON of it would take longer than to read it.
//! `src/cgroup/usage-record.ts` has the same table.

use super::{Psi, Stats};

/// Words of one record. Each is 64 bits, little-endian: a whole number or an IEEE 754 double.
pub const WORDS: usize = 36;

const EXISTS: u64 = 1;
const CPU: u64 = 1 << 1;
const MEMORY: u64 = 1 << 2;
const PIDS: u64 = 1 << 3;
const PRESSURE: u64 = 1 << 4;
const AVAILABLE: u64 = 1 << 5;
const SWAP: u64 = 1 << 6;
const SWAP_LIMIT: u64 = 1 << 7;

/// One record for each, in order. Word 0 says which parts are there; words of parts that are not are 0.
pub fn records(all: &[Option<Stats>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(all.len() * WORDS * 8);
    for stats in all {
        for word in stats.as_ref().map_or([0; WORDS], record) {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    out
}

fn record(stats: &Stats) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    let mut there = EXISTS;
    words[1] = stats.timestamp_ns;
    if let Some(cpu) = &stats.cpu {
        there |= CPU;
        words[2] = cpu.usage_ns;
    }
    if let Some(memory) = &stats.memory {
        there |= MEMORY;
        let of_memory = [memory.usage, memory.working_set, memory.rss, memory.page_faults, memory.major_page_faults];
        words[3..8].copy_from_slice(&of_memory);
        for (at, bit, value) in
            [(8, AVAILABLE, memory.available), (9, SWAP, memory.swap_usage), (10, SWAP_LIMIT, memory.swap_limit)]
        {
            if let Some(value) = value {
                there |= bit;
                words[at] = value;
            }
        }
    }
    if let Some(pids) = &stats.pids {
        there |= PIDS;
        words[11] = pids.current;
    }
    if let Some(psi) = &stats.psi {
        there |= PRESSURE;
        words[12..20].copy_from_slice(&pressure(&psi.cpu));
        words[20..28].copy_from_slice(&pressure(&psi.memory));
        words[28..36].copy_from_slice(&pressure(&psi.io));
    }
    words[0] = there;
    words
}

fn pressure(psi: &Psi) -> [u64; 8] {
    let mut words = [0; 8];
    for (at, line) in [(0, &psi.some), (4, &psi.full)] {
        words[at] = line.avg10.to_bits();
        words[at + 1] = line.avg60.to_bits();
        words[at + 2] = line.avg300.to_bits();
        words[at + 3] = line.total_us;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::{Cpu, Memory, Pids, Pressure, PsiLine};
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
        u64::from_le_bytes(word)
    }

    #[test]
    fn every_word_has_its_place() {
        let line = |from: u32| PsiLine {
            avg10: f64::from(from) + 0.5,
            avg60: f64::from(from) + 0.25,
            avg300: 0.0,
            total_us: u64::from(from) + 3,
        };
        let psi = |from: u32| Psi { some: line(from), full: line(from + 4) };
        let stats = Stats {
            timestamp_ns: 1,
            cpu: Some(Cpu { usage_ns: u64::MAX, ..Cpu::default() }),
            memory: Some(Memory {
                usage: 3,
                working_set: 4,
                rss: 5,
                page_faults: 6,
                major_page_faults: 7,
                available: Some(8),
                swap_usage: Some(9),
                swap_limit: None,
                ..Memory::default()
            }),
            pids: Some(Pids { current: 11, limit: None }),
            psi: Some(Pressure { cpu: psi(12), memory: psi(20), io: psi(28) }),
            ..Stats::default()
        };
        let bytes = records(&[None, Some(stats)]);
        assert_eq!(bytes.len(), 2 * WORDS * 8);
        assert!(bytes[..WORDS * 8].iter().all(|b| *b == 0));
        let one = &bytes[WORDS * 8..];
        assert_eq!(word(one, 0), EXISTS | CPU | MEMORY | PIDS | PRESSURE | AVAILABLE | SWAP);
        assert_eq!(word(one, 2), u64::MAX);
        for at in [1, 3, 4, 5, 6, 7, 8, 9, 11, 15, 19, 23, 27, 31, 35] {
            assert_eq!(word(one, at), at as u64, "word {at}");
        }
        for at in [12, 16, 20, 24, 28, 32] {
            assert_eq!(f64::from_bits(word(one, at)), at as f64 + 0.5, "word {at}");
            assert_eq!(f64::from_bits(word(one, at + 1)), at as f64 + 0.25, "word {at}");
        }
    }
}
