//! `keystead::fuzzing::form_parameters` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystead::fuzzing::form_parameters(bytes));
