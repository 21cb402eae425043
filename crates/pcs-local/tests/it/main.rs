//! The crate's one integration binary: `pcs-local` as a process, as a person starts it.

// `cfg(test)` tells clippy what a test binary is already: code that may fail loudly.
#[cfg(test)]
mod client;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod program;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod start;
#[cfg(test)]
mod state;
#[cfg(test)]
mod stop;
