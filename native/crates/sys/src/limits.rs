//! Limits of another process: prlimit(2).

/// The soft limit of open files of a process; `None` when it is gone, or has no limit.
pub fn open_files_limit(pid: i32) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: with no new limit prlimit only writes the old one, into a place of that type.
    let done = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &mut limit) };
    (done == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::open_files_limit;

    #[test]
    fn a_limit_is_that_of_its_process() {
        let text = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
        let soft = line.split_whitespace().next().and_then(|word| word.parse().ok());
        assert_eq!(open_files_limit(std::process::id().cast_signed()), soft);
        assert_eq!(open_files_limit(i32::MAX), None);
    }
}
