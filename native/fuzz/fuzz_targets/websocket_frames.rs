#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| podwright_carry::fuzzed::websocket_frames(bytes));
