//! Files of an append-only log, and manifests of them.

use orrery_engine::snapshot::LogInspector;
use orrery_engine::value::aof::{BaseFormat, Broken, Manifest};

/// Any bytes are read as a log, and give the same whatever pieces they come in; what is good of
/// them is a good log. As a manifest they are refused, or stay the same when they are written.
pub fn logs_are_survived(data: &[u8]) {
    let whole = read(data, &[]);
    for pieces in [&[1; 64][..], &[7, 100, 3, 1, 50], &[data.len() / 2]] {
        assert_eq!(read(data, pieces), whole, "in pieces of {pieces:?}");
    }
    let good_up_to = usize::try_from(whole.1).expect("it is a part of the bytes");
    let good = read(&data[..good_up_to], &[]);
    assert_eq!((&good.0, good.1), (&None, whole.1));
    if let Some(broken) = whole.0 {
        assert!(broken.good_up_to == whole.1 && broken.offset <= data.len() as u64, "{broken:?}");
    }
    manifests_stay(data);
}

/// What is wrong, up to where it is good, and how many commands there are.
fn read(data: &[u8], pieces: &[usize]) -> (Option<Broken>, u64, u64) {
    let mut inspector = LogInspector::new(0, None);
    let (mut taken, mut given, mut pieces) = (0, 0, pieces.iter());
    let broken = loop {
        given = pieces.next().map_or(data.len(), |len| data.len().min(given + len));
        match inspector.read(&data[taken..given], given == data.len()) {
            Ok(progress) => {
                taken += progress.taken;
                let left = given - taken;
                assert!(given == data.len() || progress.wanted > left, "it asks for what it has");
            }
            Err(broken) => break Some(broken),
        }
        if given == data.len() {
            assert_eq!(taken, data.len(), "there is something that it does not take");
            break None;
        }
    };
    (broken, inspector.reader().good_up_to(), inspector.commands())
}

fn manifests_stay(data: &[u8]) {
    let Ok(mut manifest) = Manifest::parse(data) else { return };
    is_the_same_when_written(&manifest);
    let Ok(first_kept) = manifest.add_increment("a b\n").map(|file| file.seq) else { return };
    is_the_same_when_written(&manifest);
    if manifest.replace_base("a b\n", BaseFormat::Rdb, first_kept).is_ok() {
        assert_eq!(manifest.increments().len(), 1);
    }
    is_the_same_when_written(&manifest);
    for deleted in manifest.files_to_delete() {
        assert!(manifest.files_to_load().all(|(file, _)| file.name != deleted), "{deleted}");
    }
}

fn is_the_same_when_written(manifest: &Manifest) {
    let text = manifest.to_text();
    if !manifest.is_empty() || !manifest.history().is_empty() {
        let again = Manifest::parse(text.as_bytes()).expect("it was written here");
        assert_eq!(again.to_text(), text);
    }
}
