//! `iam-emulator` as a person starts it.

// `cfg(test)` tells clippy what a test binary is already: code that may fail loudly.
#[cfg(test)]
mod program;
