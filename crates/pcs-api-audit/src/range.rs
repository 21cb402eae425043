//! Stretches of time that may be asked for. An hour of the time index costs four reads even if nothing happened in it,
//! so what a range can cost is known before it is read.

use jiff::{SignedDuration, Timestamp};
use pcs_api::audit::query::{RANGE_MAX, Source};

use crate::failure::Failure;

/// The longest retention, 3,653 days, and the days that DynamoDB takes to remove what has expired.
const RETENTION_MAX: SignedDuration = SignedDuration::from_hours(3_660 * 24);
const DAY: i64 = 24;

/// Refuses a range that ends before it begins, or costs more than a person would wait for: 366 days by time (35,136
/// reads), and by another index what a table can hold (121 months, a read each).
pub fn check(source: &Source, from: Timestamp, to: Timestamp) -> Result<(), Failure> {
    let (longest, instead) = match source {
        Source::Time => (RANGE_MAX, "ask in pieces, or export the whole table"),
        Source::Principal(_) | Source::Cluster(_) | Source::Request(_) => {
            (RETENTION_MAX, "no call is kept for longer")
        }
    };
    if from >= to {
        return Err(Failure::Input(format!(
            "there is no time from {from:.0} to {to:.0}: the range must begin before it ends, and not in the future"
        )));
    }
    if to.duration_since(from) > longest {
        let days = longest.as_hours() / DAY;
        return Err(Failure::Input(format!(
            "from {from:.0} to {to:.0} are more than {days} days: {instead}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_worst_case() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2026-11-30T12:00:00Z");
        let principal = Source::Principal("AROADBQP57FF2AEXAMPLE".to_owned());
        for (source, from, to, expected) in [
            (&Source::Time, "2025-11-29T12:00:00Z", "2026-11-30T12:00:00Z", ""),
            (
                &Source::Time,
                "2025-11-29T11:59:59Z",
                "2026-11-30T12:00:00Z",
                "366 days",
            ),
            (
                &Source::Time,
                "0001-01-01T00:00:00Z",
                "2026-11-30T12:00:00Z",
                "366 days",
            ),
            (
                &Source::Time,
                "2026-11-30T12:00:00Z",
                "9999-12-30T22:00:00Z",
                "366 days",
            ),
            (
                &Source::Time,
                "-009999-01-02T02:00:00Z",
                "9999-12-30T22:00:00Z",
                "366 days",
            ),
            (&principal, "2017-01-01T00:00:00Z", "2026-11-30T12:00:00Z", ""),
            (
                &principal,
                "0001-01-01T00:00:00Z",
                "2026-11-30T12:00:00Z",
                "3660 days",
            ),
            (
                &principal,
                "2027-01-01T00:00:00Z",
                "2026-11-30T12:00:00Z",
                "before it ends",
            ),
            (
                &Source::Time,
                "2026-11-30T12:00:00Z",
                "2026-11-30T12:00:00Z",
                "before it ends",
            ),
        ] {
            let told = check(source, time(from), time(to))
                .map_or_else(|fault| fault.to_string(), |()| String::new());
            assert_eq!(told.is_empty(), expected.is_empty(), "{from} {to}: {told}");
            assert!(told.contains(expected), "{from} {to}: {told}");
        }
        assert!(check(&Source::Time, now, now + SignedDuration::from_secs(1)).is_ok());
    }
}
