//! How many connections a port may have at once.
//!
//! A crowd that only sits there must not keep others out, and must not take the file descriptors that the program needs
//! for its own calls. So the room is smaller than what the process may open, and whoever comes into a full one gets the
//! place of the connection that has been idle longest. Each port has a room of its own: calls that fill the gateway's
//! need connections to the emulators' ports to come to an end.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::meter::Meter;

/// More than anybody's clients keep open, fewer than any system's own limit for all of its processes.
const MOST: usize = 1024;
/// Where the limit of file descriptors cannot be asked for: the smallest default that is common.
const DESCRIPTORS_UNKNOWN: usize = 256;

#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    inside: Mutex<Inside>,
    /// Somebody left.
    left: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    meters: BTreeMap<u64, Arc<Meter>>,
}

/// A place in the room, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    shared: Arc<Shared>,
}

impl Room {
    pub(crate) fn of(most: usize) -> Room {
        Room {
            most,
            shared: Arc::default(),
        }
    }

    /// A place; in a full room another has to leave first.
    pub(crate) async fn enter(&self, meter: &Arc<Meter>) -> Place {
        loop {
            if let Some(place) = self.try_enter(meter) {
                return place;
            }
            let left = self.shared.left.notified();
            self.make_room();
            left.await;
        }
    }

    /// Asks the most dispensable connection to leave.
    pub(crate) fn make_room(&self) {
        let inside = self.shared.lock();
        let candidates = inside.meters.values();
        let most_dispensable = candidates
            .filter_map(|meter| Some((meter.dispensable()?, meter)))
            .min_by_key(|(key, _)| *key);
        if let Some((_, meter)) = most_dispensable {
            meter.ask_to_leave();
        }
    }

    fn try_enter(&self, meter: &Arc<Meter>) -> Option<Place> {
        let mut inside = self.shared.lock();
        if inside.meters.len() >= self.most {
            return None;
        }
        let number = inside.next;
        inside.next += 1;
        inside.meters.insert(number, Arc::clone(meter));
        Some(Place {
            number,
            shared: Arc::clone(&self.shared),
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        // One insertion or removal each: nothing can be half done.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().meters.remove(&self.number);
        self.shared.left.notify_one();
    }
}

/// The room of one of `ports` ports: five eighths of what the process may open, in equal parts. Each call that is
/// answered opens other connections, and the state has files.
pub(crate) fn share(ports: usize) -> usize {
    let all = descriptors().unwrap_or(DESCRIPTORS_UNKNOWN) / 8 * 5;
    (all / ports.max(1)).clamp(1, MOST)
}

/// How many files and connections this process may have open, where the system says it in a file.
fn descriptors() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
