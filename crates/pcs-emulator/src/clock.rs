//! The emulator's time: the system clock plus what a test has advanced it by.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Nanoseconds since the Unix epoch. Good until the year 2262.
pub(crate) type Nanos = i64;

/// System time as nanoseconds; `offset` is how far tests have moved the emulator ahead of it.
pub(crate) fn now(offset: Nanos) -> Nanos {
    let system = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => nanos(before.duration()).saturating_neg(),
    };
    system.saturating_add(offset)
}

/// A duration in nanoseconds, saturating instead of wrapping.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// ISO 8601 UTC with nine fractional digits, the form in AWS's `CloudTrail` samples of PCS.
pub(crate) fn iso8601(at: Nanos) -> String {
    match Timestamp::from_nanosecond(i128::from(at)) {
        Ok(timestamp) => format!("{timestamp:.9}"),
        Err(_) => String::from("9999-12-31T23:59:59.000000000Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::iso8601;

    #[test]
    fn timestamps_have_the_form_of_the_cloudtrail_sample() {
        // 2024-07-16T17:13:09.276069393Z, the sample of the PCS User Guide, in seconds by `date -d`.
        assert_eq!(
            iso8601(1_721_149_989_276_069_393),
            "2024-07-16T17:13:09.276069393Z"
        );
        assert_eq!(
            iso8601(1_721_149_989_000_000_000),
            "2024-07-16T17:13:09.000000000Z"
        );
    }
}
