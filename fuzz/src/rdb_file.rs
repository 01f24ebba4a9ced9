//! RDB files, whole and cut.

use orrery_engine::snapshot::{Inspector, Tally};
use orrery_engine::value::rdb::Broken;

/// The first byte says how many bytes the reader gets at first; the others are a file. However they
/// are cut, the reader finds the same, at the same place, and never asks for what it has.
pub fn files_are_survived(data: &[u8]) {
    let Some((&first, file)) = data.split_first() else { return };
    let whole = inspect(file, file.len());
    let cut = inspect(file, usize::from(first) + 1);
    assert_eq!(whole, cut);
}

/// What is found with so many bytes at first, and more as they are asked for.
fn inspect(file: &[u8], first: usize) -> Result<Tally, Broken> {
    let mut inspector = Inspector::new(0);
    let (mut start, mut wanted) = (0, first);
    while !inspector.reader().has_ended() {
        let end = file.len().min(start + wanted);
        let progress = inspector.read(&file[start..end], end == file.len())?;
        start += progress.taken;
        assert!(progress.taken > 0 || progress.wanted > end - start, "it asks for what it has");
        wanted = if progress.taken > 0 { first } else { progress.wanted };
    }
    if start < file.len() {
        let reason = "there is more behind the end of the file".to_owned();
        return Err(Broken { offset: inspector.reader().offset(), reason });
    }
    Ok(inspector.tally().clone())
}
