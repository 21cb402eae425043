//! What `pcs-local`, `pcs-emulator`, `iam-emulator` and `pcs-api-audit` have in common as programs: where state is
//! kept, and how a person is told what is wrong with the start. One sentence on standard error, status 2, never a panic.

mod file;
mod flag;
mod folder;
#[cfg(feature = "clap")]
mod usage;

use std::{
    io::{self, Write},
    process::ExitCode,
};

pub use file::read;
pub use flag::{SECONDS_MAX, address, listen_fault, seconds};
pub use folder::{Damage, Folder};
#[cfg(feature = "clap")]
pub use usage::arguments;

/// The status of a program that was started wrongly, or where it cannot work.
const NOT_STARTED: u8 = 2;

/// Says why the program does not start, in one line, and gives the status to end with.
pub fn refuse(program: &str, message: &str) -> ExitCode {
    // Nobody is left to tell when the output is closed.
    let _ = writeln!(io::stderr(), "{program}: {}", one_line(message));
    ExitCode::from(NOT_STARTED)
}

/// Writes what whoever started the program waits for, such as the READY line.
pub fn announce(text: &str) -> Result<(), String> {
    print(text).map_err(|error| unwritable(&error))
}

/// Shows a text that was asked for, and gives the status to end with. A reader who has seen enough (`--help | head`)
/// is no failure.
pub fn help(program: &str, text: &str) -> ExitCode {
    match print(text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => refuse(program, &unwritable(&error)),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush())
}

fn unwritable(error: &io::Error) -> String {
    format!("standard output cannot be written to: {error}")
}

/// What a message repeats of a person's input may hold line breaks and worse.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Makes a write above the limit on the size of files an error like that of a full disk. Without this the system ends
/// the process there and then. Has to be called where a runtime is.
pub fn outlive_the_file_size_limit() {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use tokio::signal::unix::{SignalKind, signal};

        /// SIGXFSZ, the same number on both systems.
        const FILE_SIZE: i32 = 25;
        // Once it was listened to the signal ends nothing any more; where it cannot be, all is as it was.
        let _ = signal(SignalKind::from_raw(FILE_SIZE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_repeats() {
        assert_eq!(one_line("`a\nb\u{1b}[31m`: ä"), "`a\\nb\\u{1b}[31m`: ä");
    }
}
