//! Names: which file a path means now, and which it may mean after a loss of power.
//!
//! Invariant: [`Tree::sync`] makes exactly the names of one folder safe. Until then each change of
//! a name survives or not, whatever becomes of the others; a rename is one change, as every
//! journalling file system has it, so that its file is never without a name.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::Choice;

/// Names a file's contents.
pub(super) type InodeId = u64;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A file.
    File(InodeId),
    /// A folder, by its place in the tree.
    Folder(usize),
}

/// Names that change together: what each stands for from now on.
type Change = Vec<(String, Option<Node>)>;

#[derive(Clone, Debug, Default)]
struct Folder {
    cached: BTreeMap<String, Node>,
    platter: BTreeMap<String, Node>,
    /// What is not safe, oldest first.
    pending: Vec<Change>,
}

/// All folders; the first is the server's own.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    folders: Vec<Folder>,
}

/// A folder and a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    folder: usize,
    name: String,
}

impl Default for Tree {
    fn default() -> Self {
        Self { folders: vec![Folder::default()] }
    }
}

fn apply(names: &mut BTreeMap<String, Node>, change: &Change) {
    for (name, node) in change {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

impl Tree {
    /// The folder of that path; `None`: there is none.
    fn folder(&self, path: &str) -> Option<usize> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(0, |folder, part| {
            match self.folders[folder].cached.get(part)? {
                Node::Folder(inner) => Some(*inner),
                Node::File(_) => None,
            }
        })
    }

    /// Where a path leads, whether or not something is there; `None`: nowhere.
    pub(super) fn place(&self, path: &str) -> Option<Place> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.folder(folder)?;
        (!name.is_empty()).then(|| Place { folder, name: name.to_owned() })
    }

    /// What is there.
    pub(super) fn at(&self, place: &Place) -> Option<Node> {
        self.folders[place.folder].cached.get(&place.name).copied()
    }

    /// The file at a path.
    pub(super) fn file(&self, path: &str) -> Option<InodeId> {
        match self.at(&self.place(path)?)? {
            Node::File(inode) => Some(inode),
            Node::Folder(_) => None,
        }
    }

    fn change(&mut self, folder: usize, change: Change) {
        let folder = &mut self.folders[folder];
        apply(&mut folder.cached, &change);
        folder.pending.push(change);
    }

    /// Names a file.
    pub(super) fn link(&mut self, place: Place, inode: InodeId) {
        self.change(place.folder, vec![(place.name, Some(Node::File(inode)))]);
    }

    /// Takes a name away.
    pub(super) fn unlink(&mut self, place: Place) {
        self.change(place.folder, vec![(place.name, None)]);
    }

    /// Gives what is at one place another name in the same folder.
    pub(super) fn rename(&mut self, from: Place, to: Place) {
        let node = self.at(&from);
        if from != to {
            self.change(from.folder, vec![(from.name, None), (to.name, node)]);
        }
    }

    /// Whether two places are in one folder.
    pub(super) fn are_neighbours(from: &Place, to: &Place) -> bool {
        from.folder == to.folder
    }

    /// Makes a folder.
    pub(super) fn make_folder(&mut self, place: Place) {
        self.folders.push(Folder::default());
        let node = Node::Folder(self.folders.len() - 1);
        self.change(place.folder, vec![(place.name, Some(node))]);
    }

    /// Makes the names in a folder safe; false: there is no such folder.
    pub(super) fn sync(&mut self, path: &str) -> bool {
        let Some(folder) = self.folder(path) else { return false };
        let folder = &mut self.folders[folder];
        folder.pending.clear();
        folder.platter = folder.cached.clone();
        true
    }

    /// In how many ways a loss of power can leave the names.
    pub(super) fn count(&self) -> u128 {
        let changes: usize = self.folders.iter().map(|folder| folder.pending.len()).sum();
        1_u128.checked_shl(changes as u32).unwrap_or(u128::MAX)
    }

    /// The machine has lost power and is back.
    pub(super) fn lose_power(&mut self, choice: &mut dyn Choice) {
        for folder in &mut self.folders {
            for change in folder.pending.drain(..) {
                if choice.choose(2) == 1 {
                    apply(&mut folder.platter, &change);
                }
            }
            folder.cached = folder.platter.clone();
        }
    }

    /// Files that have a name now.
    pub(super) fn present(&self) -> BTreeSet<InodeId> {
        let nodes = self.folders.iter().flat_map(|folder| folder.cached.values());
        nodes.filter_map(|node| inode(Some(*node))).collect()
    }

    /// Files that have a name, or may have one after a loss of power.
    pub(super) fn reachable(&self) -> BTreeSet<InodeId> {
        let mut all = self.present();
        for folder in &self.folders {
            all.extend(folder.platter.values().filter_map(|node| inode(Some(*node))));
            let pending = folder.pending.iter().flatten();
            all.extend(pending.filter_map(|(_, node)| inode(*node)));
        }
        all
    }

    /// All files by their path, in order.
    pub(super) fn files(&self) -> BTreeMap<String, InodeId> {
        let mut files = BTreeMap::new();
        self.collect(0, "", &mut files);
        files
    }

    fn collect(&self, folder: usize, path: &str, files: &mut BTreeMap<String, InodeId>) {
        for (name, node) in &self.folders[folder].cached {
            match node {
                Node::File(inode) => {
                    files.insert(format!("{path}{name}"), *inode);
                }
                Node::Folder(inner) => self.collect(*inner, &format!("{path}{name}/"), files),
            }
        }
    }
}

fn inode(node: Option<Node>) -> Option<InodeId> {
    match node {
        Some(Node::File(inode)) => Some(inode),
        Some(Node::Folder(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::choice::{Newest, Odometer, Oldest};
    use super::*;

    fn place(tree: &Tree, path: &str) -> Place {
        tree.place(path).expect("the folder is there")
    }

    fn left(tree: &Tree) -> BTreeSet<Vec<(String, InodeId)>> {
        let mut odometer = Odometer::default();
        let (mut all, mut cases) = (BTreeSet::new(), 0);
        loop {
            let mut copy = tree.clone();
            copy.lose_power(&mut odometer);
            all.insert(copy.files().into_iter().collect());
            cases += 1;
            if !odometer.advance() {
                break;
            }
        }
        assert_eq!(cases, tree.count());
        all
    }

    fn names(list: &[(&str, InodeId)]) -> Vec<(String, InodeId)> {
        list.iter().map(|(name, inode)| ((*name).to_owned(), *inode)).collect()
    }

    #[test]
    fn a_rename_is_whole_and_reorders_with_others() {
        let mut tree = Tree::default();
        tree.link(place(&tree, "a"), 1);
        assert!(tree.sync(""));
        tree.link(place(&tree, "temp"), 2);
        tree.rename(place(&tree, "temp"), place(&tree, "a"));
        tree.unlink(place(&tree, "a"));
        tree.link(place(&tree, "b"), 3);
        let all = left(&tree);
        // The rename without the creation before it; the removal without the rename.
        assert!(all.contains(&names(&[("a", 2)])));
        assert!(all.contains(&names(&[("temp", 2)])));
        assert!(all.contains(&names(&[("a", 1), ("b", 3), ("temp", 2)])));
        assert!(tree.sync(""));
        assert_eq!(left(&tree), [names(&[("b", 3)])].into());
    }

    #[test]
    fn a_folder_that_was_lost_takes_its_files_with_it() {
        let mut tree = Tree::default();
        tree.make_folder(place(&tree, "logs"));
        tree.link(place(&tree, "logs/one"), 1);
        assert_eq!(tree.place("other/one"), None);
        assert!(tree.sync("logs") && !tree.sync("other"));
        let mut copy = tree.clone();
        copy.lose_power(&mut Oldest);
        assert!(copy.files().is_empty());
        tree.lose_power(&mut Newest);
        assert_eq!(tree.file("logs/one"), Some(1));
        assert_eq!(tree.file("logs"), None);
    }
}
