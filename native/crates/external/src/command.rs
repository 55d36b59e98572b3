//! Command lines of a runtime's verbs. PURE.

use crate::runtime::{Flavor, Runtime};

/// Names of files that a call of the runtime needs, in the directory it runs in (the bundle).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Where the runtime writes the process's pid.
    pub pid: String,
    /// Where it reports errors, as JSON lines.
    pub log: String,
    /// Where it connects to hand over a terminal; none without one.
    pub console: Option<String>,
    /// An exec's process object.
    pub process: String,
    /// Where gVisor writes the pid inside the sandbox.
    pub inner_pid: String,
}

impl Files {
    /// The names for a call; `call` tells it from others of the same bundle.
    pub fn of(call: &str, terminal: bool) -> Self {
        Self {
            pid: format!("{call}.pid"),
            log: format!("{call}.log"),
            console: terminal.then(|| format!("{call}.tty")),
            process: format!("{call}.process"),
            inner_pid: format!("{call}.inner"),
        }
    }

    /// All of them, to be removed after the call.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.pid.as_str(), &self.log, &self.process, &self.inner_pid];
        names.extend(self.console.as_deref());
        names
    }
}

/// What comes before the verb.
fn head(runtime: &Runtime, log: &str) -> Vec<String> {
    let words = [runtime.path.as_str(), "--root", &runtime.root, "--log", log, "--log-format", "json"];
    // the root is an overlay already: another one would keep what is written out of the container's layer
    let own = (runtime.flavor == Flavor::Runsc).then_some("--overlay2=none");
    words.into_iter().chain(own).map(str::to_owned).chain(runtime.args.iter().cloned()).collect()
}

fn with(mut head: Vec<String>, words: &[&str]) -> Vec<String> {
    head.extend(words.iter().map(|w| (*w).to_owned()));
    head
}

/// `create`: the container's process is made and stops before its program.
pub fn create(runtime: &Runtime, id: &str, bundle: &str, files: &Files) -> Vec<String> {
    let mut words = with(head(runtime, &files.log), &["create", "--bundle", bundle, "--pid-file", &files.pid]);
    if let Some(console) = &files.console {
        words = with(words, &["--console-socket", console]);
    }
    with(words, &[id])
}

/// `start`: the program runs.
pub fn start(runtime: &Runtime, id: &str, log: &str) -> Vec<String> {
    with(head(runtime, log), &["start", id])
}

/// `exec`, detached: the runtime ends when the process runs.
pub fn exec(runtime: &Runtime, id: &str, files: &Files) -> Vec<String> {
    let own = ["exec", "--process", &files.process, "--detach", "--pid-file", &files.pid];
    let mut words = with(head(runtime, &files.log), &own);
    if runtime.flavor == Flavor::Runsc {
        words = with(words, &["--internal-pid-file", &files.inner_pid]);
    }
    if let Some(console) = &files.console {
        words = with(words, &["--console-socket", console]);
    }
    with(words, &[id])
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The container's process.
    Process,
    /// All of the container's.
    All,
    /// The process group of this number inside a gVisor sandbox.
    Group(i32),
}

/// `kill`: a signal.
pub fn kill(runtime: &Runtime, id: &str, log: &str, signal: i32, target: Target) -> Vec<String> {
    let words = with(head(runtime, log), &["kill"]);
    let words = match target {
        Target::Process => words,
        Target::All => with(words, &["--all"]),
        Target::Group(inner) => with(words, &["--pgid", &inner.to_string()]),
    };
    with(words, &[id, &signal.to_string()])
}

/// `delete --force`: nothing of the container is left, whatever state it is in.
pub fn delete(runtime: &Runtime, id: &str, log: &str) -> Vec<String> {
    with(head(runtime, log), &["delete", "--force", id])
}

/// `wait` of gVisor: ends when the container's process has ended, and says how.
pub fn wait(runtime: &Runtime, id: &str, log: &str) -> Vec<String> {
    with(head(runtime, log), &["wait", id])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(flavor: Flavor) -> Runtime {
        let args = vec!["--debug".to_owned()];
        Runtime { path: "/bin/r".into(), root: "/s".into(), args, flavor, ..Runtime::default() }
    }

    #[test]
    fn verbs_have_their_words() {
        let oci = runtime(Flavor::Oci);
        let files = Files::of("create", true);
        let head = "/bin/r --root /s --log create.log --log-format json --debug";
        let expected = format!("{head} create --bundle /b --pid-file create.pid --console-socket create.tty c");
        assert_eq!(create(&oci, "c", "/b", &files).join(" "), expected);
        let files = Files::of("exec-1", false);
        let tail = |words: Vec<String>| words.get(8..).map(|w| w.join(" ")).unwrap_or_default();
        let expected = "exec --process exec-1.process --detach --pid-file exec-1.pid c";
        assert_eq!(tail(exec(&oci, "c", &files)), expected);
        let expected =
            "exec --process exec-1.process --detach --pid-file exec-1.pid --internal-pid-file exec-1.inner c";
        let words = exec(&runtime(Flavor::Runsc), "c", &files).join(" ");
        assert!(words.ends_with(expected) && words.contains("--overlay2=none"), "{words}");
        assert_eq!(tail(start(&oci, "c", "l")), "start c");
        assert_eq!(tail(kill(&oci, "c", "l", 15, Target::Process)), "kill c 15");
        assert_eq!(tail(kill(&oci, "c", "l", 9, Target::All)), "kill --all c 9");
        assert_eq!(tail(kill(&oci, "c", "l", 9, Target::Group(7))), "kill --pgid 7 c 9");
        assert_eq!(tail(delete(&oci, "c", "l")), "delete --force c");
    }
}
