//! Which mounts of a container are not criu's to make: those that come from the host or the pod. PURE.

/// A mount that is not captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Its name in the images.
    pub name: String,
    /// Where it is in the container.
    pub path: String,
}

/// Sources of the host that every restore has: /dev/null over a masked file.
pub const NULL: &str = "/dev/null";

/// The external mounts of a mount table (/proc/PID/mountinfo): those at `given` paths, what is mounted below them,
/// and the host's /dev/null, which covers masked files. In the order of the table.
pub fn externals(mountinfo: &str, given: &[String]) -> Vec<External> {
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let mut words = line.split(' ').skip(3);
        let (Some(root), Some(path)) = (words.next(), words.next()) else { continue };
        let path = unescaped(path);
        let kind = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').next());
        let below =
            given.iter().any(|g| path == *g || path.strip_prefix(g.as_str()).is_some_and(|r| r.starts_with('/')));
        let null = root == "/null" && kind == Some("devtmpfs");
        if below || null {
            let name =
                if below { format!("podwright-{}", found.len()) } else { format!("podwright-null-{}", found.len()) };
            found.push(External { name, path });
        }
    }
    found
}

/// Whether it is the host's /dev/null.
pub fn is_null(external: &External) -> bool {
    external.name.starts_with("podwright-null-")
}

/// `\040` and the like (proc_pid_mountinfo(5)).
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match (first, code) {
            (b'\\', Some(code)) => {
                bytes.push(code);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The list as text: a name, a space and a path per line, escaped as in a mount table.
pub fn encode(list: &[External]) -> String {
    list.iter().map(|e| format!("{} {}\n", e.name, e.path.replace('\\', "\\134").replace('\n', "\\012"))).collect()
}

/// Reads what [`encode`] wrote; none when it is something else.
pub fn decode(text: &str) -> Option<Vec<External>> {
    let one = |line: &str| {
        let (name, path) = line.split_once(' ')?;
        let known = name.starts_with("podwright-") && path.starts_with('/');
        known.then(|| External { name: name.into(), path: unescaped(path) })
    };
    text.lines().map(one).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TABLE: &str = "\
101 64 0:40 / / rw,relatime - overlay overlay rw,lowerdir=/l
103 101 0:43 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k
60 101 0:31 /data /data rw,relatime - tmpfs tmp rw
61 60 0:32 / /data/with\\040space rw,relatime - tmpfs tmp rw
62 101 0:31 /x /database rw,relatime - tmpfs tmp rw
107 103 0:39 / /dev/shm rw,nosuid shared:7 - tmpfs none rw,size=65536k
109 102 0:5 /null /proc/kcore rw,relatime - devtmpfs dev rw,size=2005172k
110 102 0:6 /null /elsewhere rw,relatime - ext4 dev rw
";

    #[test]
    fn what_is_not_the_containers_own_is_external() {
        let found = externals(TABLE, &["/data".into(), "/dev/shm".into()]);
        let paths: Vec<&str> = found.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["/data", "/data/with space", "/dev/shm", "/proc/kcore"]);
        assert_eq!(found.iter().filter(|e| is_null(e)).count(), 1);
        assert_eq!(decode(&encode(&found)).unwrap(), found);
    }

    #[test]
    fn a_list_of_something_else_is_refused() {
        assert_eq!(decode("etc /x\n"), None);
        assert_eq!(decode("podwright-0 x\n"), None);
        let odd = vec![External { name: "podwright-0".into(), path: "/a\\b\nc".into() }];
        assert_eq!(decode(&encode(&odd)).unwrap(), odd);
    }
}
