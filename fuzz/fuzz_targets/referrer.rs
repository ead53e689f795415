#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| csign_fuzz::run("referrer", bytes));
