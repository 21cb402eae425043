//! "Did you mean": the known name that a misspelt one is nearest to.

/// Longer names are not compared: no name of the contract has so many characters, and the comparison takes time by the
/// product of both lengths.
const CHARACTERS_MAX: usize = 48;

/// The name of `known` that `given` is most probably meant to be: the same but for case, `-` and `_`, or a few typing
/// errors away. Of several equally near ones the first.
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    if given.chars().nth(CHARACTERS_MAX).is_some() {
        return None;
    }
    let given = letters(given);
    let most = match given.len() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let near = known.iter().filter_map(|name| {
        let letters = letters(name);
        if letters.len().abs_diff(given.len()) > most {
            return None;
        }
        let errors = typing_errors(&given, &letters);
        (errors <= most).then_some((errors, *name))
    });
    // `min_by_key` takes the first of equals.
    near.min_by_key(|(errors, _)| *errors).map(|(_, name)| name)
}

fn letters(name: &str) -> Vec<char> {
    let letters = name.chars().filter(|letter| *letter != '-' && *letter != '_');
    letters.flat_map(char::to_lowercase).collect()
}

/// Letters missing, too many, wrong, or swapped with their neighbour (optimal string alignment).
fn typing_errors(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    let mut previous = None;
    for (row, letter) in one.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, candidate) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut fewest = (at(&above, column) + usize::from(letter != candidate))
                .min(at(&above, column + 1) + 1)
                .min(at(&now, column) + 1);
            let left = column.checked_sub(1);
            let is_swapped = left.and_then(|left| other.get(left)) == Some(letter)
                && previous == Some(candidate)
                && letter != candidate;
            if let (true, Some(left)) = (is_swapped, left) {
                fewest = fewest.min(at(&before, left) + 1);
            }
            now.push(fewest);
        }
        previous = Some(letter);
        before = std::mem::replace(&mut above, now);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_found() {
        let known = [
            "clusterName",
            "scheduler",
            "size",
            "networking",
            "tags",
            "slurmConfiguration",
        ];
        for (given, expected) in [
            ("clustername", Some("clusterName")),
            ("cluster_name", Some("clusterName")),
            ("cluster-name", Some("clusterName")),
            ("ClusterNmae", Some("clusterName")),
            ("clusterNames", Some("clusterName")),
            ("tag", Some("tags")),
            ("tgas", Some("tags")),
            ("Size", Some("size")),
            ("slurmconfig", None),
            ("colour", None),
            ("", None),
            ("t", None),
        ] {
            assert_eq!(nearest(given, &known), expected, "{given}");
        }
        assert_eq!(
            nearest("ab1", &["ab2", "ab3"]),
            Some("ab2"),
            "the first of equals"
        );
    }

    #[test]
    fn long_names_are_not_compared() {
        let name = "k".repeat(1_000_000);
        assert_eq!(nearest(&name, &[&name]), None);
    }
}
