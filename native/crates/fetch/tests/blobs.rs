//! Blobs over HTTP from servers that misbehave in every way we know.

mod scratch;
mod server;

use scratch::{Scratch, blob_request, failure, get, noise, sha256};
use serde_json::json;
use server::{Reply, Server};
use std::time::{Duration, Instant};

const SIZE: usize = 700_000;

fn url(server: &Server) -> String {
    format!("http://{}/v2/a/blobs/x?sig=s3cret", server.authority)
}

#[test]
fn a_blob_comes_whole_into_memory_or_a_file() {
    let blob = noise(SIZE);
    let server = Server::http(move |got| Reply::ranged(got, &noise(SIZE)));
    let fetched = get(&blob_request(&url(&server), &blob, json!({}))).expect("fetch");
    assert_eq!((fetched.data.as_deref(), fetched.bytes), (Some(&blob[..]), SIZE as u64));
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer s3cret"));
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
    let s = Scratch::new();
    let kept = s.root.join("blob");
    let fetched = get(&blob_request(&url(&server), &blob, json!({ "keepBlobPath": kept }))).expect("fetch");
    assert_eq!(fetched.data, None);
    assert_eq!(std::fs::read(&kept).expect("read"), blob);
    assert_eq!(s.names(), ["blob"]);
    let large = json!({ "expected": { "size": 9 << 20 } });
    assert_eq!(failure(get(&blob_request(&url(&server), &blob, large))).0, "limit");
}

#[test]
fn a_cut_connection_is_resumed_where_it_broke() {
    let blob = noise(SIZE);
    let server = Server::http(|got| {
        let mut reply = Reply::ranged(got, &noise(SIZE));
        reply.cut = (got.nth < 2).then_some(300_000);
        reply
    });
    assert_eq!(get(&blob_request(&url(&server), &blob, json!({}))).expect("fetch").data, Some(blob));
    let ranges: Vec<usize> = server.requests().iter().map(server::Got::range).collect();
    assert_eq!(ranges, [0, 300_000, 600_000]);
}

#[test]
fn a_server_without_ranges_is_asked_again_and_read_past() {
    let blob = noise(SIZE);
    let server = Server::http(|got| {
        let mut reply = Reply::new(200, &noise(SIZE));
        reply.cut = (got.nth == 0).then_some(400_000);
        reply
    });
    assert_eq!(get(&blob_request(&url(&server), &blob, json!({}))).expect("fetch").data, Some(blob));
}

#[test]
fn a_wrong_range_is_refused() {
    let blob = noise(1000);
    for range in ["bytes 1-999/1000", "bytes 500-999/2000", "rubbish"] {
        let server = Server::http(move |got| {
            if got.nth > 0 {
                return Reply::new(206, &noise(1000)[500..]).header("Content-Range", range);
            }
            Reply { cut: Some(500), ..Reply::new(200, &noise(1000)) }
        });
        let (stage, _, message) = failure(get(&blob_request(&url(&server), &blob, json!({}))));
        assert!(matches!(stage, "http" | "digest"), "{message}");
    }
}

#[test]
fn a_stalled_connection_is_given_up_and_resumed() {
    let blob = noise(SIZE);
    let whole = blob.clone(); // made beforehand: that may take longer than a stall
    let server =
        Server::http(move |got| Reply { stall: (got.nth == 0).then_some(100_000), ..Reply::ranged(got, &whole) });
    let request = blob_request(&url(&server), &blob, json!({ "stallMs": 1000 }));
    assert_eq!(get(&request).expect("fetch").data, Some(blob.clone()));
    assert_eq!(server.requests()[1].range(), 100_000);
    let server = Server::http(|_| Reply { stall: Some(0), ..Reply::new(200, &noise(SIZE)) });
    let request = blob_request(&url(&server), &blob, json!({ "stallMs": 1000, "attempts": 2 }));
    let (stage, _, message) = failure(get(&request));
    assert_eq!((stage, server.requests().len()), ("timeout", 2), "{message}");
}

#[test]
fn busy_servers_are_asked_again_as_they_wish() {
    let blob = noise(100);
    let server = Server::http(|got| match got.nth {
        0 => Reply::new(429, b"").header("Retry-After", "1"),
        _ => Reply::new(200, &noise(100)),
    });
    let before = Instant::now();
    get(&blob_request(&url(&server), &blob, json!({}))).expect("fetch");
    assert!(before.elapsed() >= Duration::from_secs(1));
    let server = Server::http(|_| Reply::new(503, b""));
    let (stage, code, _) = failure(get(&blob_request(&url(&server), &blob, json!({ "attempts": 2 }))));
    assert_eq!((stage, code, server.requests().len()), ("http", 503, 2));
    let server = Server::http(|_| Reply::new(429, b"").header("Retry-After", "3600"));
    let (_, code, message) = failure(get(&blob_request(&url(&server), &blob, json!({}))));
    assert_eq!((code, server.requests().len()), (429, 1));
    assert!(message.ends_with("http status 429 (retry after 3600 s)"), "{message}");
}

#[test]
fn refusals_are_passed_on_at_once() {
    let blob = noise(100);
    for status in [400, 401, 403, 404, 416] {
        let server = Server::http(move |_| Reply::new(status, b"no"));
        let (stage, code, message) = failure(get(&blob_request(&url(&server), &blob, json!({}))));
        assert_eq!((stage, code, server.requests().len()), ("http", i32::from(status), 1));
        assert_eq!(message, format!("fetch blob {} from {}: http status {status}", sha256(&blob), server.authority));
    }
}

#[test]
fn bytes_that_are_not_the_blob_are_refused() {
    let blob = noise(1000);
    let server = Server::http(|_| Reply::new(200, &[7; 1000]));
    let s = Scratch::new();
    let (stage, _, message) =
        failure(get(&blob_request(&url(&server), &blob, json!({ "keepBlobPath": s.root.join("b") }))));
    let text = format!("digest mismatch: got {}, expected {}", sha256(&[7; 1000]), sha256(&blob));
    assert!(stage == "digest" && message.ends_with(&text), "{message}");
    assert!(s.names().is_empty(), "nothing half-made is left");
    let server = Server::http(|_| Reply::new(200, &noise(1001)));
    let (stage, _, message) = failure(get(&blob_request(&url(&server), &blob, json!({}))));
    assert!(stage == "digest" && message.ends_with("size mismatch: got 1001, expected 1000"), "{message}");
    let chunked = |_: &server::Got| {
        let body = [b"3e9\r\n", &noise(1001)[..], b"\r\n0\r\n\r\n"].concat();
        Reply::new(200, &body).header("Transfer-Encoding", "chunked").header("Content-Length", "")
    };
    let server = Server::http(chunked);
    assert!(get(&blob_request(&url(&server), &blob, json!({ "attempts": 1 }))).is_err());
    let server = Server::http(|got| Reply { cut: Some(10), ..Reply::ranged(got, &noise(1000)) });
    let (stage, _, message) = failure(get(&blob_request(&url(&server), &blob, json!({ "attempts": 3 }))));
    assert!(stage == "http" && message.ends_with("the connection ended after 30 of 1000 bytes"), "{message}");
}

#[test]
fn credentials_do_not_follow_to_another_host() {
    let blob = noise(100);
    let other = Server::http(|_| Reply::new(200, &noise(100)));
    let to = format!("http://{}/signed?sig=s3cret", other.authority);
    let server = Server::http(
        move |got| if got.path.contains("same") { Reply::redirect(&to) } else { Reply::redirect("/same") },
    );
    get(&blob_request(&url(&server), &blob, json!({}))).expect("fetch");
    let same = &server.requests()[1];
    assert_eq!((same.header("authorization"), same.header("x-token")), (Some("Bearer s3cret"), Some("s3cret")));
    let followed = &other.requests()[0];
    assert_eq!((followed.path.as_str(), followed.header("accept")), ("/signed?sig=s3cret", Some("*/*")));
    assert_eq!((followed.header("authorization"), followed.header("x-token")), (None, None));
}

#[test]
fn redirects_end_somewhere() {
    let blob = noise(100);
    let server = Server::http(|_| Reply::redirect("/again"));
    let (stage, _, message) = failure(get(&blob_request(&url(&server), &blob, json!({}))));
    assert!(stage == "http" && message.ends_with("too many redirects") && server.requests().len() == 11, "{message}");
    for location in ["file:///etc/passwd", "http://u:s3cret@h/", "http://"] {
        let server = Server::http(move |_| Reply::redirect(location));
        assert_eq!(failure(get(&blob_request(&url(&server), &blob, json!({})))).0, "http");
    }
}

#[test]
fn redirects_keep_within_reach() {
    let blob = noise(100);
    for location in ["http://169.254.169.254/latest/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]:80/"] {
        let server = Server::http(move |_| Reply::redirect(location));
        let (stage, _, message) = failure(get(&blob_request(&url(&server), &blob, json!({}))));
        assert!(stage == "http" && message.contains("no server may lead to"), "{location}: {message}");
        assert_eq!(server.requests().len(), 1);
    }
    // Loopback may lead to loopback, by name too.
    let (storage, bytes) = (blob.clone(), blob.clone());
    let storage = Server::http(move |got| Reply::ranged(got, &storage));
    let port = storage.authority.rsplit_once(':').expect("a port").1.to_owned();
    let server = Server::http(move |_| Reply::redirect(&format!("http://localhost:{port}/blob")));
    get(&blob_request(&url(&server), &bytes, json!({}))).expect("fetch");
}

#[test]
fn hosts_that_are_not_there() {
    let blob = noise(10);
    let (stage, code, _) = failure(get(&blob_request("http://127.0.0.1:1/x", &blob, json!({ "attempts": 1 }))));
    assert_eq!((stage, code), ("connect", 111));
    let (stage, _, message) = failure(get(&blob_request("http://registry.invalid/x", &blob, json!({ "attempts": 1 }))));
    assert!(stage == "dns" && message.contains("from registry.invalid: resolve the host's name"), "{message}");
}

#[test]
fn malformed_requests_are_refused() {
    let blob = noise(10);
    let bad = [
        ("ftp://h/x", json!({})),
        ("http://u:s3cret@h/x", json!({})),
        ("http://h/x", json!({ "attempts": 0 })),
        ("http://h/x", json!({ "expected": { "digest": "sha256:../../x" } })),
        ("http://h/x", json!({ "proxy": "socks9://s3cret@" })),
        ("http://h/x", json!({ "headers": [["Bad\nName", "s3cret"]] })),
    ];
    for (url, change) in bad {
        let (stage, _, message) = failure(get(&blob_request(url, &blob, change)));
        assert_eq!(stage, "request", "{message}");
    }
    let (stage, _, message) = failure(get(&blob_request("http://h/x", &blob, json!({ "allowHttp": false }))));
    assert!(stage == "tls" && message.contains("plain http"), "{message}");
}

#[test]
fn a_cancel_interrupts_a_silent_server() {
    let blob = noise(1000);
    let server = Server::http(|_| Reply { stall: Some(10), ..Reply::new(200, &noise(1000)) });
    let request = blob_request(&url(&server), &blob, json!({ "stallMs": 60_000 }));
    let handle = request.handle.clone();
    let before = Instant::now();
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| get(&request));
        while server.requests().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(podwright_fetch::cancel(&handle));
        assert_eq!(failure(fetch.join().expect("join")).0, "cancel");
    });
    assert!(before.elapsed() < Duration::from_secs(50));
}

#[test]
fn endless_headers_are_refused() {
    let blob = noise(10);
    let server = Server::http(|_| Reply::new(200, &noise(10)).header("X-Large", &"x".repeat(100 << 10)));
    assert_eq!(failure(get(&blob_request(&url(&server), &blob, json!({ "attempts": 1 })))).0, "http");
}

#[test]
fn ipv6_is_spoken() {
    let blob = noise(10);
    let server = Server::start("[::1]:0", None, |_| Reply::new(200, &noise(10)));
    get(&blob_request(&url(&server), &blob, json!({}))).expect("fetch");
    assert!(server.authority.starts_with("[::1]:"));
}

#[test]
fn proxies_are_asked_with_their_own_credentials() {
    let blob = noise(10);
    let server = Server::http(|_| Reply::new(200, &noise(10)));
    let seen = std::sync::Arc::default();
    let (authority, thread) = server::proxy(200, std::sync::Arc::clone(&seen));
    let request = blob_request(&url(&server), &blob, json!({ "proxy": format!("http://user:s3cret@{authority}") }));
    get(&request).expect("fetch");
    thread.join().expect("join");
    let seen = seen.lock().expect("lock").clone();
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("CONNECT", server.authority.as_str()));
    assert_eq!(seen[0].header("proxy-authorization"), Some("Basic dXNlcjpzM2NyZXQ="));
    assert_eq!(seen[0].header("authorization"), None);
    let (authority, thread) = server::proxy(407, std::sync::Arc::default());
    let request = blob_request(
        &url(&server),
        &blob,
        json!({ "attempts": 1, "proxy": format!("http://user:s3cret@{authority}") }),
    );
    let (stage, _, message) = failure(get(&request));
    assert!(stage == "connect" && message.contains("407"), "{message}");
    thread.join().expect("join");
}
