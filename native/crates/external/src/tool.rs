//! What the daemon needs of a runtime when no monitor can be asked: a stage of the monitor's program. Results go to
//! standard error, which is all that the daemon reads.

use crate::delete::{Verb, carry_out};
use crate::runtime::{Flavor, Runtime};
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::{Command, Stdio};

/// Most that is read of what `features` prints, in bytes.
const MOST: u64 = 1024 * 1024;

/// Carries out `features` or `delete`; the text is for standard error.
///
/// # Errors
/// A sentence for people.
pub fn run<'a>(words: impl Iterator<Item = &'a String>) -> Result<String, String> {
    let mut words = words.map(String::as_str);
    let verb = words.next().unwrap_or_default();
    let (mut runtime, mut id) = (Runtime::default(), String::new());
    while let Some(word) = words.next() {
        let mut value = || words.next().map(str::to_owned).ok_or_else(|| format!("{word} wants a value"));
        match word {
            "--path" => runtime.path = value()?,
            "--root" => runtime.root = value()?,
            "--arg" => runtime.args.push(value()?),
            "--id" => id = value()?,
            "--hide-unified" => runtime.hide_unified = true,
            "--runsc" => runtime.flavor = Flavor::Runsc,
            other => return Err(format!("unknown option {other}")),
        }
    }
    match verb {
        "features" => features(&runtime).map(|f| f.to_string()),
        "delete" => carry_out(&runtime, &id, Verb::Delete).map(|()| String::new()).map_err(|e| e.detail),
        other => Err(format!("unknown verb {other:?}: features or delete")),
    }
}

/// What the runtime says that it can do (runtime-spec, features.md). One that cannot say has nothing.
fn features(runtime: &Runtime) -> Result<Value, String> {
    let failed = |e: std::io::Error| format!("run {}: {e}", runtime.path);
    let mut child = Command::new(&runtime.path)
        .arg("features")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut text = String::new();
    if let Some(output) = child.stdout.take() {
        output.take(MOST).read_to_string(&mut text).map_err(failed)?;
    }
    let told = child.wait().map_err(failed)?.success();
    Ok(if told { summary(&serde_json::from_str(&text).unwrap_or(Value::Null)) } else { summary(&Value::Null) })
}

/// The part of the features document that CRI's RuntimeHandlerFeatures needs. PURE.
fn summary(document: &Value) -> Value {
    let has = |list: &str, word: &str| {
        document.get(list).and_then(Value::as_array).is_some_and(|l| l.iter().any(|v| v.as_str() == Some(word)))
    };
    let version = document.get("ociVersionMax").and_then(Value::as_str).unwrap_or_default();
    json!({"recursiveReadOnly": has("mountOptions", "rro"), "ociVersionMax": version})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_what_the_document_says() {
        let document = json!({"ociVersionMax": "1.2.0", "mountOptions": ["ro", "rro"]});
        assert_eq!(summary(&document), json!({"recursiveReadOnly": true, "ociVersionMax": "1.2.0"}));
        assert_eq!(summary(&Value::Null), json!({"recursiveReadOnly": false, "ociVersionMax": ""}));
    }

    #[test]
    fn wrong_words_are_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for text in ["fly", "features --x", "delete --id"] {
            assert!(run(words(text).iter()).is_err(), "{text}");
        }
        assert!(run(words("features --path /no/such/runtime").iter()).is_err());
    }
}
