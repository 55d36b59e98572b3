//! What can go wrong when rules are read or changed.

use podwright_sys::errno::SysError;
use thiserror::Error;

/// A failed read or change of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IptablesError {
    /// The program is not installed.
    #[error("{program} was not found: install the iptables or the nftables package")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// The program could not be started or talked to.
    #[error(transparent)]
    Start(#[from] SysError),
    /// The program refused.
    #[error("{program} failed ({status}): {stderr}{}", at(.line))]
    Refused {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
        /// The rule it complained about, when it named one.
        line: Option<String>,
    },
    /// A name that must not get into a rule.
    #[error("not usable in a rule: {what} {value:?}")]
    Unusable {
        /// What kind of name.
        what: &'static str,
        /// The name.
        value: String,
    },
}

fn at(line: &Option<String>) -> String {
    line.as_ref().map_or_else(String::new, |line| format!(": at {line:?}"))
}

/// Result of reading or changing the rules.
pub type IptablesResult<T> = Result<T, IptablesError>;
