#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| podwright_netlink::fuzzed::netlink_replies(bytes));
