//! What a program that reads its command line with clap says of a wrong one: a sentence, where clap says several lines.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, error::ErrorKind};

use crate::{help, refuse};

/// What the command line says, or the status to end with: help was asked for and shown, or a sentence was said.
pub fn arguments<T: Parser>(program: &str) -> Result<T, ExitCode> {
    read(std::env::args_os()).map_err(|asked| match asked {
        Asked::ForHelp(text) => help(program, &text),
        Asked::Wrongly(message) => refuse(program, &message),
    })
}

/// Why there is nothing to start.
#[derive(Debug)]
enum Asked {
    ForHelp(String),
    Wrongly(String),
}

fn read<T: Parser>(words: impl IntoIterator<Item = OsString>) -> Result<T, Asked> {
    let words: Vec<OsString> = words.into_iter().collect();
    T::try_parse_from(&words).map_err(|error| {
        let text = error.render().to_string();
        let kind = error.kind();
        if [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&kind) {
            Asked::ForHelp(text)
        } else if kind == ErrorKind::InvalidUtf8 {
            Asked::Wrongly(not_text(&words))
        } else {
            Asked::Wrongly(sentence(&text))
        }
    })
}

/// Of what clap says over several lines: what is wrong, and what was probably meant.
fn sentence(text: &str) -> String {
    let is_said =
        |line: &&str| !line.is_empty() && !line.starts_with("Usage:") && !line.starts_with("For more");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(is_said).collect();
    // A list follows its colon.
    let said = lines.join("; ").replace(":; ", ": ");
    format!("{}; see --help", said.strip_prefix("error: ").unwrap_or(&said))
}

/// Names the flag whose value is no text; clap does not.
fn not_text(words: &[OsString]) -> String {
    let mut flag = None;
    for word in words.iter().skip(1) {
        let shown = word.to_string_lossy();
        let name = shown.split('=').next().filter(|name| name.starts_with("--"));
        flag = name.map(str::to_owned).or(flag);
        if word.to_str().is_none() {
            break;
        }
    }
    let flag = flag.unwrap_or_else(|| "an argument".to_owned());
    format!("{flag}: the value is not UTF-8; see --help")
}

#[cfg(test)]
mod tests {
    use clap::Subcommand;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(
        name = "tool",
        version,
        subcommand_required = true,
        arg_required_else_help = false
    )]
    struct Tool {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Debug, Subcommand)]
    enum Command {
        Look {
            #[arg(long, requires = "from")]
            to: Option<u16>,
            #[arg(long)]
            from: Option<u16>,
        },
    }

    fn asked(words: &[&str]) -> Asked {
        let words = ["tool"].iter().chain(words).map(OsString::from);
        read::<Tool>(words).unwrap_err()
    }

    #[test]
    fn a_wrong_word_is_told_in_one_sentence() {
        for (words, expected) in [
            (
                &[][..],
                "'tool' requires a subcommand but one was not provided; [subcommands: look, help]; see --help",
            ),
            (
                &["lok"],
                "unrecognized subcommand 'lok'; tip: a similar subcommand exists: 'look'; see --help",
            ),
            (
                &["look", "--form", "1"],
                "unexpected argument '--form' found; tip: a similar argument exists: '--from'; see --help",
            ),
            (
                &["look", "--to", "1"],
                "the following required arguments were not provided: --from <FROM>; see --help",
            ),
            (
                &["look", "--from", "x"],
                "invalid value 'x' for '--from <FROM>': invalid digit found in string; see --help",
            ),
        ] {
            match asked(words) {
                Asked::Wrongly(told) => assert_eq!(told, expected),
                Asked::ForHelp(told) => panic!("{words:?}: {told}"),
            }
        }
    }

    #[test]
    fn help_is_no_mistake() {
        for words in [&["--help"][..], &["--version"], &["look", "-h"], &["help"]] {
            assert!(matches!(asked(words), Asked::ForHelp(_)), "{words:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_flag_whose_value_is_no_text_is_named() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(b"caf\xe9".to_vec());
        let words = |flag: &str| vec!["tool".into(), "look".into(), flag.into(), odd.clone()];
        assert_eq!(
            not_text(&words("--from")),
            "--from: the value is not UTF-8; see --help"
        );
        assert_eq!(
            not_text(&words("x")),
            "an argument: the value is not UTF-8; see --help"
        );
    }
}
