//! Input carried between real sockets: whatever way it is cut, what arrives and what is given back is what was sent.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use podwright_carry::{Canceller, Carried, Ends, Framing, Limits, Stop, carry};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

const STREAM: u32 = 5;

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    (client, server)
}

/// Client, server's end, the end that input is carried to, and who reads that.
fn ends() -> (TcpStream, TcpStream, UnixStream, UnixStream) {
    let (client, server) = tcp();
    let (to, reader) = UnixStream::pair().unwrap();
    to.set_nonblocking(true).unwrap();
    (client, server, to, reader)
}

fn run(server: &TcpStream, to: &UnixStream, framing: &Framing, limits: (u64, u64)) -> Carried {
    let (from, to) = (server.try_clone().unwrap().into(), to.try_clone().unwrap().into());
    let canceller = Canceller::new().unwrap();
    let limits = Limits { quiet: Duration::from_millis(limits.0), time: Duration::from_millis(limits.1) };
    carry(Ends { from, to, canceller }, framing, limits).unwrap()
}

fn spdy(left: u32) -> Framing {
    Framing::Spdy { stream_id: STREAM, left }
}

fn websocket(left: usize) -> Framing {
    Framing::WebSocket { channel: 0, left, longest: 1 << 20 }
}

fn spdy_frame(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32) | u32::from(flags) << 24;
    [&stream.to_be_bytes()[..], &length.to_be_bytes(), bytes].concat()
}

fn message(opcode: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        n @ 0..126 => frame.push(0x80 | n as u8),
        n @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn input(channel: u8, mask: [u8; 4], bytes: &[u8]) -> Vec<u8> {
    message(2, mask, &[&[channel], bytes].concat())
}

/// Bytes that tell where they belong.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// The payloads in frames of the stream.
fn spdy_payload(mut frames: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while frames.len() >= 8 {
        let length = u32::from_be_bytes(frames[4..8].try_into().unwrap()) as usize & 0xff_ffff;
        let end = frames.len().min(8 + length);
        payload.extend_from_slice(&frames[8..end]);
        frames = &frames[end..];
    }
    payload
}

/// The payload of the first message of channel 0, and how many bytes of it are missing.
fn message_payload(frame: &[u8]) -> (Vec<u8>, usize) {
    assert_eq!(frame[0], 0x82);
    let (length, at) = match frame[1] & 0x7f {
        127 => (u64::from_be_bytes(frame[2..10].try_into().unwrap()) as usize, 10),
        126 => (u16::from_be_bytes(frame[2..4].try_into().unwrap()) as usize, 4),
        n => (n as usize, 2),
    };
    let (mask, bytes) = (&frame[at..at + 4], &frame[at + 4..frame.len().min(at + 4 + length)]);
    let mut plain: Vec<u8> = bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    assert_eq!(plain.remove(0), 0, "the channel");
    let missing = length - 1 - plain.len();
    (plain, missing)
}

fn read_all(mut reader: UnixStream) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

#[test]
fn spdy_frames_pass_and_another_frame_is_given_back() {
    let (mut client, server, to, reader) = ends();
    let data = pattern(3_000_000);
    let ping = [&0x8003_0006_u32.to_be_bytes()[..], &4u32.to_be_bytes(), &1u32.to_be_bytes()].concat();
    let sent = {
        let mut bytes = data[..1000].to_vec(); // the rest of a frame whose head was read
        for piece in data[1000..].chunks(70_001) {
            bytes.extend(spdy_frame(STREAM, 0, piece));
        }
        bytes.extend(spdy_frame(STREAM, 0, &[]));
        bytes.extend(&ping);
        bytes
    };
    let reading = read_all(reader);
    let sending = thread::spawn(move || {
        client.write_all(&sent).unwrap();
        client
    });
    let carried = run(&server, &to, &spdy(1000), (20_000, 60_000));
    drop(to);
    assert_eq!((carried.bytes, carried.stop), (3_000_000, Stop::Other));
    assert_eq!(carried.rest, ping[..8]);
    assert!(reading.join().unwrap() == data);
    drop(sending.join().unwrap());
}

#[test]
fn other_streams_and_last_frames_are_given_back() {
    for frame in [spdy_frame(7, 0, b"x"), spdy_frame(STREAM, 1, b"x"), spdy_frame(STREAM, 1, b"")] {
        let (mut client, server, to, _reader) = ends();
        client.write_all(&frame).unwrap();
        let carried = run(&server, &to, &spdy(0), (20_000, 60_000));
        assert_eq!(carried, Carried { bytes: 0, rest: frame[..8].to_vec(), stop: Stop::Other });
    }
}

#[test]
fn a_stalled_reader_gets_what_it_takes_and_the_rest_comes_back_as_frames() {
    let (client, server, to, mut reader) = ends();
    let data = pattern(4_000_000);
    client.set_nonblocking(true).unwrap();
    let frame = spdy_frame(STREAM, 0, &data);
    let written = (&client).write(&frame).unwrap();
    let carried = run(&server, &to, &spdy(0), (100, 60_000));
    assert_eq!(carried.stop, Stop::Quiet);
    let mut taken = vec![0; carried.bytes as usize];
    reader.read_exact(&mut taken).unwrap();
    let given_back = spdy_payload(&carried.rest);
    let mut left_in_socket = vec![0; written - 8 - taken.len() - given_back.len()];
    server.set_nonblocking(false).unwrap();
    (&server).read_exact(&mut left_in_socket).unwrap();
    assert!([taken, given_back, left_in_socket].concat() == data[..written - 8]);
    let length = u32::from_be_bytes(carried.rest[4..8].try_into().unwrap());
    assert_eq!(u64::from(length) + carried.bytes, 4_000_000, "what is left of the frame");
}

#[test]
fn half_a_head_is_given_back() {
    let (mut client, server, to, _reader) = ends();
    client.write_all(&spdy_frame(STREAM, 0, b"x")[..5]).unwrap();
    let carried = run(&server, &to, &spdy(0), (100, 60_000));
    assert_eq!(carried, Carried { bytes: 0, rest: spdy_frame(STREAM, 0, b"x")[..5].to_vec(), stop: Stop::Quiet });
    let (mut client, server, to, _reader) = ends();
    client.write_all(&input(0, [1, 2, 3, 4], b"x")[..4]).unwrap();
    let carried = run(&server, &to, &websocket(0), (100, 60_000));
    assert_eq!(carried, Carried { bytes: 0, rest: input(0, [1, 2, 3, 4], b"x")[..4].to_vec(), stop: Stop::Quiet });
}

#[test]
fn ends_on_both_sides_are_told() {
    for framing in [spdy(10), spdy(0), websocket(0), websocket(9)] {
        let (client, server, to, _reader) = ends();
        drop(client);
        assert_eq!(run(&server, &to, &framing, (20_000, 60_000)).stop, Stop::Ended, "{framing:?}");
    }
    let (mut client, server, to, reader) = ends();
    drop(reader);
    client.write_all(&spdy_frame(STREAM, 0, b"nobody reads this")).unwrap();
    assert_eq!(run(&server, &to, &spdy(0), (20_000, 60_000)), Carried { bytes: 0, rest: vec![], stop: Stop::Unread });
    let (mut client, server, to, reader) = ends();
    drop(reader);
    client.write_all(&input(0, [9; 4], b"nobody reads this")).unwrap();
    assert_eq!(
        run(&server, &to, &websocket(0), (20_000, 60_000)),
        Carried { bytes: 0, rest: vec![], stop: Stop::Unread }
    );
}

#[test]
fn messages_pass_unmasked_and_another_one_is_given_back() {
    let (mut client, server, to, reader) = ends();
    let data = pattern(3_000_000);
    let close = message(2, [7, 7, 7, 7], &[255, 0]);
    let mut sent = Vec::new();
    for (i, piece) in data.chunks(77_777).enumerate() {
        sent.extend(input(0, [i as u8, 2, 0x83, 0xfe], piece));
    }
    sent.extend(input(0, [0; 4], b"short"));
    sent.extend(&close);
    let reading = read_all(reader);
    let sending = thread::spawn(move || {
        client.write_all(&sent).unwrap();
        client
    });
    let carried = run(&server, &to, &websocket(0), (20_000, 60_000));
    drop(to);
    assert_eq!((carried.bytes, carried.stop), (3_000_005, Stop::Other));
    assert!(carried.rest.starts_with(&close[..8]), "{:?}", carried.rest);
    assert!(reading.join().unwrap() == [&data[..], b"short"].concat());
    drop(sending.join().unwrap());
}

#[test]
fn what_is_no_plain_input_is_given_back_whole() {
    let part = [&[0x02][..], &input(0, [1; 4], b"part")[1..]].concat();
    let unmasked = [0x82, 2, 0, b'x'].to_vec();
    let long = input(0, [1; 4], &pattern(2000));
    let others = [message(9, [1; 4], b"ping"), message(8, [1; 4], b""), input(4, [1; 4], b"{}"), part, unmasked];
    for frame in others.into_iter().chain([message(2, [1; 4], b""), long]) {
        let (mut client, server, to, _reader) = ends();
        client.write_all(&frame).unwrap();
        drop(client);
        let framing = Framing::WebSocket { channel: 0, left: 0, longest: 1000 };
        let carried = run(&server, &to, &framing, (20_000, 60_000));
        assert_eq!(carried.bytes, 0);
        let mut rest = carried.rest;
        server.set_nonblocking(false).unwrap();
        (&server).read_to_end(&mut rest).unwrap();
        assert_eq!(rest, frame);
    }
}

#[test]
fn a_message_that_was_passed_on_in_part_comes_back_as_one_of_what_is_left() {
    let (client, server, to, mut reader) = ends();
    let data = pattern(1_000_000);
    let frame = input(0, [0x11, 0x22, 0x33, 0x44], &data);
    client.set_nonblocking(true).unwrap();
    let written = (&client).write(&frame).unwrap();
    let carried = run(&server, &to, &websocket(0), (100, 60_000));
    assert_eq!(carried.stop, Stop::Quiet);
    let mut taken = vec![0; carried.bytes as usize];
    reader.read_exact(&mut taken).unwrap();
    let mut rest = carried.rest;
    // the head and the channel are not of the data
    let mut more = vec![0; written - 14 - 1 - taken.len() - message_payload(&rest).0.len()];
    server.set_nonblocking(false).unwrap();
    (&server).read_exact(&mut more).unwrap();
    rest.extend_from_slice(&more);
    let (payload, missing) = message_payload(&rest);
    let got = [taken, payload].concat();
    assert!(got == data[..got.len()]);
    assert_eq!(got.len() + missing, data.len());
    assert_eq!(got.len(), written - 14 - 1);
}

#[test]
fn the_end_of_a_frame_is_given_back_when_it_is_asked_for() {
    let (mut client, server, to, _reader) = ends();
    client.write_all(b"end of a frame, and the next").unwrap();
    let carried = run(&server, &to, &websocket(14), (20_000, 60_000));
    assert_eq!(carried, Carried { bytes: 0, rest: b"end of a frame".to_vec(), stop: Stop::Done });
}

#[test]
fn it_ends_when_time_is_over_or_it_is_cancelled() {
    let (mut client, server, to, reader) = ends();
    let reading = read_all(reader);
    let sending = thread::spawn(move || while client.write_all(&spdy_frame(STREAM, 0, &[7; 60_000])).is_ok() {});
    let carried = run(&server, &to, &spdy(0), (20_000, 50));
    assert_eq!(carried.stop, Stop::Done);
    let canceller = Canceller::new().unwrap();
    canceller.cancel();
    let other = ends();
    let limits = Limits { quiet: Duration::from_secs(60), time: Duration::from_secs(60) };
    let ends = Ends { from: other.1.into(), to: other.2.into(), canceller };
    assert_eq!(carry(ends, &spdy(0), limits).unwrap().stop, Stop::Cancelled);
    drop((server, to));
    sending.join().unwrap();
    assert_eq!(reading.join().unwrap().len() as u64, carried.bytes);
}
