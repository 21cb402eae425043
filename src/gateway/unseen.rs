//! Whether a refusal of PCS can mean that a new instance profile, or the role in it, is not seen everywhere yet.
//!
//! PCS asks EC2 and Auto Scaling, who have many sentences for that and document none in whole. So it is asked what a
//! refusal is about, not how it is worded: one that speaks of the profile, or of nothing that is known, can mean it.
//! To wait once too often costs the caller two minutes; to undo too early makes the next try begin with a younger
//! profile, and so for ever.

use serde_json::{Map, Value};

use crate::{
    contract::{self, Recorded},
    denied::Lack,
    error::{Error, FieldError, Service},
    operations::{Action, Operation},
};

/// Violations that a profile leads to while IAM does not show it, or the role in it.
const UNSEEN_RULES: [&str; 2] = ["profile-exists", "one-role"];
/// Words for the profile and its role, with all but letters and digits as one space.
const OF_THE_PROFILE: [&str; 10] = [
    " profile ",
    "instance profile",
    "instanceprofile",
    "passrole",
    "pass role",
    " iam ",
    " role ",
    " roles ",
    " rolearn ",
    " awspcs ",
];
/// Beginnings of words for what else a compute node group is made of. The launch template is told by its id alone: PCS
/// makes one of its own of it, with the profile in it, and what EC2 says of that is about either.
const OF_SOMETHING_ELSE: [&str; 19] = [
    " subnet",
    " securitygroup",
    " security group",
    " sg ",
    " ami ",
    " amis ",
    " amiid",
    " image",
    " lt ",
    " keypair",
    " key pair",
    " sshkey",
    " instancetype",
    " instance type",
    " purchaseoption",
    " spot",
    " scaling",
    " slurm",
    " capacity",
];

/// Beginnings of words for what a group is made in, which PCS's own refusals are about.
const OF_PCS: [&str; 6] = [
    " cluster",
    " compute node group",
    " computenodegroup",
    " queue",
    " node group",
    " tag",
];

/// Words of a denial: of who creates a launch template or an Auto Scaling group, EC2 says so too when the role in the
/// profile cannot be passed.
const OF_A_DENIAL: [&str; 4] = [
    " not authorized",
    " access denied",
    " accessdenied",
    " unauthorized",
];

/// What a caller can name as he likes: words in it say nothing about the refusal that repeats it. Not a name that is one
/// of the words for the profile, and no tag: to take those out would make something else of PCS's own sentence, which
/// has a tag in quotation marks if at all.
pub(super) fn names(input: &Map<String, Value>) -> Vec<String> {
    let members = ["clusterIdentifier", "computeNodeGroupName"];
    let names = members.iter().filter_map(|name| input.get(*name)?.as_str());
    let mut names: Vec<String> = names.filter(|name| !is_a_word(name)).map(str::to_owned).collect();
    // A name can be part of another.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names
}

fn is_a_word(name: &str) -> bool {
    let name = plain(name);
    name.trim().is_empty() || OF_THE_PROFILE.iter().any(|word| word.trim() == name.trim())
}

/// Whether PCS, or a guardrail, would answer so while the profile of this name is not seen. Not to be asked about
/// IAM's refusals of the steps that make it.
pub(super) fn may_be_unseen(error: &Error, profile: &str, names: &[String]) -> bool {
    if let Error::Guardrail(denial) = error {
        let mut rules = denial.violations.iter().map(|violation| violation.rule);
        return rules.all(|rule| UNSEEN_RULES.contains(&rule));
    }
    if let Error::UpstreamAccessDenied(lack) = error {
        return lack.as_ref().is_none_or(Lack::may_be_of_the_unseen);
    }
    let Some(quote) = error.quote() else {
        return false;
    };
    if quote.service != Service::Pcs {
        return false;
    }
    let told = Told::of(&quote.text, profile, names);
    if let Error::Refused { fields, .. } = error {
        let of_another = |field: &FieldError| {
            let told = Told::of(&field.message, profile, names);
            !is_the_profile(field) && is_another_member(&field.path) && !told.can_mean_it()
        };
        return !fields.iter().any(of_another)
            && (fields.iter().any(is_the_profile)
                || told.can_mean_it()
                || !told.has_any(&OF_SOMETHING_ELSE));
    }
    if let Error::NotFound(_) | Error::Conflict(_) = error {
        // PCS says so of its own resources too. The cluster was read moments before, and what is missing or at odds
        // without a name is not it.
        let is_named = told.has_any(&OF_SOMETHING_ELSE) || told.has_any(&OF_PCS);
        return told.has_any(&OF_THE_PROFILE) || !is_named;
    }
    matches!(error, Error::Unknown { .. })
}

/// A sentence in lower case, with one space for whatever is between words, and without what the caller named.
struct Told {
    text: String,
}

impl Told {
    fn of(text: &str, profile: &str, names: &[String]) -> Told {
        Told {
            text: plain(&without_names(text, profile, names)),
        }
    }

    fn can_mean_it(&self) -> bool {
        self.has_any(&OF_THE_PROFILE) || self.has_any(&OF_A_DENIAL)
    }

    fn has_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }
}

/// The sentence without the caller's names and without what is in quotation marks, but for ids of EC2 and the profile
/// that was made.
fn without_names(text: &str, profile: &str, names: &[String]) -> String {
    let mut text = names
        .iter()
        .fold(text.to_owned(), |text, name| without_word(&text, name));
    let mut from = 0;
    while let Some((start, end)) = quoted(&text, from) {
        let inside = text.get(start..end).unwrap_or_default();
        from = if is_id(inside) || inside.contains(profile) {
            end
        } else {
            text.replace_range(start..end, "");
            start
        };
    }
    text
}

fn without_word(text: &str, word: &str) -> String {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut rest = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices(word) {
        let (before, after) = (text.get(..at), text.get(at + word.len()..));
        let is_whole = before.is_some_and(|text| !text.ends_with(is_inside))
            && after.is_some_and(|text| !text.starts_with(is_inside));
        if is_whole {
            rest.push_str(text.get(from..at).unwrap_or_default());
            from = at + word.len();
        }
    }
    rest.push_str(text.get(from..).unwrap_or_default());
    rest
}

/// Where the next quotation begins and ends; an apostrophe inside a word is none.
fn quoted(text: &str, from: usize) -> Option<(usize, usize)> {
    let marks = ['\'', '"', '`'];
    let rest = text.get(from..)?;
    rest.match_indices(marks).find_map(|(at, mark)| {
        let (before, inside) = (rest.get(..at)?, rest.get(at + mark.len()..)?);
        let opens = !before.ends_with(|c: char| c.is_alphanumeric());
        let end = inside.match_indices(mark).find_map(|(end, _)| {
            let after = inside.get(end + mark.len()..)?;
            (!after.starts_with(|c: char| c.is_alphanumeric())).then_some(end)
        })?;
        let start = from + at + mark.len();
        (opens && end > 0).then_some((start, start + end))
    })
}

/// Whether this is an id of EC2, as `subnet-0123456789abcdef0`, which says what it is of; PCS may put it in brackets.
fn is_id(text: &str) -> bool {
    let id = text.trim_matches(['[', ']']);
    id.rsplit_once('-').is_some_and(|(kind, digits)| {
        ["subnet", "sg", "ami", "lt"].contains(&kind) && digits.chars().all(|c| c.is_ascii_hexdigit())
    })
}

fn is_the_profile(field: &FieldError) -> bool {
    plain(&field.path).contains("instanceprofile")
}

/// Whether the path names a member of the request that is not the profile.
fn is_another_member(path: &str) -> bool {
    let create = Operation::Pcs(Action::CreateComputeNodeGroup);
    let Recorded::Members(members) = contract::route(create).recorded_input else {
        return false;
    };
    path.split(|c: char| !c.is_ascii_alphanumeric()).any(|segment| {
        members
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(segment) && *name != "iamInstanceProfileArn")
    })
}

/// Lower case, and one space for whatever is between words.
fn plain(text: &str) -> String {
    let mut plain = " ".to_owned();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() {
            plain.push(c.to_ascii_lowercase());
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain
}

#[cfg(test)]
mod tests;
