//! Runs [`fuzz::sketch_decode`]: under cargo-fuzz on what libFuzzer makes up, else on the files that are named.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::sketch_decode(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    fuzz::replay(fuzz::sketch_decode)
}
