//! Times as people type them.

use jiff::{SignedDuration, Timestamp};

/// `2026-11-21T13:30:00Z`, `2026-11-21T13` or `2026-11-21` (UTC), or a duration before now: `10m`, `36h`.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let candidates = [
        text.to_owned(),
        format!("{text}:00:00Z"),
        format!("{text}T00:00:00Z"),
    ];
    let absolute = candidates.iter().find_map(|text| text.parse().ok());
    absolute
        .or_else(|| ago(text).ok())
        .ok_or_else(|| "must be like 2026-11-21T13:30:00Z, 2026-11-21T13, 2026-11-21 or 36h (ago)".to_owned())
}

/// A duration before now.
pub fn ago(text: &str) -> Result<Timestamp, String> {
    let wrong = || "must be a duration like 90s, 10m or 36h".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    if duration.is_negative() {
        return Err(wrong());
    }
    Timestamp::now().checked_sub(duration).map_err(|_| wrong())
}

/// The beginning of an hour: `2026-11-21T13`.
pub fn hour(text: &str) -> Result<Timestamp, String> {
    format!("{text}:00:00Z")
        .parse()
        .map_err(|_| "must be an hour like 2026-11-21T13".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        let at = |text: &str| time(text).unwrap().to_string();
        assert_eq!(at("2026-11-21T13:30:00Z"), "2026-11-21T13:30:00Z");
        assert_eq!(at("2026-11-21T13:30:00+01:00"), "2026-11-21T12:30:00Z");
        assert_eq!(at("2026-11-21T13"), "2026-11-21T13:00:00Z");
        assert_eq!(at("2026-11-21"), "2026-11-21T00:00:00Z");
        let ago = time("36h").unwrap();
        let seconds = Timestamp::now().duration_since(ago).as_secs();
        assert!((36 * 3_600..36 * 3_600 + 60).contains(&seconds), "{seconds}");
        for wrong in ["", "yesterday", "-10m", "13:30", "2026-11-21T25"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(hour("2026-11-21T13").is_ok() && hour("2026-11-21").is_err());
    }
}
