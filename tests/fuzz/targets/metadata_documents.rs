//! `keystead::fuzzing::metadata_documents` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystead::fuzzing::metadata_documents(bytes));
