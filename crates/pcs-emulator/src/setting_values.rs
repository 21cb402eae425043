//! Values of custom settings, as Slurm's own parser takes them (slurm.conf(5), its `parse_value.c`, `parse_time.c` and
//! `slurmdb_defs.c`, 2026): PCS ensures "correct data types, allowed values, and format requirements" (User Guide,
//! slurm-custom-settings).

use serde::Deserialize;

use crate::setting_lists::{are_exit_codes, are_licenses, are_links, are_tres, are_tres_weights, are_words};

/// What a parameter's value is to Slurm.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    Uint16,
    Uint32,
    Uint64,
    /// A number of 16 bits from 1 on, which cannot be without a limit.
    Count16,
    Boolean,
    Float,
    /// Minutes, or `days-hours:minutes:seconds` and its shorter forms.
    Time,
    /// CPUs and ranges of them.
    CpuList,
    /// A number of months, days or hours.
    Purge,
    /// Two ports with a dash between them.
    PortRange,
    /// How many jobs share what a queue has: a word, or a word and a number.
    OverSubscribe,
    ExitCodes,
    Licenses,
    /// What is accounted for.
    Tres,
    TresWeights,
    Words,
    /// Of one GPU to all.
    Links,
}

impl Kind {
    /// What is wrong with the value.
    pub(crate) fn fault(self, value: &str) -> Option<&'static str> {
        let (is_fine, wanted) = match self {
            Kind::Uint16 => (
                is_number(value, u64::from(u16::MAX), false),
                "must be a number from 0 to 65535, or INFINITE",
            ),
            Kind::Uint32 => (
                is_number(value, u64::from(u32::MAX), true),
                "must be a number from 0 to 4294967295, or INFINITE",
            ),
            Kind::Uint64 => (
                is_number(value, u64::MAX, true),
                "must be a number of at most 64 bits, or INFINITE",
            ),
            Kind::Count16 => (
                digits(value).is_some_and(|number| (1..=65_535).contains(&number)),
                "must be a number from 1 to 65535",
            ),
            Kind::Boolean => (is_boolean(value), "must be YES or NO"),
            Kind::Float => (
                is_unlimited(value)
                    || value
                        .parse::<f32>()
                        .is_ok_and(|number| number.is_finite() && number >= 0.0),
                "must be a number of 0 or more, or INFINITE",
            ),
            Kind::Time => (
                is_time(value),
                "must be a time like 90, 90:00, 1:30:00, 1-12, 1-12:30:00, or INFINITE",
            ),
            Kind::CpuList => (is_cpu_list(value), "must be a list of CPUs like 0,1 or 0-3,8"),
            Kind::Purge => (
                is_purge(value),
                "must be a number of months, days or hours, like 12months or 60days",
            ),
            Kind::PortRange => (is_port_range(value), "must be a range of ports like 60001-63000"),
            Kind::OverSubscribe => (
                is_over_subscribe(value),
                "must be NO, EXCLUSIVE, YES, FORCE, YES:N with N above 1, or FORCE:N with N above 0",
            ),
            Kind::ExitCodes => (
                are_exit_codes(value),
                "must be exit codes from 0 to 255 and ranges of them, like 1-9,126",
            ),
            Kind::Licenses => (
                are_licenses(value),
                "must be names of licenses, with a number after each or none, like fluent:30,ansys",
            ),
            Kind::Tres => (
                are_tres(value),
                "must be a list of Billing, CPU, Energy, Mem, Node, Pages, VMem, and BB/, FS/, GRES/, IC/ or License/ with a name",
            ),
            Kind::TresWeights => (
                are_tres_weights(value),
                "must be weights of what is accounted for, like CPU=1.0,Mem=0.25G,GRES/gpu=2.0",
            ),
            Kind::Words => (
                are_words(value),
                "must be words with commas between them and no blanks",
            ),
            Kind::Links => (
                are_links(value),
                "must be a number for each GPU and one -1 for this one, like -1,16,16",
            ),
        };
        (!is_fine).then_some(wanted)
    }
}

/// Digits alone, which Rust's parser does not insist on: it takes a `+`.
pub(crate) fn digits(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

fn is_unlimited(text: &str) -> bool {
    text.eq_ignore_ascii_case("INFINITE") || text.eq_ignore_ascii_case("UNLIMITED")
}

/// Decimal, hexadecimal or, with a zero before it, octal, as in C; the wider ones may end with `K`, 1,024.
fn is_number(text: &str, max: u64, may_be_kilo: bool) -> bool {
    let (number, times) = match text.strip_suffix(['k', 'K']).filter(|_| may_be_kilo) {
        Some(number) => (number, 1_024),
        None => (text, 1),
    };
    let value = match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None if number.len() > 1 && number.starts_with('0') => {
            digits(number).and_then(|_| u64::from_str_radix(number, 8).ok())
        }
        None => digits(number),
    };
    is_unlimited(text)
        || value
            .and_then(|value| value.checked_mul(times))
            .is_some_and(|value| value <= max)
}

fn is_boolean(text: &str) -> bool {
    ["yes", "up", "true", "1", "no", "down", "false", "0"]
        .iter()
        .any(|known| text.eq_ignore_ascii_case(known))
}

fn is_time(text: &str) -> bool {
    if text == "-1" || is_unlimited(text) {
        return true;
    }
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(days), clock),
        None => (None, text),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    // Each part is a number of 32 bits to Slurm.
    let is_part = |part: &str| digits(part).is_some_and(|number| i32::try_from(number).is_ok());
    days.is_none_or(is_part) && parts.len() <= 3 && parts.into_iter().all(is_part)
}

pub(crate) fn is_cpu_list(text: &str) -> bool {
    text.split(',').map(str::trim).all(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((digits(first), digits(last)), (Some(first), Some(last)) if first <= last)
    })
}

fn is_purge(text: &str) -> bool {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.to_ascii_lowercase();
    digits(number).is_some()
        && ["months", "days", "hours"]
            .iter()
            .any(|known| known.starts_with(&unit))
}

fn is_port_range(text: &str) -> bool {
    let port = |text: &str| digits(text).filter(|port| (1..=u64::from(u16::MAX)).contains(port));
    let range = text.split_once('-');
    range.is_some_and(
        |(first, last)| matches!((port(first), port(last)), (Some(first), Some(last)) if first < last),
    )
}

fn is_over_subscribe(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let least = match text.split_once(':') {
        None => return ["NO", "EXCLUSIVE", "YES", "FORCE"].contains(&text.as_str()),
        Some(("YES", number)) => (number, 2),
        Some(("FORCE", number)) => (number, 1),
        Some(_) => return false,
    };
    digits(least.0).is_some_and(|number| (least.1..=32_767).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn values_are_taken_as_slurm_takes_them() {
        for (kind, taken, refused) in [
            (
                Kind::Uint16,
                &["0", "65535", "0x10", "INFINITE", "unlimited", "00", "0177777"][..],
                &[
                    "0800", "09", "0200000", "", "abc", "-1", "+1", "65536", "1.5", "1k", "0x", "0xg", " 1",
                ][..],
            ),
            (
                Kind::Uint32,
                &["4294967295", "4194303K", "1k"],
                &["4294967296", "4194304K", "K", "-1", "ten"],
            ),
            (
                Kind::Uint64,
                &["18446744073709551615", "2048"],
                &["18446744073709551616", "18446744073709551615K", "2G"],
            ),
            (
                Kind::Count16,
                &["1", "24", "65535"],
                &["0", "abc", "", "-2", "+2", "65536", "INFINITE", "1.0", "2,4"],
            ),
            (
                Kind::Boolean,
                &["YES", "no", "True", "0", "up"],
                &["", "2", "on", "y"],
            ),
            (
                Kind::Float,
                &["100", "99.5", "0", "UNLIMITED"],
                &["", "abc", "-1", "NaN", "inf", "10%"],
            ),
            (
                Kind::Time,
                &[
                    "10",
                    "-1",
                    "INFINITE",
                    "90:00",
                    "1:30:00",
                    "1-12",
                    "1-12:30",
                    "1-12:30:00",
                ],
                &[
                    "",
                    "abc",
                    "-2",
                    "1:2:3:4",
                    "1-",
                    "-",
                    "1-2-3",
                    "10m",
                    "1.5",
                    "4294967296",
                ],
            ),
            (
                Kind::CpuList,
                &["0", "0,1", "0-3,8"],
                &["", "a", "3-1", "1,", "-1", "1-"],
            ),
            (
                Kind::Purge,
                &["12", "2months", "60days", "1hour", "12H"],
                &["", "days", "2weeks", "-1", "1.5days"],
            ),
            (
                Kind::PortRange,
                &["60001-63000", "1-65535"],
                &[
                    "",
                    "60001",
                    "63000-60001",
                    "5-5",
                    "0-10",
                    "1-65536",
                    "a-b",
                    "1-2-3",
                    "1,2",
                ],
            ),
            (
                Kind::OverSubscribe,
                &["NO", "yes", "EXCLUSIVE", "Force", "YES:4", "FORCE:1", "force:2"],
                &[
                    "", "MAYBE", "YES:", "YES:1", "FORCE:0", "FORCE:x", "NO:2", "FORCE:-1", "YES:2:3",
                ],
            ),
        ] {
            for value in taken {
                assert_eq!(kind.fault(value), None, "{kind:?} {value}");
            }
            for value in refused {
                assert!(kind.fault(value).is_some(), "{kind:?} {value}");
            }
        }
    }
}
