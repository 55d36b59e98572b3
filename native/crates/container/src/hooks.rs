//! Hooks of the runtime-spec (config.md, POSIX-platform Hooks): programs around a container's life.

mod program;
pub mod runtime;

use crate::error::{StepError, StepResult};
use crate::spec::{Hook, Spec};
use crate::steps::Step;
use serde::Serialize;
use std::collections::BTreeMap;

pub(crate) use program::{Call, run};

/// How far a container is, in the runtime-spec's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made.
    Creating,
    /// Made; its program does not run yet.
    Created,
    /// Its program runs.
    Running,
    /// Ended.
    Stopped,
}

/// Whose hooks they are: what all of them are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    oci_version: String,
    id: String,
    bundle: String,
    annotations: BTreeMap<String, String>,
}

/// runtime-spec `State`, which a hook reads from its standard input.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: &'a str,
    annotations: &'a BTreeMap<String, String>,
}

impl Subject {
    /// The container of a spec. PURE.
    pub(crate) fn new(spec: &Spec, id: &str, bundle: &str) -> Self {
        Self {
            oci_version: spec.oci_version.clone(),
            id: id.into(),
            bundle: bundle.into(),
            annotations: spec.annotations.clone(),
        }
    }

    /// The state as JSON; `pid`: of the container's process as the hook sees it, none when that has ended. PURE.
    ///
    /// # Errors
    /// None but those of the encoder.
    pub(crate) fn state(&self, status: Status, pid: Option<i32>) -> StepResult<String> {
        let Self { oci_version, id, bundle, annotations } = self;
        serde_json::to_string(&State { oci_version, id, status, pid, bundle, annotations })
            .map_err(|e| StepError::invalid("write the state for hooks", id, &e.to_string()))
    }
}

/// What of a spec's hooks comes before the root is entered. PURE.
pub(crate) fn steps(spec: &Spec) -> Vec<Step> {
    let Some(hooks) = &spec.hooks else { return Vec::new() };
    let outside = !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty();
    let inside = Some(hooks.create_container.clone()).filter(|list| !list.is_empty());
    outside.then_some(Step::RuntimeHooks).into_iter().chain(inside.map(Step::ContainerHooks)).collect()
}

/// Whether hooks look for the root filesystem where the spec says that it is. PURE.
pub(crate) fn need_root(spec: &Spec) -> bool {
    !steps(spec).is_empty()
}

/// Checks what a hook says of itself. PURE.
///
/// # Errors
/// Its path is not absolute, its time limit is nothing.
fn check(kind: &str, Hook { path, timeout, .. }: &Hook) -> StepResult<()> {
    if !path.starts_with('/') {
        return Err(StepError::invalid("read", kind, &format!("path {path:?} of a hook is not absolute")));
    }
    if *timeout == Some(0) {
        return Err(StepError::invalid("read", kind, &format!("timeout of {path} is 0")));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(hooks: serde_json::Value) -> Spec {
        serde_json::from_value(json!({"ociVersion": "1.2.0", "annotations": {"a": "b"}, "hooks": hooks})).unwrap()
    }

    #[test]
    fn the_state_is_that_of_the_runtime_spec() {
        let subject = Subject::new(&spec(json!({})), "c1", "/b");
        let running = subject.state(Status::Running, Some(7)).unwrap();
        let expected = json!({"ociVersion": "1.2.0", "id": "c1", "status": "running", "pid": 7, "bundle": "/b", "annotations": {"a": "b"}});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&running).unwrap(), expected);
        assert!(!subject.state(Status::Stopped, None).unwrap().contains("pid"));
    }

    #[test]
    fn steps_are_there_for_hooks_that_are() {
        let hook = json!([{"path": "/h", "timeout": 2}]);
        let inside = Step::ContainerHooks(vec![Hook { path: "/h".into(), timeout: Some(2), ..Hook::default() }]);
        let table = [
            (json!({}), vec![]),
            (json!({"prestart": [], "poststop": hook, "poststart": hook, "startContainer": hook}), vec![]),
            (json!({"prestart": hook}), vec![Step::RuntimeHooks]),
            (json!({"createRuntime": hook}), vec![Step::RuntimeHooks]),
            (json!({"createContainer": hook}), vec![inside.clone()]),
            (json!({"createContainer": hook, "createRuntime": hook}), vec![Step::RuntimeHooks, inside]),
        ];
        for (hooks, expected) in table {
            assert_eq!(steps(&spec(hooks)), expected);
        }
        assert!(steps(&Spec::default()).is_empty());
    }

    #[test]
    fn a_kind_that_is_not_known_is_an_error() {
        assert!(serde_json::from_value::<Spec>(json!({"hooks": {"preStart": []}})).is_err());
    }

    #[test]
    fn a_hook_has_an_absolute_path_and_some_time() {
        let hook = |path: &str, timeout| Hook { path: path.into(), timeout, ..Hook::default() };
        assert!(check("poststop", &hook("/h", None)).is_ok());
        assert!(check("poststop", &hook("h", None)).is_err());
        assert!(check("poststop", &hook("/h", Some(0))).is_err());
    }
}
