//! The function has a core of its own. Without that the scheduler wakes the harness on the core of the function that
//! has just written to it, even while another is idle: what AWS does for its part then takes the function's processor
//! and its caches, and nothing that the function does meanwhile is won.

use std::{
    io,
    process::{Child, Command},
    sync::OnceLock,
    thread,
    time::Instant,
};

use core_affinity::CoreId;

use crate::Outcome;

/// The functions' core; unset where there is only one, or everything may run everywhere.
static FUNCTIONS: OnceLock<CoreId> = OnceLock::new();

/// Keeps this thread to the first core, and for functions the last one.
pub fn part() {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let [first, .., last] = cores.as_slice()
        && core_affinity::set_for_current(*first)
    {
        // Nobody has set it before: this is called once.
        let _ = FUNCTIONS.set(*last);
    }
}

/// Starts a function on its core, and says when: a process runs where the thread that starts it may.
pub fn spawn(command: &mut Command) -> Outcome<(Instant, Child)> {
    let start = || -> io::Result<(Instant, Child)> {
        if let Some(core) = FUNCTIONS.get()
            && !core_affinity::set_for_current(*core)
        {
            return Err(io::Error::other("the functions' core cannot be used"));
        }
        let spawned = Instant::now();
        Ok((spawned, command.spawn()?))
    };
    let started = thread::scope(|scope| scope.spawn(start).join());
    Ok(started.map_err(|_| "the thread that starts a function panicked")??)
}
