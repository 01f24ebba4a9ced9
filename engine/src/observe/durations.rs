//! How long commands took: a histogram for each that has run.
//!
//! Invariant: their memory is known at once: it is told apart from what counts for `maxmemory`.

use super::Histogram;

/// Durations of all commands, in the order of the table.
#[derive(Debug)]
pub(crate) struct Durations {
    histograms: Vec<Option<Histogram>>,
    bytes: usize,
}

impl Durations {
    /// No command has run.
    pub(crate) fn new(commands: usize) -> Self {
        let mut histograms = Vec::new();
        histograms.resize_with(commands, || None);
        Self { histograms, bytes: 0 }
    }

    /// A command took so long.
    #[inline]
    pub(crate) fn add(&mut self, row: usize, nanos: u64) {
        let bytes = &mut self.bytes;
        let histogram = self.histograms[row].get_or_insert_with(|| {
            *bytes += Histogram::BYTES;
            Histogram::default()
        });
        histogram.add(nanos);
    }

    /// Those of a command, if it has run.
    pub(crate) fn of(&self, row: usize) -> Option<&Histogram> {
        self.histograms[row].as_ref()
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.histograms.len());
    }

    /// Heap bytes.
    #[inline]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes
    }
}
