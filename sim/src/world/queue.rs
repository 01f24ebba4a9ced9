//! The event queue: what happens next, in the order of (time, sequence).
//!
//! Invariant: events of the same instant come out in the order in which they went in. The queue
//! jumps from event to event, so idle time costs nothing.

/// One thing that happens at a moment of true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The first message of a pipe arrives.
    Arrive { pipe: u32 },
    /// A timer of a host; stale unless the generation is the timer's.
    Wake { host: u16, lane: Lane, generation: u32 },
    /// A server goes on with what waits in its sockets.
    Run { server: u16 },
    /// An operation of a server's disk ends; stale unless the generation is that of its orders.
    Disk { server: u16, lane: u8, generation: u32 },
    /// Somebody starts a server again that has ended itself.
    Start { server: u16 },
    /// A planned fault begins.
    Begin { fault: u16 },
    /// A planned fault ends, or does its next piece of work.
    Turn { fault: u16, generation: u16 },
    /// The safety phase ends.
    Heal,
    /// The run ends whatever state it is in.
    GiveUp,
}

/// A host's timers: at most one of each is in the queue, so that a deadline that moves back every
/// few milliseconds leaves no garbage behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Lane {
    /// The next thing to do: a client's next command, an engine's deadline.
    Act = 0,
    /// The end of a client's patience.
    Patience = 1,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at_ns: u64,
    sequence: u64,
    what: What,
}

impl Entry {
    #[inline]
    fn before(&self, other: &Self) -> bool {
        (self.at_ns, self.sequence) < (other.at_ns, other.sequence)
    }
}

/// A heap of four children per node: the few dozen entries of a run lie in a few cache lines.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: Vec<Entry>,
    sequence: u64,
}

impl Queue {
    /// Adds an event.
    #[inline]
    pub(crate) fn push(&mut self, at_ns: u64, what: What) {
        let entry = Entry { at_ns, sequence: self.sequence, what };
        self.sequence += 1;
        let mut hole = self.heap.len();
        self.heap.push(entry);
        while hole > 0 {
            let parent = (hole - 1) / 4;
            if !entry.before(&self.heap[parent]) {
                break;
            }
            self.heap[hole] = self.heap[parent];
            hole = parent;
        }
        self.heap[hole] = entry;
    }

    /// Takes the first event out.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(u64, What)> {
        let last = self.heap.pop()?;
        let Some(&first) = self.heap.first() else {
            return Some((last.at_ns, last.what));
        };
        let len = self.heap.len();
        let mut hole = 0;
        loop {
            let child = 4 * hole + 1;
            if child >= len {
                break;
            }
            let mut least = child;
            for other in child + 1..(child + 4).min(len) {
                if self.heap[other].before(&self.heap[least]) {
                    least = other;
                }
            }
            if !self.heap[least].before(&last) {
                break;
            }
            self.heap[hole] = self.heap[least];
            hole = least;
        }
        self.heap[hole] = last;
        Some((first.at_ns, first.what))
    }

    /// How many events wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// One timer of a host and the event that stands for it.
///
/// A deadline that moves later leaves the event where it is; whoever handles it looks at the real
/// deadline and plans again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timer {
    /// When the event that counts is due; `None`: there is none.
    planned_ns: Option<u64>,
    generation: u32,
}

impl Timer {
    /// Makes sure that an event comes at `at_ns` or before.
    #[inline]
    pub(crate) fn plan(&mut self, queue: &mut Queue, host: u16, lane: Lane, at_ns: u64) {
        if self.planned_ns.is_some_and(|planned_ns| planned_ns <= at_ns) {
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        self.planned_ns = Some(at_ns);
        queue.push(at_ns, What::Wake { host, lane, generation: self.generation });
    }

    /// Whether the event that came is the one that counts; it is used up then.
    #[inline]
    pub(crate) fn take(&mut self, generation: u32) -> bool {
        let counts = self.generation == generation && self.planned_ns.is_some();
        if counts {
            self.planned_ns = None;
        }
        counts
    }

    /// Forgets the event in the queue: the clock that its time was computed with has changed.
    pub(crate) fn cancel(&mut self) {
        self.planned_ns = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Chance, Stream};

    #[test]
    fn events_come_out_in_order_of_time_and_then_of_arrival() {
        let mut queue = Queue::default();
        let key = Chance::new(1).key(Stream::Plan, 0);
        for index in 0..1000 {
            queue.push(key.at(index).below(50), What::Run { server: index as u16 });
        }
        let mut last = (0, 0);
        for _ in 0..1000 {
            let Some((at_ns, What::Run { server })) = queue.pop() else { panic!("all are there") };
            assert!(last <= (at_ns, server));
            last = (at_ns, server);
        }
        assert_eq!(queue.len(), 0);
        assert!(queue.pop().is_none());
    }

    #[test]
    fn a_timer_has_one_event_that_counts() {
        let mut queue = Queue::default();
        let mut timer = Timer::default();
        timer.plan(&mut queue, 0, Lane::Act, 100);
        timer.plan(&mut queue, 0, Lane::Act, 200);
        assert_eq!(queue.len(), 1, "a later deadline needs no event of its own");
        timer.plan(&mut queue, 0, Lane::Act, 50);
        let Some((50, What::Wake { generation, .. })) = queue.pop() else { panic!("the new one") };
        assert!(timer.take(generation));
        let Some((100, What::Wake { generation, .. })) = queue.pop() else { panic!("the old one") };
        assert!(!timer.take(generation));
    }
}
