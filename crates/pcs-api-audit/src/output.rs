//! Where results go: standard output, or a file that appears whole or not at all.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// Lines to somewhere.
pub enum Output {
    Stdout(BufWriter<io::Stdout>),
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
            Output::File { file, .. } => file,
        };
        writer.write_all(line.as_bytes())?;
        writer.write_all(b"\n")
    }

    /// What was written so far is there for a reader.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout(stdout) => stdout.flush(),
            Output::File { file, .. } => file.flush(),
        }
    }

    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        match self {
            Output::Stdout(_) => Ok(()),
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
