//! Libraries of functions that belong together: no two of them have a function of the same name.

use std::collections::BTreeMap;

use super::fiber::FunctionId;
use super::function_flags::FunctionFlags;

/// A library.
#[derive(Debug)]
pub(crate) struct Library {
    /// Its number in the interpreter.
    pub(super) number: u32,
    /// Its text.
    pub(crate) text: Vec<u8>,
    /// Its functions, in the order of their names.
    pub(crate) functions: Vec<Registered>,
}

/// A function of a library.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    /// Its name.
    pub(crate) name: String,
    /// What its author says about it.
    pub(crate) description: Option<Vec<u8>>,
    /// What it promises.
    pub(crate) flags: FunctionFlags,
    /// Where it is in the interpreter.
    pub(crate) id: FunctionId,
}

/// Libraries by name, and all their functions.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    libraries: BTreeMap<String, Library>,
    /// The library and the index in it, by the function's name in lower case.
    functions: BTreeMap<String, (String, usize)>,
    pub(super) text_bytes: usize,
}

impl Shelf {
    pub(super) fn libraries(&self) -> &BTreeMap<String, Library> {
        &self.libraries
    }

    pub(super) fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// A function by its name, in any case of letters.
    pub(super) fn function(&self, name: &[u8]) -> Option<&Registered> {
        let name = core::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let (library, index) = self.functions.get(&name)?;
        self.libraries.get(library)?.functions.get(*index)
    }

    /// A function of `library` whose name one of another library has, which is not among those that
    /// will be replaced.
    pub(super) fn collision<'a>(
        &self,
        library: &'a Library,
        is_replaced: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let taken = library.functions.iter().find(|function| {
            let owner = self.functions.get(&function.name.to_ascii_lowercase());
            owner.is_some_and(|(owner, _)| !is_replaced(owner))
        });
        taken.map(|function| function.name.as_str())
    }

    /// Puts a library that collides with nothing in its place.
    pub(super) fn link(&mut self, name: String, library: Library) {
        self.text_bytes += library.text.len();
        for (index, function) in library.functions.iter().enumerate() {
            let key = function.name.to_ascii_lowercase();
            self.functions.entry(key).or_insert_with(|| (name.clone(), index));
        }
        self.libraries.insert(name, library);
    }

    /// Takes a library out.
    pub(super) fn unlink(&mut self, name: &str) -> Option<Library> {
        let library = self.libraries.remove(name)?;
        self.text_bytes -= library.text.len();
        self.functions.retain(|_, (owner, _)| owner != name);
        Some(library)
    }

    /// All libraries, by name.
    pub(super) fn into_libraries(self) -> BTreeMap<String, Library> {
        self.libraries
    }
}
