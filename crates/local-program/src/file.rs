//! Files that a person names, such as keys and seeds. What never ends, as a device can, is cut off with a sentence
//! before it fills the memory.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Far more than anybody writes into one.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// All of a file; of a pipe too, so that a shell can give `<(...)`.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(BYTES_MAX + 1);
    file.read_to_end(&mut bytes)?;
    if file.limit() == 0 {
        let text = "it is larger than 16 MiB; name the right file";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_end_is_cut_off() {
        assert_eq!(read(Path::new("/dev/null")).unwrap(), b"");
        let told = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(told.contains("larger than 16 MiB"), "{told}");
    }
}
