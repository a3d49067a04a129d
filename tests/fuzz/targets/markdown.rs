//! `keystead::fuzzing::markdown` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystead::fuzzing::markdown(bytes));
