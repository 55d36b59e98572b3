//! Running the programs. `std::process::Command` without a pre-exec hook uses posix_spawn(3): no
//! copy of the daemon's page tables, whatever its size.

use crate::error::{IptablesError, IptablesResult};
use crate::names::{Chains, Family};
use crate::save::Saved;
use podwright_sys::errno::SysError;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Seconds to wait for the xtables lock that another program holds.
const LOCK_SECONDS: &str = "10";
const NFT: &str = "nft";
/// Where the programs are on hosts whose daemon has a short PATH.
const FALLBACK_DIRS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Everything that is there in a family.
pub(crate) fn save(family: Family, table: Option<&str>) -> IptablesResult<Saved> {
    let program = family.save_program();
    let mut command = command(program)?;
    if let Some(table) = table {
        command.args(["-t", table]);
    }
    let output = run(program, &mut command, "")?;
    if !output.status.success() {
        return Err(refused(program, &output, ""));
    }
    Ok(Saved::parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Applies a text in one transaction: all of it or nothing.
pub(crate) fn restore(family: Family, text: &str) -> IptablesResult<()> {
    let program = family.restore_program();
    let mut command = command(program)?;
    command.args(["--noflush", "-w", LOCK_SECONDS]);
    let output = run(program, &mut command, text)?;
    if output.status.success() {
        return Ok(());
    }
    Err(refused(program, &output, text))
}

/// Applies a text of nft commands in one transaction: all of it or nothing.
pub(crate) fn nft(text: &str) -> IptablesResult<()> {
    let mut command = command(NFT)?;
    command.args(["-f", "-"]);
    let output = run(NFT, &mut command, text)?;
    if output.status.success() {
        return Ok(());
    }
    Err(refused(NFT, &output, text))
}

/// Our nft table as it is; `None` when it is not there.
pub(crate) fn listed_table(chains: &Chains) -> IptablesResult<Option<String>> {
    let ask = |arguments: &[&str]| {
        let mut command = command(NFT)?;
        command.args(arguments);
        let output = run(NFT, &mut command, "")?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(refused(NFT, &output, ""))
    };
    let wanted = format!("table {}", chains.nft_table());
    if !ask(&["list", "tables"])?.lines().any(|line| line.trim() == wanted) {
        return Ok(None);
    }
    let table: Vec<&str> = wanted.split(' ').collect();
    ask(&[&["list"], table.as_slice()].concat()).map(Some)
}

fn command(program: &'static str) -> IptablesResult<Command> {
    let path = find(program).ok_or(IptablesError::Missing { program })?;
    let mut command = Command::new(path);
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // what npm puts in front of PATH has programs of our build, one of which is called nft
    let of_a_build = |dir: &PathBuf| dir.iter().any(|part| part == "node_modules");
    std::env::split_paths(&path)
        .filter(|dir| !of_a_build(dir))
        .chain(FALLBACK_DIRS.iter().map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_absolute() && Path::exists(file))
}

fn run(program: &'static str, command: &mut Command, input: &str) -> IptablesResult<Output> {
    let failed = |syscall: &'static str| {
        move |error: std::io::Error| IptablesError::Start(SysError::from_io("run", syscall, &error, program))
    };
    let mut child = command.spawn().map_err(failed("posix_spawn"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // a program that ends early says why on stderr: its answer counts, not our broken pipe
        let written = stdin.write_all(input.as_bytes());
        drop(stdin);
        if let Err(error) = written
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed("write")(error));
        }
    }
    child.wait_with_output().map_err(failed("wait"))
}

fn refused(program: &'static str, output: &Output, text: &str) -> IptablesError {
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let line = failing_line(&stderr).and_then(|number| text.lines().nth(number - 1));
    IptablesError::Refused { program, status: output.status.to_string(), line: line.map(str::to_owned), stderr }
}

/// The number in "iptables-restore: line 7 failed", "/dev/stdin:7:1-20" or "Error occurred at line: 7".
fn failing_line(stderr: &str) -> Option<usize> {
    let at = match stderr.strip_prefix("/dev/stdin") {
        Some(_) => "/dev/stdin".len(),
        None => stderr.find("line")? + "line".len(),
    };
    let rest = stderr.get(at..)?.trim_start_matches([' ', ':']);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failing_line_is_found() {
        assert_eq!(failing_line("iptables-restore: line 7 failed"), Some(7));
        let long = "iptables-restore v1.8.9: x\nError occurred at line: 3\nTry";
        assert_eq!(failing_line(long), Some(3));
        assert_eq!(failing_line("/dev/stdin:2:35-42: Error: no such line 9"), Some(2));
        assert_eq!(failing_line("no permission"), None);
        assert_eq!(failing_line("line 0"), None);
    }
}
