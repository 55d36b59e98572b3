//! A pod's user namespace, in the request for it and in the spec of a container.

use super::bundle::Bundle;
use podwright_protocol::message::{CreateSandbox, IdMapping, UserNamespace};
use serde_json::{Value, json};

/// Root's id outside.
pub const FIRST: u32 = 500_000;
/// How many ids there are.
pub const COUNT: u32 = 65_536;

/// The ids as a spec has them.
pub fn mapping() -> Value {
    json!([{"containerID": 0, "hostID": FIRST, "size": COUNT}])
}

pub fn with_users(request: &mut CreateSandbox) {
    let ids = IdMapping { inside: 0, outside: FIRST, count: COUNT };
    request.user = Some(UserNamespace { uids: Some(ids), gids: Some(ids) });
}

/// The bundle with the pod's user namespace.
pub fn mapped(mut bundle: Bundle) -> Bundle {
    bundle.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    bundle.spec["linux"]["uidMappings"] = mapping();
    bundle.spec["linux"]["gidMappings"] = mapping();
    bundle
}
