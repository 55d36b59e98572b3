//! podwright-monitor: one per pod sandbox. Owns its processes, their output and their exits.
//! Must not decide policy, hold a default of the daemon, or touch a path that came through the CRI.

mod arguments;
mod attach;
mod calls;
mod checkpoint;
mod checkpoint_wait;
mod clock;
mod confined;
mod connection;
mod container;
mod copied;
mod create;
mod daemonize;
mod errand;
mod exec;
mod exec_cgroup;
mod exec_stream;
mod exec_sync;
mod exits;
mod external;
mod flow;
mod hooks;
mod input;
mod kill;
mod log;
mod log_watch;
mod log_writer;
mod log_writing;
mod numbering;
mod oom;
mod oom_level;
mod output;
mod output_stream;
mod pair;
mod poller;
mod port;
mod records;
mod reopen;
mod reply;
mod reports;
mod resize;
mod revival;
mod sandbox;
mod server;
mod shutdown;
mod stop;
mod stream;
mod timers;
mod timestamp;
mod watch;

use arguments::Stage;
use podwright_container::probe::{Found, Places};
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    match arguments::parse(&argv) {
        Ok(Stage::Version) => {
            println!("podwright-monitor {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Stage::Pause) => podwright_container::pause::run(),
        Ok(Stage::Probe(places)) => probe(&places),
        Ok(Stage::Runtime(words)) => runtime(&words),
        Ok(Stage::Confined(confined)) => {
            eprintln!("podwright-monitor: {}", confined::run(&confined));
            ExitCode::from(127)
        }
        Ok(Stage::Serve(options)) => daemonize::serve(&options),
        Err(message) => {
            eprintln!("podwright-monitor: {message}");
            ExitCode::from(2)
        }
    }
}

/// Code 0: pods can have user namespaces. Otherwise why not is on standard error: with code 3 only those that have the
/// host's network cannot.
fn probe(places: &Places) -> ExitCode {
    let Found { pods, host_network } = podwright_container::probe::run(places);
    let (code, error) = match (pods, host_network) {
        (Ok(()), Ok(())) => return ExitCode::SUCCESS,
        (Ok(()), Err(error)) => (3, error),
        (Err(error), _) => (1, error),
    };
    eprintln!("{error}");
    ExitCode::from(code)
}

/// A verb of another OCI runtime, for a daemon that has no monitor to ask.
fn runtime(words: &[String]) -> ExitCode {
    let (text, code) = match podwright_external::tool::run(words.iter()) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(message) => (message, ExitCode::FAILURE),
    };
    eprint!("{text}");
    code
}
