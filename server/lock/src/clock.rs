//! The clock that locks go by: one that never goes back and counts the time that the machine
//! sleeps, and an alarm on it.
//!
//! `std::time::Instant` and the timers of tokio stand still while a machine is suspended, and the
//! servers' do not: a lock would be taken for good after it was given to the next (S20b).

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::ready;
use std::time::Duration;

use orrery_base::time::{Instant, Now};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// The time, as the state machines take it. They are never set to go by the time of day.
pub(crate) fn now() -> Now {
    let at = clock_gettime(ClockId::Boottime);
    let micros = at.tv_sec as u64 * 1_000_000 + at.tv_nsec as u64 / 1000;
    Now { mono: Instant(micros), ..Now::default() }
}

/// A moment from which on something is not good any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub(crate) Instant);

impl Deadline {
    /// How long it is until then; zero when it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        Duration::from_micros(self.0.since(now().mono).0)
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.0 <= now().mono
    }
}

/// Rings at a moment, also when the machine has slept over it.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        #[expect(deprecated, reason = "what replaces it is unsafe; an owned descriptor stays open")]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer })
    }

    /// Sets it to this moment and to no other.
    pub(crate) fn set(&self, at: Instant) -> io::Result<()> {
        // Zero would turn it off.
        let nanos = at.0.max(1) % 1_000_000 * 1000;
        let moment = Timespec { tv_sec: (at.0 / 1_000_000) as i64, tv_nsec: nanos as i64 };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: never, it_value: moment };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        Ok(())
    }

    /// Waits until it has rung.
    pub(crate) async fn rung(&self) -> io::Result<()> {
        poll_fn(|cx| {
            loop {
                let mut guard = ready!(self.timer.poll_read_ready(cx))?;
                let mut count = [0; 8];
                let read = guard.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?));
                match read {
                    Ok(Err(error)) => return std::task::Poll::Ready(Err(error)),
                    Ok(Ok(_)) => return std::task::Poll::Ready(Ok(())),
                    Err(_) => {}
                }
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn an_alarm_rings_at_its_moment_even_one_that_has_passed() {
        let alarm = Alarm::new().expect("there are timers");
        let start = now().mono;
        alarm.set(Instant(start.0 + 20_000)).expect("it can be set");
        alarm.rung().await.expect("it rings");
        assert!(now().mono.since(start).0 >= 20_000);
        for past in [Instant(0), Instant(1), start] {
            alarm.set(past).expect("it can be set");
            alarm.rung().await.expect("it rings");
        }
    }

    #[test]
    fn a_deadline_says_what_is_left() {
        let near = Deadline(Instant(now().mono.0 + 60_000_000));
        assert!(!near.has_passed() && near.left() > Duration::from_secs(30));
        assert!(near.left() <= Duration::from_secs(60));
        let past = Deadline(Instant(1));
        assert!(past.has_passed() && past.left().is_zero() && past < near);
    }
}
