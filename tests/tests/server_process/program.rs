//! Where the server's program is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program: `ORRERY_SERVER`, or the one built beside this test.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = std::env::var_os("ORRERY_SERVER") {
            return given.into();
        }
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "orrery-server"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the server does not build");
        let test = std::env::current_exe().expect("a test knows its own program");
        let folder = test.ancestors().nth(2).expect("tests are in target/*/deps");
        folder.join("orrery-server")
    })
}
