//! Recordings that are damaged, by accident or with good checksums, make no replayer panic.

use std::fs;
use std::sync::OnceLock;

use orrery_engine::record::{BLOCK_HEADER_LEN, BlockHeader, FILE_HEADER_LEN};
use orrery_sim::replay::{Options, Parts, Replay, Report, Verdict};
use proptest::prelude::*;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::process::Folder;

/// Where the blocks of a good file begin.
pub(crate) fn block_starts(file: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = FILE_HEADER_LEN;
    while at < file.len() {
        starts.push(at);
        let header = BlockHeader::decode(&file[at..]).expect("a good file");
        at += BLOCK_HEADER_LEN + header.payload_len as usize;
    }
    starts
}

/// The file with the payload of the first block that `change` changes, and its checksum mended.
pub(crate) fn with_payload(
    file: &[u8],
    mut change: impl FnMut(&mut [u8]) -> Option<()>,
) -> Option<Vec<u8>> {
    let mut file = file.to_vec();
    for start in block_starts(&file) {
        let header = BlockHeader::decode(&file[start..]).expect("a good file");
        let payload = start + BLOCK_HEADER_LEN;
        let end = payload + header.payload_len as usize;
        if change(&mut file[payload..end]).is_some() {
            mend(&mut file[start..end]);
            return Some(file);
        }
    }
    None
}

fn mend(block: &mut [u8]) {
    let (head, payload) = block.split_at_mut(BLOCK_HEADER_LEN);
    let checksum = xxh3_64_with_seed(payload, xxh3_64(&head[..48]));
    head[48..].copy_from_slice(&checksum.to_le_bytes());
}

/// A good recording in one file.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let folder = Folder::new();
        crate::small(&folder);
        fs::read(folder.0.join("flight.1.1")).expect("it was recorded")
    })
}

/// Replays bytes from a file; an error of the beginning is one as well.
fn replayed(bytes: &[u8]) -> Result<Report, String> {
    let folder = Folder::new();
    let path = folder.0.join("renamed.rec");
    fs::write(&path, bytes).expect("a temporary file");
    let mut replay = Replay::open(Parts::find(&path)?, Options::default())?;
    Ok(replay.run(&mut |_, _| {}))
}

#[test]
fn a_file_under_another_name_is_replayed() {
    let report = replayed(good()).expect("it is good");
    assert_eq!(report.verdict, Verdict::Same);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn flipped_bits_are_found(
        places in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
        bit in 0..8_u32,
    ) {
        let mut bytes = good().to_vec();
        let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len())).collect();
        places.sort_unstable();
        places.dedup();
        places.iter().for_each(|&place| bytes[place] ^= 1 << bit);
        match replayed(&bytes) {
            Err(_) => {}
            Ok(report) => match report.verdict {
                Verdict::Damaged(_) => {}
                // A broken block counts as torn only if no whole one follows.
                Verdict::Same => {
                    prop_assert!(report.end.is_some_and(|end| end.starts_with("torn")));
                    let starts = block_starts(good());
                    let broken = |start: usize, end: usize| {
                        places.iter().any(|place| (start..end).contains(place))
                    };
                    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
                    let sound: Vec<bool> =
                        starts.iter().zip(ends).map(|(&start, end)| !broken(start, end)).collect();
                    prop_assert!(sound.is_sorted_by(|a, b| a >= b), "{sound:?}");
                }
                Verdict::Differs(difference) => prop_assert!(false, "{difference:?}"),
            },
        }
    }

    #[test]
    fn files_that_end_early_are_replayed_as_far_as_they_are_whole(
        len in any::<prop::sample::Index>(),
    ) {
        let len = len.index(good().len());
        let starts = block_starts(good());
        if let Ok(report) = replayed(&good()[..len]) {
            prop_assert_eq!(&report.verdict, &Verdict::Same);
            let end = report.end.expect("it has an end");
            prop_assert_eq!(!end.starts_with("torn"), starts.contains(&len), "{}", end);
        } else {
            prop_assert!(len < starts[1]);
        }
    }

    /// Events that no server writes, in blocks with good checksums.
    #[test]
    fn nonsense_with_good_checksums_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut at_block = 0;
        let altered = with_payload(good(), |payload| {
            // The beginning holds the configuration, which may ask for any amount of memory.
            at_block += 1;
            if at_block != 2 {
                return None;
            }
            for (place, byte) in &changes {
                payload[place.index(payload.len())] = *byte;
            }
            Some(())
        });
        let report = replayed(&altered.expect("there is a second block"));
        prop_assert!(report.is_ok(), "{report:?}");
    }
}
