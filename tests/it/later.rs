//! What becomes of a trail when nothing but sweeps happens for a day: `pcs-api-audit verify` finds it whole at any time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pcs_api_audit::verify::{Rules, Verifier};
use tokio::time::Instant;

use crate::world::{World, items};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Hours. Longer than the first sweep looks back; an hour has its digest two sweeps after it ended.
const SWEEPS: [i32; 9] = [0, 1, 2, 3, 4, 10, 18, 27, 28];

/// Sweeps for a day from `from` on, and holds the whole table against its hashes, chains and digests now and then.
pub async fn is_whole_later(world: &World, from: Timestamp) {
    is_whole_at(world, from).await;
    for hour in SWEEPS {
        let now = from + HOUR * hour;
        let deadline = Instant::now() + Duration::from_mins(1);
        world.gateway.sweep("sweep", now, deadline).await.unwrap();
        if [0, 1, 4, 28].contains(&hour) {
            is_whole_at(world, now).await;
        }
    }
}

async fn is_whole_at(world: &World, now: Timestamp) {
    let rules = Rules {
        as_of: Some(now),
        ..Rules::default()
    };
    let mut findings = Vec::new();
    let mut verifier = Verifier::new(rules, |finding| findings.push(format!("{finding:?}")));
    for row in items(&world.stack).await {
        verifier.add(&row);
    }
    verifier.finish();
    assert_eq!(findings, Vec::<String>::new(), "at {now}");
}
