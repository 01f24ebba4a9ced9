//! Output that may not leave yet.
//!
//! Invariant: marks are in the order of the output and of the steps; what lies before the first
//! mark that is not passed is free.

use std::collections::VecDeque;

use super::Session;

/// Where the output of a step ends that waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// Counted in bytes from the front of the outbox.
    end: usize,
    step: u64,
}

/// The marks of a session's outbox.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    marks: VecDeque<Mark>,
    /// Bytes at the front that are free.
    free: usize,
}

impl Session {
    /// What is in the outbox and not free waits until this step's output may leave.
    pub(crate) fn hold_output(&mut self, step: u64) {
        let end = self.outbox.len();
        let gate = self.gate.get_or_insert_default();
        match gate.marks.back_mut() {
            Some(last) if last.step == step => last.end = end,
            _ => gate.marks.push_back(Mark { end, step }),
        }
    }

    /// The output of the steps up to this one may leave.
    pub(crate) fn free_output(&mut self, step: u64) {
        let Some(gate) = &mut self.gate else { return };
        while let Some(mark) = gate.marks.pop_front_if(|mark| mark.step <= step) {
            gate.free = mark.end;
        }
        if gate.marks.is_empty() {
            self.gate = None;
        }
    }

    /// How much of the outbox may leave.
    pub(crate) fn free_output_len(&self) -> usize {
        let all = self.outbox.len();
        self.gate.as_ref().map_or(all, |gate| gate.free.min(all))
    }

    /// So much of it has left.
    pub(crate) fn output_taken(&mut self, len: usize) {
        if let Some(gate) = &mut self.gate {
            // Output of a client that is to be closed may have been dropped meanwhile.
            gate.free = gate.free.saturating_sub(len);
            gate.marks.iter_mut().for_each(|mark| mark.end = mark.end.saturating_sub(len));
        }
    }
}
