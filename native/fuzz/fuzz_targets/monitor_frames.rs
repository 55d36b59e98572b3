#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| podwright_protocol::fuzzed::monitor_frames(bytes));
