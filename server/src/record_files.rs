//! A recording in files: `NAME.RECORDING.PART`, both numbers from 1.
//!
//! Invariants: a part is at most as long as the limit, but for one block; there are never more
//! files than the limit: older recordings are deleted for a newer one, each as a whole, since
//! without its first part a recording is worth nothing; a recording that fills all the files ends.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use orrery_engine::record::FileHeader;

use crate::platform::reason;
use crate::recorder::{BLOCK_BYTES, RecordSink};
use crate::settings::RecordSettings;

/// What may wait for the disk; beyond it the recording ends rather than the server waits.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Buffers longer than this are not used again.
const BUFFER_BYTES_MAX: usize = 4 * BLOCK_BYTES;
/// How long the end of a recording may take.
const FINISH_MAX: Duration = Duration::from_secs(10);

/// The files of one recording.
#[derive(Debug)]
struct Files {
    settings: RecordSettings,
    /// Names the recording in its files.
    id: u64,
    recording: u64,
    part: u32,
    file: File,
    len: u64,
    /// How many files each earlier recording has.
    earlier: BTreeMap<u64, Vec<PathBuf>>,
}

impl Files {
    fn create(settings: &RecordSettings, id: u64) -> io::Result<Self> {
        let mut earlier = earlier(&settings.path)?;
        let recording = earlier.last_key_value().map_or(1, |(&last, _)| last + 1);
        make_room(&mut earlier, 0, settings.files_max)?;
        let (file, len) = create(settings, id, recording, 1)?;
        Ok(Self { settings: settings.clone(), id, recording, part: 1, file, len, earlier })
    }

    fn write(&mut self, block: &[u8]) -> Result<(), String> {
        let said = |error: &io::Error| format!("writing failed: {}", reason(error));
        if self.len + block.len() as u64 > self.settings.file_bytes_max && self.has_blocks() {
            if self.part as usize >= self.settings.files_max {
                return Err(
                    "all its files are full (record-file-size-max, record-files-max)".into()
                );
            }
            self.next_part().map_err(|error| said(&error))?;
        }
        self.file.write_all(block).map_err(|error| said(&error))?;
        self.len += block.len() as u64;
        Ok(())
    }

    fn has_blocks(&self) -> bool {
        self.len > orrery_engine::record::FILE_HEADER_LEN as u64
    }

    fn next_part(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        make_room(&mut self.earlier, self.part as usize, self.settings.files_max)?;
        let part = self.part + 1;
        (self.file, self.len) = create(&self.settings, self.id, self.recording, part)?;
        self.part = part;
        Ok(())
    }
}

/// The files of recordings under this name that are there already.
fn earlier(path: &Path) -> io::Result<BTreeMap<u64, Vec<PathBuf>>> {
    let mut found: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let numbers = file.strip_prefix(&*name).and_then(|rest| rest.strip_prefix('.'));
        let numbers = numbers.and_then(|numbers| numbers.split_once('.'));
        if let Some((recording, part)) = numbers
            && let (Ok(recording), Ok(_)) = (recording.parse(), part.parse::<u32>())
        {
            found.entry(recording).or_default().push(entry.path());
        }
    }
    Ok(found)
}

/// Deletes the oldest recordings until there is room for one more file beside `own`.
fn make_room(
    earlier: &mut BTreeMap<u64, Vec<PathBuf>>,
    own: usize,
    files_max: usize,
) -> io::Result<()> {
    while own + earlier.values().map(Vec::len).sum::<usize>() >= files_max
        && let Some((_, files)) = earlier.pop_first()
    {
        files.iter().try_for_each(fs::remove_file)?;
    }
    Ok(())
}

fn create(
    settings: &RecordSettings,
    id: u64,
    recording: u64,
    part: u32,
) -> io::Result<(File, u64)> {
    let mut path = settings.path.clone().into_os_string();
    path.push(format!(".{recording}.{part}"));
    // All that clients say is in it, passwords among it.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let header = FileHeader { part, recording: id }.encode();
    file.write_all(&header)?;
    Ok((file, header.len() as u64))
}

enum Message {
    Block(Vec<u8>),
    Last(Vec<u8>),
}

/// Hands blocks to the thread that writes them.
pub(crate) struct FileSink {
    to: Sender<Message>,
    buffers: Receiver<Vec<u8>>,
    finished: Receiver<Result<(), String>>,
    waiting_bytes: Arc<AtomicUsize>,
    failure: Arc<OnceLock<String>>,
    _thread: JoinHandle<()>,
}

impl FileSink {
    /// Begins a recording; `id` names it.
    pub(crate) fn create(settings: &RecordSettings, id: u64) -> io::Result<Self> {
        let files = Files::create(settings, id)?;
        let (to, messages) = channel();
        let (spare, buffers) = channel();
        let (done, finished) = channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let failure = Arc::new(OnceLock::new());
        let writer = DiskWriter {
            files,
            messages,
            spare,
            done,
            waiting_bytes: Arc::clone(&waiting_bytes),
            failure: Arc::clone(&failure),
        };
        let thread = std::thread::Builder::new().name("record".into()).spawn(|| writer.run())?;
        Ok(Self { to, buffers, finished, waiting_bytes, failure, _thread: thread })
    }

    fn send(&self, message: Message, len: usize) -> Result<(), String> {
        if let Some(why) = self.failure.get() {
            return Err(why.clone());
        }
        if self.waiting_bytes.fetch_add(len, Ordering::Relaxed) + len > WAITING_BYTES_MAX {
            return Err("the disk is too slow".to_owned());
        }
        self.to.send(message).map_err(|_| {
            let ended = || "the thread that writes has ended".to_owned();
            self.failure.get().cloned().unwrap_or_else(ended)
        })
    }
}

impl RecordSink for FileSink {
    fn put(&mut self, block: Vec<u8>) -> Result<Vec<u8>, String> {
        let len = block.len();
        self.send(Message::Block(block), len)?;
        let spare = self.buffers.try_recv().ok();
        Ok(spare.unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 2)))
    }

    fn finish(&mut self, block: Vec<u8>) -> Result<(), String> {
        let len = block.len();
        self.send(Message::Last(block), len)?;
        let done = self.finished.recv_timeout(FINISH_MAX);
        done.unwrap_or_else(|_| Err("the disk did not answer in time".to_owned()))
    }
}

/// The thread's half.
struct DiskWriter {
    files: Files,
    messages: Receiver<Message>,
    spare: Sender<Vec<u8>>,
    done: Sender<Result<(), String>>,
    waiting_bytes: Arc<AtomicUsize>,
    failure: Arc<OnceLock<String>>,
}

impl DiskWriter {
    fn run(mut self) {
        // Nobody may be left to hear: then there is nothing to do.
        while let Ok(message) = self.messages.recv() {
            match message {
                Message::Block(block) => {
                    let result = self.files.write(&block);
                    self.waiting_bytes.fetch_sub(block.len(), Ordering::Relaxed);
                    if let Err(why) = result {
                        let _ = self.failure.set(why);
                        return;
                    }
                    if block.capacity() <= BUFFER_BYTES_MAX {
                        let _ = self.spare.send(block);
                    }
                }
                Message::Last(block) => {
                    let result = self
                        .files
                        .write(&block)
                        .and_then(|()| self.files.file.sync_all().map_err(|error| reason(&error)));
                    // Whoever hears that it is done must find the way closed.
                    drop(self.messages);
                    let _ = self.done.send(result);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use orrery_engine::record::FILE_HEADER_LEN;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn settings(folder: &Path, files_max: usize) -> RecordSettings {
        RecordSettings { path: folder.join("rec"), file_bytes_max: 1000, files_max }
    }

    #[test]
    fn parts_are_bounded_and_older_recordings_give_way_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rec.txt"), "not ours").unwrap();
        let settings = settings(folder.path(), 4);
        let mut first = Files::create(&settings, 7).unwrap();
        (0..3).for_each(|_| first.write(&[1; 600]).unwrap());
        assert_eq!(names(folder.path()), ["rec.1.1", "rec.1.2", "rec.1.3", "rec.txt"]);
        let mut second = Files::create(&settings, 8).unwrap();
        second.write(&[2; 600]).unwrap();
        assert_eq!(names(folder.path()).len(), 5);
        second.write(&[2; 2000]).unwrap();
        assert_eq!(names(folder.path()), ["rec.2.1", "rec.2.2", "rec.txt"]);
        second.write(&[2; 600]).unwrap();
        second.write(&[2; 600]).unwrap();
        let why = second.write(&[2; 600]).unwrap_err();
        assert!(why.contains("full"), "{why}");
        let bytes = fs::read(folder.path().join("rec.2.3")).unwrap();
        let header = FileHeader { part: 3, recording: 8 };
        assert_eq!(FileHeader::decode(&bytes), Ok(header));
        assert_eq!(bytes.len(), FILE_HEADER_LEN + 600);
    }

    #[test]
    fn a_sink_writes_in_order_and_tells_when_it_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = FileSink::create(&settings(folder.path(), 1), 7).unwrap();
        for byte in 0..3 {
            let buffer = sink.put(vec![byte; 100]).unwrap();
            assert!(buffer.capacity() >= 100);
        }
        sink.finish(vec![3; 100]).unwrap();
        let bytes = fs::read(folder.path().join("rec.1.1")).unwrap();
        let expected: Vec<u8> = (0..4).flat_map(|byte| [byte; 100]).collect();
        assert_eq!(bytes[FILE_HEADER_LEN..], expected);
        assert!(sink.put(Vec::new()).is_err(), "it has ended");
        let mut full = FileSink::create(&settings(folder.path(), 1), 8).unwrap();
        let refused = (0..10_000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(1));
            full.put(vec![0; 900]).err()
        });
        assert!(refused.unwrap().contains("full"));
    }
}
