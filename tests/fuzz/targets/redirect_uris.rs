//! `keystead::fuzzing::redirect_uris` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystead::fuzzing::redirect_uris(bytes));
