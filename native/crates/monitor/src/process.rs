//! Facts about processes from /proc.

/// When a process started, in clock ticks since boot (field 22 of proc_pid_stat(5)); `None` when it has gone.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    stat_field(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, 22)?.parse().ok()
}

/// A field of a stat line by its number in proc_pid_stat(5), from 3 up. The command, in
/// parentheses, may hold anything, so counting begins after the last one. PURE.
pub(crate) fn stat_field(line: &str, number: usize) -> Option<&str> {
    line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_blanks_and_parentheses_shifts_nothing() {
        let line = "12 (a ) b) D 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 0";
        assert_eq!(stat_field(line, 3), Some("D"));
        assert_eq!(stat_field(line, 4), Some("1"));
        assert_eq!(stat_field(line, 22), Some("777"));
    }
}
