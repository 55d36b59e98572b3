//! Large blobs over slow connections: several ranges at once, in order, and back to one connection when that fails.

mod scratch;
mod server;

use scratch::{Scratch, blob_request, failure, get, noise, sha256};
use serde_json::json;
use server::{Got, Reply, Server};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

const SIZE: usize = (26 << 20) + 12_345;

/// Made once: it takes its time without optimisation.
fn blob() -> Vec<u8> {
    static BLOB: OnceLock<Vec<u8>> = OnceLock::new();
    BLOB.get_or_init(|| noise(SIZE)).clone()
}

/// For 64 KiB each: a connection gives 4 MB/s at most, and stays what holds up also where the processors are busy.
const PAUSE: Duration = Duration::from_millis(15);

fn fetched(server: &Server, blob: &[u8]) -> Result<Vec<u8>, (&'static str, i32, String)> {
    // In memory: a busy disk would look like a layer that is slower than its connection.
    let s = Scratch::below(Path::new("/dev/shm"));
    let path = s.root.join("blob");
    let url = format!("http://{}/blob", server.authority);
    match get(&blob_request(&url, blob, json!({ "keepBlobPath": path, "attempts": 3 }))) {
        Ok(_) => Ok(std::fs::read(&path).expect("read")),
        failed => Err(failure(failed)),
    }
}

/// Requests for a range with an end.
fn ranges(server: &Server) -> usize {
    server.requests().iter().filter(|got| closed(got)).count()
}

fn closed(got: &Got) -> bool {
    got.header("range").is_some_and(|range| !range.ends_with('-'))
}

#[test]
fn a_slow_connection_gives_way_to_ranges() {
    let blob = blob();
    let served = blob.clone();
    let server = Server::http(move |got| Reply::slow_range(got, &served, PAUSE));
    assert!(fetched(&server, &blob).expect("fetch") == blob);
    let requests = server.requests();
    assert_eq!((requests[0].range(), closed(&requests[0])), (0, false));
    assert!(ranges(&server) > 6, "{}", ranges(&server));
    assert!(requests.iter().all(|got| got.header("authorization") == Some("Bearer s3cret")));
}

#[test]
fn ranges_that_fail_or_lie_leave_it_to_one_connection() {
    type Bad = fn(&Got, Reply) -> Reply;
    let cases: [(&str, Bad); 4] = [
        ("refused", |_, _| Reply::new(429, b"")),
        ("cut", |got, reply| Reply { cut: (got.nth > 3).then_some(100_000), ..reply }),
        ("the whole", |_, reply| Reply { status: 200, ..reply }),
        ("another", |_, reply| Reply::new(206, &reply.body).header("Content-Range", "bytes 1-2/3")),
    ];
    for (name, bad) in cases {
        let blob = blob();
        let served = blob.clone();
        let server = Server::http(move |got| {
            let reply = Reply::slow_range(got, &served, PAUSE);
            if closed(got) { bad(got, reply) } else { reply }
        });
        assert!(fetched(&server, &blob).expect(name) == blob, "{name}");
        let requests = server.requests();
        assert!(ranges(&server) >= 1 && requests.iter().filter(|got| !closed(got)).count() >= 2, "{name}");
    }
}

#[test]
fn other_bytes_in_a_range_are_seen_by_the_digest() {
    let blob = blob();
    let served = blob.clone();
    let server = Server::http(move |got| {
        let mut reply = Reply::slow_range(got, &served, PAUSE);
        if closed(got) {
            reply.body[7] ^= 1;
        }
        reply
    });
    let (stage, _, message) = fetched(&server, &blob).expect_err("refused");
    assert!(stage == "digest" && message.contains(&sha256(&blob)), "{message}");
}

#[test]
fn servers_without_ranges_and_small_blobs_are_left_alone() {
    let small = blob()[..12 << 20].to_vec();
    let served = small.clone();
    let server = Server::http(move |got| Reply::slow_range(got, &served, PAUSE));
    assert!(fetched(&server, &small).expect("small") == small);
    let large = blob();
    let served = large.clone();
    let plain = Server::http(move |_| Reply { pause: Some(Duration::from_millis(2)), ..Reply::new(200, &served) });
    assert!(fetched(&plain, &large).expect("large") == large);
    assert_eq!((server.requests().len(), plain.requests().len()), (1, 1));
}
