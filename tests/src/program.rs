//! Programs of this workspace, for tests that start them.
//!
//! Invariant: what is started was built from the sources as they are, in the test's own profile;
//! unless somebody has said which program it is to be.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The server: `ORRERY_SERVER`, or the one built beside this test.
///
/// # Panics
/// If it does not build.
pub fn server() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("ORRERY_SERVER") {
        Some(given) => given.into(),
        None => built("orrery-server"),
    })
}

/// The simulator that is built beside this test.
///
/// # Panics
/// If it does not build.
pub fn simulator() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built("orrery-sim"))
}

/// Builds the program of a package, which has the package's name.
fn built(package: &str) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", package]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs").success(), "{package} does not build");
    let test = std::env::current_exe().expect("a test knows its own program");
    test.ancestors().nth(2).expect("tests are in target/*/deps").join(package)
}
