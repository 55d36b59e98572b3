//! Bytes sent to a server that is asked first whether it wants them.

mod scratch;

use podwright_fetch::{Job, send_blob};
use scratch::{Scratch, no_tls, noise, sha256, unique};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

/// The lines of a request's head, and its body if it did not ask first.
fn request(from: &mut impl BufRead) -> (Vec<String>, Vec<u8>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).expect("head");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_ascii_lowercase()),
        }
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).expect("length");
    let asks = lines.iter().any(|line| line == "expect: 100-continue");
    let mut body = vec![0; if asks { 0 } else { length.parse().expect("number") }];
    from.read_exact(&mut body).expect("body");
    (lines, body)
}

#[test]
fn a_server_that_cannot_be_asked_first_is_sent_the_bytes() {
    let (s, blob) = (Scratch::new(), noise(2 << 20));
    let path = s.write("blob", &blob);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}/upload", listener.local_addr().expect("address"));
    let server = thread::spawn(move || {
        ["417 Expectation Failed", "201 Created"].map(|status| {
            let (mut stream, _) = listener.accept().expect("accept");
            let got = request(&mut BufReader::new(&stream));
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").expect("answer");
            got
        })
    });
    let to_send = json!({
        "handle": unique("handle"), "method": "PUT", "url": url, "headers": [], "allowHttp": true, "tls": no_tls(),
        "proxy": null, "connectMs": 20_000, "stallMs": 20_000, "answerMs": 20_000, "reach": "any",
        "file": { "path": path, "digest": sha256(&blob), "size": blob.len() }, "begin": 0, "end": blob.len(),
    });
    let job = Job::register(&unique("job"), 0).expect("register");
    let sent = send_blob(&serde_json::from_value(to_send).expect("request"), &job).expect("send");
    assert_eq!(sent.status, 201);
    let [(first, _), (second, body)] = server.join().expect("server");
    assert!(first.iter().any(|line| line == "expect: 100-continue"), "{first:?}");
    assert!(!second.iter().any(|line| line.starts_with("expect:")), "{second:?}");
    assert!(body == blob);
}
