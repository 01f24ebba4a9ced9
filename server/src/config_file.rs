//! The configuration file on disk: CONFIG REWRITE replaces it as a whole or not at all. So does ACL
//! SAVE with the file of users.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use orrery_engine::Config;
use orrery_engine::config::Extent;

/// Makes the file at `path` say what is in force; whatever happens meanwhile, it is the old file or
/// the new one.
pub fn rewrite(path: &Path, config: &Config, extent: Extent) -> io::Result<()> {
    // A link stays a link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    replace(path, config.rewritten(&old, extent).as_bytes())
}

/// Puts `bytes` in the place of what the file at `path` holds, if there is one.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = &fs::canonicalize(path).or_else(|_| std::path::absolute(path))?;
    let permissions = match fs::metadata(path) {
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.tmp", std::process::id()));
    let draft = Path::new(&draft);
    let result = write_synced(draft, bytes).and_then(|()| {
        if let Some(permissions) = permissions {
            fs::set_permissions(draft, permissions)?;
        }
        fs::rename(draft, path)
    });
    if result.is_err() {
        // What matters is the first error.
        drop(fs::remove_file(draft));
        return result;
    }
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_keeps_its_comments_its_permissions_and_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("redis.conf");
        let link = folder.path().join("link.conf");
        fs::write(&file, "# mine\ntimeout 5\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let config = Config { timeout_secs: 6, ..Config::default() };
        rewrite(&link, &config, Extent::Changed).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\ntimeout 6\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn a_file_that_is_gone_is_written_anew_and_a_folder_that_is_gone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("redis.conf");
        let config = Config { timeout_secs: 6, ..Config::default() };
        rewrite(&file, &config, Extent::Changed).unwrap();
        assert!(fs::read_to_string(&file).unwrap().ends_with("timeout 6\n"));
        let missing = folder.path().join("none").join("redis.conf");
        assert_eq!(
            rewrite(&missing, &config, Extent::Changed).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
