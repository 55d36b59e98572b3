//! What a runtime says went wrong: the last error of its log, which has one JSON object per line. PURE.

use podwright_container::error::StepError;
use rustix::io::Errno;
use serde_json::Value;

/// Longest message taken over, in bytes.
const LONGEST: usize = 4096;

/// The message of the last error, or of the last line of any kind; none when the log says nothing.
pub(crate) fn last_error(log: &str) -> Option<String> {
    let entries: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let loud = |entry: &&Value| matches!(text(entry, "level").as_deref(), Some("error" | "fatal" | "panic"));
    let entry = entries.iter().rev().find(loud).or(entries.last())?;
    text(entry, "msg").map(|message| shortened(message.trim()))
}

/// A message cut to what is passed on, at a character's border.
pub(crate) fn shortened(message: &str) -> String {
    let mut end = message.len().min(LONGEST);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default().to_owned()
}

/// The errno of a program that could not be executed, by a runtime's message; none when the message is about something
/// else. Such an error is told when the container is started, as it is when its process becomes the program itself.
pub(crate) fn exec_errno(message: &str) -> Option<i32> {
    let about =
        ["executable file", "exec: ", "exec format error", "error finding executable", "failed to find", "exec failed"];
    if !about.iter().any(|words| message.contains(words)) {
        return None;
    }
    let message = message.to_lowercase();
    let reasons = [
        ("permission denied", Errno::ACCESS),
        ("exec format error", Errno::NOEXEC),
        ("is a directory", Errno::ACCESS),
        ("text file busy", Errno::TXTBSY),
    ];
    let known = reasons.iter().find(|(words, _)| message.contains(words));
    Some(known.map_or(Errno::NOENT, |(_, errno)| *errno).raw_os_error())
}

/// An error of a runtime, told as that of an execution where it is one.
pub(crate) fn as_exec_failure(error: StepError) -> StepError {
    match exec_errno(&error.detail) {
        Some(errno) => StepError { operation: "exec".into(), syscall: "execve".into(), errno, ..error },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_found() {
        let log = "{\"level\":\"warning\",\"msg\":\"w\"}\n{\"level\":\"error\",\"msg\":\"one\"}\nno json\n\
                   {\"level\":\"error\",\"msg\":\"two \"}\n{\"level\":\"info\",\"msg\":\"bye\"}\n";
        assert_eq!(last_error(log).as_deref(), Some("two"));
        assert_eq!(last_error("{\"level\":\"info\",\"msg\":\"bye\"}").as_deref(), Some("bye"));
        assert_eq!(last_error("nothing"), None);
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_told_apart() {
        let table = [
            ("runc create failed: unable to start container process: exec: \"/x\": stat /x: no such file", Some(2)),
            ("runc create failed: unable to start container process: exec: \"/etc\": permission denied", Some(13)),
            ("executable file `x` not found in $PATH: No such file or directory", Some(2)),
            ("error mounting \"/a\" to rootfs: no such file or directory", None),
        ];
        for (message, expected) in table {
            assert_eq!(exec_errno(message), expected, "{message}");
        }
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(shortened(&"ü".repeat(3000)).len(), LONGEST);
    }
}
