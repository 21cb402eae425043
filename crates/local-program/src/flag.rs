//! Values that flags of several programs take, and what is said of them.

use std::{io, net::IpAddr, time::Duration};

/// A year. More is a typing error, and far enough from what clocks can hold.
pub const SECONDS_MAX: u32 = 31_536_000;

/// A time in seconds, such as `1.5`.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.0..=f64::from(SECONDS_MAX)).contains(seconds));
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("must be a number of seconds from 0 to {SECONDS_MAX} (a year)"))
}

/// The address of a `--host`. Names are refused, `localhost` too: it can be two addresses, and a program listens on one.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "`{text}` is not an IP address; give 127.0.0.1 for this machine alone, 0.0.0.0 for others too, or another \
             address of this machine"
        )
    })
}

/// Why a program cannot listen on `host` and the port that `flag` says, and what to do about it.
pub fn listen_fault(flag: &str, host: &str, port: u16, error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        let remedy = "end it, or choose another port, or 0 for any free one";
        return format!("{flag} {port}: another program uses this port; {remedy}");
    }
    if kind == io::ErrorKind::PermissionDenied {
        let remedy = "choose one from 1024 on, or 0 for any free one";
        return format!("{flag} {port}: this port is not for everybody ({error}); {remedy}");
    }
    format!("--host {host}: this program cannot listen there: {error}; name an address of this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_and_what_is_none_is_told_what_is() {
        assert_eq!(address("0.0.0.0"), Ok(IpAddr::from([0, 0, 0, 0])));
        assert_eq!(address("::1"), Ok(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])));
        for text in ["", "localhost", "127.0.0.1:1", "[::1]", "256.0.0.1", " 127.0.0.1"] {
            let told = address(text).unwrap_err();
            assert!(
                told.starts_with(&format!("`{text}` is not an IP address; give 127.0.0.1")),
                "{told}"
            );
        }
    }

    #[test]
    fn times_that_no_clock_can_hold_are_refused() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("31536000"), Ok(Duration::from_hours(8_760)));
        for text in [
            "",
            " ",
            "x",
            "NaN",
            "nan",
            "inf",
            "-inf",
            "infinity",
            "-1",
            "-0.1",
            "1e300",
            "31536001",
            "18446744073709551615",
            "1,5",
            "1s",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
        // Minus nothing is nothing.
        assert_eq!(seconds("-0"), Ok(Duration::ZERO));
    }
}
