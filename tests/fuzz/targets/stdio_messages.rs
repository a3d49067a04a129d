//! `keystead::fuzzing::stdio_messages` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystead::fuzzing::stdio_messages(bytes));
