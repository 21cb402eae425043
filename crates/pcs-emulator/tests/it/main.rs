//! The crate's one integration binary: PCS's documented behaviour, case by case, through
//! `Emulator::handle`. Expectations are AWS's: the API Reference, the User Guide and the smoke tests.

// `cfg(test)` tells clippy what a test binary is already: code that may fail loudly.
#[cfg(test)]
mod clusters;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod health_checks;
#[cfg(test)]
mod job_submit_plugins;
#[cfg(test)]
mod life;
#[cfg(test)]
mod node_groups;
#[cfg(test)]
mod noise;
#[cfg(test)]
mod program;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod world;
