//! The command line. PURE.

use crate::confined::Confined;
use podwright_container::probe::Places;

/// What the binary was asked to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// `serve`: the monitor of a sandbox.
    Serve(ServeOptions),
    /// `pause`: the init of a shared pid namespace; only the monitor starts it.
    Pause,
    /// `probe`: tells by its exit code whether pods can have user namespaces.
    Probe(Places),
    /// `runtime`: one verb of another OCI runtime, with its words.
    Runtime(Vec<String>),
    /// `confined`: another program, which keeps the capabilities of a list and can have no more.
    Confined(Confined),
    /// `--version`.
    Version,
}

/// Options of `serve`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ServeOptions {
    /// The sandbox this monitor is for.
    pub(crate) id: String,
    /// Where to listen.
    pub(crate) socket: String,
    /// v1 `tasks` files to write "0" into.
    pub(crate) tasks: Vec<String>,
    /// v2 directory to move into; empty for none.
    pub(crate) cgroup: String,
    /// Stay the child of the caller instead of forking away (tools and tests).
    pub(crate) foreground: bool,
}

/// Reads the command line, program name first.
pub(crate) fn parse(argv: &[String]) -> Result<Stage, String> {
    let mut words = argv.iter().skip(1);
    match words.next().map(String::as_str) {
        Some("serve") => serve(words).map(Stage::Serve),
        Some("runtime") => Ok(Stage::Runtime(words.cloned().collect())),
        Some("confined") => confined(words),
        Some("pause") => Ok(Stage::Pause),
        Some("probe") => probe(words).map(Stage::Probe),
        Some("--version") => Ok(Stage::Version),
        Some(other) => Err(format!("unknown command {other}")),
        None => Err("a command is missing: serve, --version".into()),
    }
}

fn serve<'a>(mut words: impl Iterator<Item = &'a String>) -> Result<ServeOptions, String> {
    let mut options = ServeOptions::default();
    while let Some(word) = words.next() {
        if word == "--foreground" {
            options.foreground = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?.clone();
        match word.as_str() {
            "--id" => options.id = value,
            "--socket" => options.socket = value,
            "--tasks" => options.tasks.push(value),
            "--cgroup" => options.cgroup = value,
            other => return Err(format!("unknown option {other}")),
        }
    }
    if options.id.is_empty() || options.socket.is_empty() {
        return Err("serve needs --id and --socket".into());
    }
    Ok(options)
}

fn confined<'a>(mut words: impl Iterator<Item = &'a String>) -> Result<Stage, String> {
    let keep = words.next().map(|list| list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect());
    let argv: Vec<String> = words.cloned().collect();
    match keep {
        Some(keep) if !argv.is_empty() => Ok(Stage::Confined(Confined { keep, argv })),
        _ => Err("confined needs a list of capabilities and a program".into()),
    }
}

fn probe<'a>(mut words: impl Iterator<Item = &'a String>) -> Result<Places, String> {
    let mut places = Places { store: String::new(), state: String::new() };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?.clone();
        match word.as_str() {
            "--store" => places.store = value,
            "--state" => places.state = value,
            other => return Err(format!("unknown option {other}")),
        }
    }
    if places.store.is_empty() || places.state.is_empty() {
        return Err("probe needs --store and --state".into());
    }
    Ok(places)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn reads_serve() {
        let line = "podwright-monitor serve --id a --socket /s --tasks /t1 --tasks /t2 --cgroup /c";
        let expected = ServeOptions {
            id: "a".into(),
            socket: "/s".into(),
            tasks: vec!["/t1".into(), "/t2".into()],
            cgroup: "/c".into(),
            foreground: false,
        };
        assert_eq!(parse(&words(line)), Ok(Stage::Serve(expected)));
    }

    #[test]
    fn reads_probe() {
        let expected = Places { store: "/a".into(), state: "/b".into() };
        assert_eq!(parse(&words("podwright-monitor probe --state /b --store /a")), Ok(Stage::Probe(expected)));
        assert!(parse(&words("m probe --store /a")).is_err() && parse(&words("m probe --store /a --x /b")).is_err());
    }

    #[test]
    fn reads_confined() {
        let expected = Confined { keep: vec!["CHOWN".into(), "MKNOD".into()], argv: vec!["/p".into(), "--x".into()] };
        assert_eq!(parse(&words("m confined CHOWN,MKNOD /p --x")), Ok(Stage::Confined(expected)));
        let nothing = Confined { keep: Vec::new(), argv: vec!["/p".into()] };
        assert_eq!(parse(&words("m confined  /p")), Ok(Stage::Confined(nothing)));
        assert!(parse(&words("m confined")).is_err() && parse(&words("m confined CHOWN")).is_err());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["m", "m exec", "m serve", "m serve --id a", "m serve --id", "m serve --id a --socket s --x y"] {
            assert!(parse(&words(line)).is_err(), "{line}");
        }
    }
}
