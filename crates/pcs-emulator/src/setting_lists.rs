//! Lists in custom settings, as Slurm reads them (`licenses.c`, `job_mgr.c`, `controller.c`, `slurm_protocol_api.c` and
//! `gres.c`, 2026). What makes it stop, or drop the setting with an error, is refused; it passes over empty items.

use crate::setting_values::digits;

/// The highest status that a process can end with.
const EXIT_CODE_MAX: u64 = 255;
/// `GRES_MAX_LINK`
const LINK_MAX: i64 = 1_023;

/// Exit codes and ranges of them: `1-9,126`.
pub(crate) fn are_exit_codes(text: &str) -> bool {
    let is_code = |text: &str| digits(text).filter(|code| *code <= EXIT_CODE_MAX);
    items(text).all(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((is_code(first), is_code(last)), (Some(first), Some(last)) if first <= last)
    })
}

/// Names with a number each or none, all of which are there: `fluent:30,ansys`; or with `|` in between.
pub(crate) fn are_licenses(text: &str) -> bool {
    let is_either = text.contains('|');
    if is_either && text.contains([',', ';', '(']) {
        return false;
    }
    let between: &[char] = if is_either { &['|'] } else { &[',', ';'] };
    text.split(between).filter(|item| !item.is_empty()).all(|item| {
        let (name, number) = item.split_once([':', '=']).unwrap_or((item, "1"));
        let is_number = digits(number).is_some_and(|number| i32::try_from(number).is_ok());
        !name.is_empty() && !item.contains(char::is_whitespace) && is_number
    })
}

/// What can be accounted for, in any case.
pub(crate) fn are_tres(text: &str) -> bool {
    items(text).all(is_tres)
}

/// What can be accounted for, each with its weight: `CPU=1.0,Mem=0.25G,GRES/gpu=2.0`.
pub(crate) fn are_tres_weights(text: &str) -> bool {
    items(text).all(|item| {
        let Some((tres, weight)) = item.split_once('=') else {
            return false;
        };
        let number = weight.strip_suffix(['K', 'M', 'G', 'T', 'P', 'k', 'm', 'g', 't', 'p']);
        let number = number.unwrap_or(weight).parse::<f64>();
        is_tres(tres) && number.is_ok_and(f64::is_finite)
    })
}

fn is_tres(text: &str) -> bool {
    const PLAIN: [&str; 7] = ["billing", "cpu", "energy", "mem", "node", "pages", "vmem"];
    const NAMED: [&str; 5] = ["bb", "fs", "gres", "ic", "license"];
    let is_in = |of: &[&str], text: &str| of.iter().any(|known| known.eq_ignore_ascii_case(text));
    match text.split_once('/') {
        Some((kind, name)) => is_in(&NAMED, kind) && !name.is_empty() && !name.contains(char::is_whitespace),
        None => is_in(&PLAIN, text),
    }
}

/// Words with commas between, which no blank can be in: a line of Slurm's file would end there.
pub(crate) fn are_words(text: &str) -> bool {
    !text.contains(|char: char| char.is_whitespace() || char.is_control())
}

/// How one GPU is linked to each: a number for every other, and one -1 for itself.
pub(crate) fn are_links(text: &str) -> bool {
    let links: Option<Vec<i64>> = items(text).map(|link| link.parse().ok()).collect();
    links.is_some_and(|links| {
        links.iter().all(|link| (-2..=LINK_MAX).contains(link))
            && links.iter().filter(|link| **link == -1).count() == 1
    })
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> bool;

    #[test]
    fn lists_are_taken_as_slurm_takes_them() {
        for (check, taken, refused) in [
            (
                are_exit_codes as Check,
                &["1", "0-255", "1-9,126,137", "1,,2"][..],
                &["256", "-1", "9-1", "1-", "a", "1 2", "1.5"][..],
            ),
            (
                are_licenses as Check,
                &["fluent", "fluent:30", "fluent=30;ansys", "a|b:2", "a:0", ",a,"][..],
                &[
                    "fluent:x",
                    "fluent:",
                    "a:-1",
                    "a b",
                    "a:1x",
                    "a:1 ,b",
                    ":1",
                    "a|b,c",
                    "a:2147483648",
                ][..],
            ),
            (
                are_tres as Check,
                &[
                    "CPU",
                    "cpu,Mem,GRES/gpu",
                    "gres/gpu:tesla",
                    "license/fluent,IC/ofed",
                    "fs/disk",
                    "bb/cray",
                ][..],
                &[
                    "gpu", "gres", "gres/", "cpu/1", "cpu mem", "cpu, mem", "disk", "foo/bar",
                ][..],
            ),
            (
                are_tres_weights as Check,
                &[
                    "CPU=1.0,Mem=0.25G,GRES/gpu=2.0",
                    "cpu=1000",
                    "node=1e3",
                    "mem=2t",
                    "cpu=-1",
                ][..],
                &[
                    "abc",
                    "CPU",
                    "CPU=",
                    "CPU=x",
                    "CPU=1Q",
                    "CPU=1GB",
                    "gpu=2",
                    "CPU=1 ,Mem=1",
                    "cpu=inf",
                ][..],
            ),
            (
                are_words as Check,
                &["gpu,nvme", "a:b", ""],
                &["a b", "a, b", "a\tb"],
            ),
            (
                are_links as Check,
                &["-1", "-1,16,16", "0,-1,1023", "-2,-1"][..],
                &["", "0", "0,1", "-1,-1", "a,-1", "-1,1024", "-3,-1", "-1, 2"][..],
            ),
        ] {
            for value in taken {
                assert!(check(value), "{value}");
            }
            for value in refused {
                assert!(!check(value), "{value}");
            }
        }
    }
}
