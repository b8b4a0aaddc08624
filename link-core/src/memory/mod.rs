//! In-memory transport and host.
