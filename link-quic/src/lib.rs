//! Carries a cluster link over QUIC. This crate is a shell: it holds no transport yet, a link with a `quic://`
//! address is refused by the linker with "no transport carries quic".
