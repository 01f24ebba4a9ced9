//! What server is at a path.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `orrery-server`.
    Orrery,
    /// `redis-server`.
    Redis,
    /// `valkey-server`.
    Valkey,
}

impl Kind {
    /// What `--version` begins with.
    fn of_version(text: &str) -> Option<Self> {
        [
            (Self::Orrery, "Orrery server"),
            (Self::Redis, "Redis server"),
            (Self::Valkey, "Valkey server"),
        ]
        .into_iter()
        .find_map(|(kind, start)| text.starts_with(start).then_some(kind))
    }
}

/// A server program.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is.
    pub kind: Kind,
    /// The version that it says.
    pub version: String,
}

impl Target {
    /// Asks the program at `path` what it is.
    ///
    /// # Errors
    /// In words, when it cannot be run or is no server that is known here.
    pub fn recognise(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        // Links are kept: one program may be several, told apart by the name it is called by.
        let path = std::path::absolute(path).map_err(|error| format!("{shown}: {error}"))?;
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .map_err(|error| format!("{shown} cannot be run: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let kind = Kind::of_version(&text).ok_or_else(|| {
            let said = text.lines().next().unwrap_or("nothing");
            format!("{shown} is no server that is known here: --version says {said:?}")
        })?;
        let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
        Ok(Self { path, kind, version: version.unwrap_or("unknown").to_owned() })
    }

    /// The arguments for a server without persistence on a private port.
    pub(crate) fn arguments(&self, port: u16, directory: &Path) -> Vec<String> {
        let directory = directory.display().to_string();
        let port = port.to_string();
        [
            ["--port", &port],
            ["--bind", "127.0.0.1"],
            ["--save", ""],
            ["--appendonly", "no"],
            ["--dir", &directory],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_by_their_version() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        assert_eq!(Kind::of_version(redis), Some(Kind::Redis));
        assert_eq!(Kind::of_version("Orrery server v=0.1.0"), Some(Kind::Orrery));
        assert_eq!(Kind::of_version("nginx version: 1.0"), None);
    }

    #[test]
    fn what_is_no_server_is_refused_in_words() {
        let refused = |path: &str| Target::recognise(Path::new(path)).expect_err("no server");
        assert!(refused("/no/such/file").contains("No such file"));
        assert!(refused("/bin/true").contains("no server that is known here"));
    }
}
