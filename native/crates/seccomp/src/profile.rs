//! The profile as the runtime-spec writes it (`linux.seccomp`).

use crate::error::{Result, SeccompError};
use serde::Deserialize;

/// Bounds of a profile. The default profile has about 450 names.
const MOST_JSON_BYTES: usize = 1 << 20;
const MOST_NAMES: usize = 4096;
const MOST_ARGS: usize = 6;

/// runtime-spec `linux.seccomp`. Fields the specification does not have are passed over, as every
/// runtime does with files written for a newer one.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// `SCMP_ACT_*` for calls no rule speaks of.
    pub default_action: String,
    /// The errno of a default action that has one.
    #[serde(default)]
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_*` besides the machine's own.
    #[serde(default, deserialize_with = "null_is_default")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_*`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub flags: Vec<String>,
    /// Socket of an agent for `SCMP_ACT_NOTIFY`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub listener_path: String,
    /// The rules.
    #[serde(default, deserialize_with = "null_is_default")]
    pub syscalls: Vec<Syscall>,
}

/// A rule: what to do with some calls, with certain arguments if any are given.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Syscall {
    /// Names of the calls.
    pub names: Vec<String>,
    /// `SCMP_ACT_*`.
    pub action: String,
    /// The errno of an action that has one.
    #[serde(default)]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold.
    #[serde(default, deserialize_with = "null_is_default")]
    pub args: Vec<Arg>,
    /// Conditions of Docker's profile dialect, which would be lost.
    #[serde(default)]
    includes: Option<serde_json::Value>,
    #[serde(default)]
    excludes: Option<serde_json::Value>,
}

/// A condition on one argument.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arg {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// The value compared with; the mask of `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// What `SCMP_CMP_MASKED_EQ` compares with.
    #[serde(default)]
    pub value_two: u64,
    /// `SCMP_CMP_*`.
    pub op: String,
}

/// Go writes an empty list as null.
fn null_is_default<'de, D, T>(from: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

impl Profile {
    /// Reads a profile and checks its bounds.
    pub fn parse(json: &str) -> Result<Self> {
        at_most("bytes of JSON", json.len(), MOST_JSON_BYTES)?;
        let profile: Self = serde_json::from_str(json)?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<()> {
        at_most("system call names", self.syscalls.iter().map(|s| s.names.len()).sum(), MOST_NAMES)?;
        if !self.listener_path.is_empty() {
            return Err(SeccompError::Unsupported { what: "listenerPath" });
        }
        for rule in &self.syscalls {
            at_most("arguments of a rule", rule.args.len(), MOST_ARGS)?;
            if rule.names.iter().any(String::is_empty) {
                return Err(SeccompError::value("name", "", "is empty"));
            }
            if let Some(arg) = rule.args.iter().find(|a| a.index > 5) {
                return Err(SeccompError::value("index", arg.index, "is not an argument, 0 to 5"));
            }
            // Dropping them would allow more, or less, than the file says.
            if says_something(rule.includes.as_ref()) || says_something(rule.excludes.as_ref()) {
                return Err(SeccompError::Unsupported { what: "includes/excludes (Docker's dialect, not the OCI's)" });
            }
        }
        Ok(())
    }

    /// The flags as seccomp(2) takes them.
    pub fn flag_bits(&self) -> Result<u32> {
        self.flags.iter().try_fold(0, |bits, flag| {
            let bit = match flag.as_str() {
                "SECCOMP_FILTER_FLAG_TSYNC" => 1,
                "SECCOMP_FILTER_FLAG_LOG" => 1 << 1,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 1 << 2,
                // Only with a listener.
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {
                    return Err(SeccompError::Unsupported { what: "WAIT_KILLABLE_RECV" });
                }
                _ => return Err(SeccompError::value("flag", flag, "is unknown")),
            };
            Ok(bits | bit)
        })
    }
}

fn says_something(value: Option<&serde_json::Value>) -> bool {
    match value {
        Some(serde_json::Value::Object(map)) => !map.is_empty(),
        _ => false,
    }
}

fn at_most(what: &'static str, count: usize, most: usize) -> Result<()> {
    if count > most { Err(SeccompError::TooMany { what, count, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_unknown_fields_are_taken_as_go_writes_them() -> Result<()> {
        let p = Profile::parse(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":null,"comment":"x","syscalls":[
                {"names":["read"],"action":"SCMP_ACT_LOG","args":null,"includes":{},"comment":""}]}"#,
        )?;
        assert_eq!((p.syscalls.len(), p.syscalls[0].args.len()), (1, 0));
        Ok(())
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        let refuse = |json: &str| assert!(Profile::parse(json).is_err(), "{json}");
        refuse("");
        refuse(r#"{"syscalls":[]}"#);
        refuse(r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}"#);
        refuse(r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[""],"action":"SCMP_ACT_LOG"}]}"#);
        refuse(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","includes":{"caps":["X"]}}]}"#,
        );
        refuse(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
        );
    }

    #[test]
    fn flags_are_bits() -> Result<()> {
        let mut p = Profile::parse(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}"#,
        )?;
        assert_eq!(p.flag_bits()?, 6);
        p.flags.push("X".into());
        assert!(p.flag_bits().is_err());
        Ok(())
    }
}
