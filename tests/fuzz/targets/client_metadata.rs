//! `keystead::fuzzing::client_metadata` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystead::fuzzing::client_metadata(bytes));
