//! `keystead::fuzzing::basic_credentials` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystead::fuzzing::basic_credentials(bytes));
