#![no_main]
#![allow(dead_code, reason = "one target of several")]

#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = targets::exposition_protobuf::run(input);
});
