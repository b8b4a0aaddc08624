//! Reusable parts of the examples.
