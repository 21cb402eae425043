//! Where results go: standard output, or a file that appears whole or not at all.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// Lines to somewhere.
pub enum Output {
    Stdout(BufWriter<io::Stdout>),
    /// A device or a pipe: it is written to, for it cannot be replaced without taking it from everybody else.
    Device(BufWriter<File>),
    File {
        file: BufWriter<NamedTempFile>,
        target: PathBuf,
    },
}

impl Output {
    /// The file is written beside its target and takes its name in `end`.
    pub fn open(target: Option<&Path>) -> io::Result<Output> {
        let Some(target) = target else {
            return Ok(Output::Stdout(BufWriter::new(io::stdout())));
        };
        if std::fs::metadata(target).is_ok_and(|there| !there.is_file()) {
            let device = OpenOptions::new().write(true).open(target)?;
            return Ok(Output::Device(BufWriter::new(device)));
        }
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        Ok(Output::File {
            file: BufWriter::new(NamedTempFile::new_in(folder)?),
            target: target.to_owned(),
        })
    }

    pub fn line(&mut self, line: &str) -> io::Result<()> {
        let writer: &mut dyn Write = match self {
            Output::Stdout(stdout) => stdout,
            Output::Device(device) => device,
            Output::File { file, .. } => file,
        };
        writer.write_all(line.as_bytes())?;
        writer.write_all(b"\n")
    }

    /// What was written so far is there for a reader.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout(stdout) => stdout.flush(),
            Output::Device(device) => device.flush(),
            Output::File { file, .. } => file.flush(),
        }
    }

    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        match self {
            Output::Stdout(_) | Output::Device(_) => Ok(()),
            Output::File { file, target } => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.as_file().sync_all()?;
                file.persist(target).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_stays_one() {
        use std::os::unix::fs::FileTypeExt;
        let target = Path::new("/dev/null");
        // Who may make files there would replace it; whoever may not must not be told so.
        let link = tempfile::tempdir().unwrap();
        let link = link.path().join("null");
        std::os::unix::fs::symlink(target, &link).unwrap();
        let mut output = Output::open(Some(&link)).unwrap();
        output.line("{}").unwrap();
        output.end().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::fs::metadata(target).unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("export.jsonl");
        std::fs::write(&target, "before").unwrap();
        let mut given_up = Output::open(Some(&target)).unwrap();
        given_up.line("half").unwrap();
        given_up.flush().unwrap();
        drop(given_up);
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "before");
        let mut output = Output::open(Some(&target)).unwrap();
        output.line("whole").unwrap();
        output.end().unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "whole\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
