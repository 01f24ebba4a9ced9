//! The file of users (`aclfile`) on disk.
//!
//! Invariant: it is replaced as a whole or not at all.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use orrery_engine::Config;

use crate::config_file;
use crate::platform::reason;

/// A longer file is refused.
const BYTES_MAX: u64 = 64 << 20;

/// What the file of users holds; `None`: the configuration names none. The error is the C
/// library's.
pub(crate) fn read(config: &Config) -> Option<Result<Vec<u8>, String>> {
    if config.acl_file.is_empty() {
        return None;
    }
    Some(read_bounded(Path::new(&config.acl_file)).map_err(|error| reason(&error)))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Makes the file of users hold `text`.
pub(crate) fn write(config: &Config, text: &[u8]) -> Result<(), String> {
    config_file::replace(Path::new(&config.acl_file), text).map_err(|error| reason(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.acl").display().to_string();
        let config = Config { acl_file: path, ..Config::default() };
        assert_eq!(read(&config), Some(Err("No such file or directory".to_owned())));
        write(&config, b"user a\xff\n").unwrap();
        assert_eq!(read(&config), Some(Ok(b"user a\xff\n".to_vec())));
        assert_eq!(read(&Config::default()), None);
    }
}
