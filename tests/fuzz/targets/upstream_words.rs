//! `keystead::fuzzing::upstream_words` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystead::fuzzing::upstream_words(bytes));
