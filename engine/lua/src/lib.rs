//! Lua 5.1 as scripts run on it: the sources of the registry's `lua-src`, a few places changed.
//!
//! What is changed (`edits.rs`): what one instruction does in proportion to its operands is counted
//! like instructions are, so that no script does much between two pauses; objects have serial
//! numbers, by which tables keep them, so that an order never follows from addresses; and functions
//! of the prelude are never left by a tail call, so that errors have a place.
//!
//! Invariant: a source that is not what the edits were written for is not built.
//!
//! The names and types are those that mlua's build script uses.

mod edits;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use edits::{EDITS, Edit};

/// The version that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Lua 5.1.
    Lua51,
}
pub use Version::Lua51;

/// Builds Lua.
#[derive(Debug, Default)]
pub struct Build(());

/// What was built.
#[derive(Debug)]
pub struct Artifacts {
    include_dir: PathBuf,
    lib_dir: PathBuf,
}

const LIBRARY: &str = "lua5.1";
const SOURCES: &str = "lua-5.1.5";

impl Build {
    /// A build with what the build script is told by cargo.
    pub fn new() -> Self {
        Self(())
    }

    /// Compiles the library.
    ///
    /// # Panics
    ///
    /// If there is no compiler, or the sources are others.
    pub fn build(&self, version: Version) -> Artifacts {
        let Lua51 = version;
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("a build script has a place"));
        let (source, lib_dir, include_dir) =
            (out.join("source"), out.join("lib"), out.join("include"));
        for folder in [&source, &include_dir] {
            fs::create_dir_all(folder).expect("a build script can write there");
        }
        let mut config = cc::Build::new();
        config.warnings(false).cargo_metadata(false).include(&source).out_dir(&lib_dir);
        config.flag_if_supported("-fno-common");
        let target = env::var("TARGET").expect("a build script has a target");
        let system = if target.contains("windows") {
            "LUA_USE_WINDOWS"
        } else if target.contains("linux") || target.contains("darwin") || target.contains("bsd") {
            "LUA_USE_LINUX"
        } else {
            "LUA_USE_POSIX"
        };
        config.define(system, None);
        for (name, text) in edited(&originals()) {
            let path = source.join(&name);
            fs::write(&path, text).expect("a build script can write there");
            if name.ends_with(".c") {
                config.file(path);
            }
        }
        config.try_compile(LIBRARY).expect("Lua can be compiled");
        for name in ["lauxlib.h", "lua.h", "luaconf.h", "lualib.h"] {
            fs::copy(source.join(name), include_dir.join(name)).expect("it was just written");
        }
        Artifacts { include_dir, lib_dir }
    }
}

impl Artifacts {
    /// Tells cargo what to link.
    pub fn print_cargo_metadata(&self) {
        println!("cargo:rustc-link-search=native={}", self.lib_dir.display());
        println!("cargo:rustc-link-lib=static={LIBRARY}");
        println!("cargo:include={}", self.include_dir.display());
        println!("cargo:lib={}", self.lib_dir.display());
    }
}

/// The folder of the original crate: it is beside that of the crate whose build script this runs
/// in, which comes from the same registry.
fn originals() -> PathBuf {
    let asking = env::var_os("CARGO_MANIFEST_DIR").expect("a build script has a manifest");
    let beside = Path::new(&asking).parent().expect("it is in a folder of crates").to_path_buf();
    let found = ["lua-src-550.1.1", "lua-src"].map(|name| beside.join(name).join(SOURCES));
    let found = found.into_iter().find(|folder| folder.join("lvm.c").is_file());
    found.unwrap_or_else(|| panic!("no sources of Lua in {}", beside.display()))
}

/// The names and texts of the files, changed.
fn edited(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the sources can be listed") {
        let path = entry.expect("the sources can be listed").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if name.ends_with(".c") || name.ends_with(".h") {
            files.push((name, fs::read_to_string(path).expect("sources are texts")));
        }
    }
    files.sort();
    for edit in EDITS {
        let file = files.iter_mut().find(|(name, _)| name == edit.file);
        let (_, text) = file.unwrap_or_else(|| panic!("there is no {}", edit.file));
        *text = apply(edit, text);
    }
    files
}

fn apply(edit: &Edit, text: &str) -> String {
    let Edit { file, find, times, put } = edit;
    let found = text.matches(find).count();
    assert_eq!(found, *times, "{file} has other places with {find:?} than it should");
    text.replace(find, put)
}
