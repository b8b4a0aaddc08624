//! The acceptance list of the reference system, as far as it concerns whole links: each test is written once, and runs
//! over each carrier. The number in its name is the line of that list.
//!
//! Lines that concern route sets alone are in `link-core/tests/routes_emqx.rs`, line 19 is in its `config_file.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

#[path = "../../../link-core/tests/common/mod.rs"]
mod common;
mod links;
mod network;
mod scripted;
