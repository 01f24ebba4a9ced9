//! What a command's function works with: the state, its client, the reply that it writes.

use crate::commands::table::Row;
use crate::effects::Effects;
use crate::error::Error;
use crate::keyspace::{Found, Kept, NewValue, Taken, Value};
use crate::notify::{OVERWRITTEN, TYPE_CHANGED};
use crate::resp::Reply;
use crate::session::{Blocked, Session, Wait, WaitFor};
use crate::state::State;
use crate::time::{Now, UnixMillis};

/// The context of one command.
pub struct Cx<'a> {
    /// The server's state.
    pub state: &'a mut State,
    /// The client that runs the command.
    pub session: &'a mut Session,
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// What the driver will have to do.
    pub fx: &'a mut Effects,
    /// Both clocks, sampled once for the step.
    pub now: Now,
    /// The command's row.
    pub row: &'static Row,
    /// Whether the command has waited for keys and is tried again: it either writes its reply or
    /// calls [`Cx::wait_for`] once more.
    pub retry: bool,
    /// Whether the command may wait; see [`Cx::may_block`].
    pub may_block: bool,
    /// Whether another command carries it: logs and MONITOR show that one.
    pub is_carried: bool,
}

impl Cx<'_> {
    /// The index of the client's database.
    #[inline]
    pub fn db(&self) -> usize {
        self.session.db
    }

    /// With so many bytes of output the client is closed when the step ends: a reply that has come
    /// so far need not be whole. `usize::MAX`: there is no such limit, or the output is not its.
    pub fn fatal_output_bytes(&self) -> usize {
        let limit = self.session.output_limit(&self.state.config.output_limits);
        match usize::try_from(limit.hard_bytes).unwrap_or(usize::MAX) {
            0 => usize::MAX,
            _ if self.session.is_script || self.session.is_muted() => usize::MAX,
            bytes => bytes,
        }
    }

    /// Key time now.
    #[inline]
    pub fn key_now(&self) -> UnixMillis {
        self.state.keyspace.now()
    }

    /// Finds a key in order to change it; counts neither as hit nor as miss.
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Option<Found> {
        self.state.keyspace.find(self.session.db, key)
    }

    /// Finds a key in order to read its value: counts as hit or miss, and as use of the key unless
    /// the client said CLIENT NO-TOUCH.
    #[inline]
    pub fn find_read(&mut self, key: &[u8]) -> Option<Found> {
        let db = self.session.db;
        let Some(found) = self.find(key) else {
            self.state.stats.misses += 1;
            self.state.notify_miss(db, key);
            return None;
        };
        self.state.stats.hits += 1;
        if !self.session.no_touch {
            self.state.note_read(db, found);
        }
        Some(found)
    }

    /// Counts the result of a search once more, as a command does that Redis lets search twice.
    pub fn count_read(&mut self, key: &[u8], is_there: bool) {
        if is_there {
            self.state.stats.hits += 1;
        } else {
            self.state.stats.misses += 1;
            self.state.notify_miss(self.session.db, key);
        }
    }

    /// Finds a key in order to look at anything but its value: counts as hit or miss, not as use.
    pub fn find_untouched(&mut self, key: &[u8]) -> Option<Found> {
        let found = self.find(key);
        match found {
            Some(_) => self.state.stats.hits += 1,
            None => {
                self.state.stats.misses += 1;
                self.state.notify_miss(self.session.db, key);
            }
        }
        found
    }

    /// The value of a found key.
    #[inline]
    pub fn value(&self, found: Found) -> Value<'_> {
        self.state.keyspace.db(self.session.db).value(found)
    }

    /// Replies with the string at `found`.
    #[inline]
    pub fn reply_string(&mut self, found: Found) -> Result<(), Error> {
        if let Some(stale) = self.state.keyspace.stale_value(self.session.db, found) {
            self.reply.bulk(stale);
            return Ok(());
        }
        match self.state.keyspace.db(self.session.db).value(found) {
            Value::Bytes(bytes) => self.reply.bulk(bytes),
            Value::Integer(value) => self.reply.bulk_integer(value),
            #[allow(unreachable_patterns, reason = "there are types beside strings")]
            _ => return Err(Error::WrongType),
        }
        Ok(())
    }

    /// When a found key expires.
    pub fn deadline(&self, found: Found) -> Option<UnixMillis> {
        self.state.keyspace.db(self.session.db).deadline(found)
    }

    /// Sets a key to a value and a deadline, whatever it held.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: NewValue<'_>, deadline: Option<UnixMillis>) {
        let is_silent = self.state.config.notify_events.is_silent() && !self.state.log.is_on();
        if !is_silent || self.state.is_lfu() {
            return self.set_and_notify(key, value, deadline);
        }
        let access = self.state.access_of_new();
        self.state.keyspace.set(self.session.db, key, value, deadline, access);
    }

    /// Sets a key while somebody may want to know that it is new, or that it had expired (the log
    /// of effects does), or while it matters how often it was used before.
    #[cold]
    fn set_and_notify(&mut self, key: &[u8], value: NewValue<'_>, deadline: Option<UnixMillis>) {
        match self.find(key) {
            Some(found) => self.overwrite(key, found, value, deadline),
            None => self.add(key, value, deadline),
        }
    }

    /// Gives a found key another value and deadline, whatever it held, and says so; to change what
    /// it holds is another thing, see [`Self::replace`].
    pub fn overwrite(
        &mut self,
        key: &[u8],
        found: Found,
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
    ) {
        let is_silent = self.state.config.notify_events.is_silent();
        let old = (!is_silent).then(|| self.value(found).type_name());
        self.replace(found, value, deadline);
        self.tell_overwritten(self.db(), key, old);
    }

    /// Says that a key holds something else than a value of the type `old`; `None`: it held
    /// nothing, or nobody cares.
    #[inline]
    pub fn tell_overwritten(&mut self, db: usize, key: &[u8], old: Option<&'static str>) {
        let Some(old) = old else { return };
        self.state.notify(db, key, OVERWRITTEN);
        let database = self.state.keyspace.db(db);
        // It may have a deadline that has passed, and is there all the same.
        let new = database.find(key).map(|found| database.value(found).type_name());
        if new.is_some_and(|new| new != old) {
            self.state.notify(db, key, TYPE_CHANGED);
        }
    }

    /// Sets a key of any database to what was taken or copied, and says that it is new: what it
    /// held counts as deleted. Returns the type of that, for [`Self::tell_overwritten`].
    pub fn put(&mut self, db: usize, key: &[u8], taken: Taken) -> Option<&'static str> {
        // How often it was used goes with it.
        let access = if self.state.is_lfu() { taken.access } else { self.state.access_of_new() };
        let mut old = None;
        if !self.state.config.notify_events.is_silent() {
            // One that has expired is told of.
            let found = self.state.keyspace.find(db, key);
            old = found.map(|found| self.state.keyspace.db(db).value(found).type_name());
        }
        self.state.keyspace.put(db, key, taken, access);
        self.state.notify_new(db, key);
        old
    }

    /// Adds a key that was just searched and not found.
    #[inline]
    pub fn add(&mut self, key: &[u8], value: NewValue<'_>, deadline: Option<UnixMillis>) {
        let access = self.state.access_of_new();
        self.state.keyspace.add(self.session.db, key, value, deadline, access);
        self.state.notify_new(self.session.db, key);
    }

    /// Gives a found key another value and deadline.
    #[inline]
    pub fn replace(&mut self, found: Found, value: NewValue<'_>, deadline: Option<UnixMillis>) {
        let access = self.state.access_of_changed(self.session.db, found);
        self.state.keyspace.replace(self.session.db, found, value, deadline, access);
    }

    /// Gives a found key another value; its deadline stays.
    #[inline]
    pub fn replace_value(&mut self, found: Found, value: NewValue<'_>) {
        let deadline = self.deadline(found);
        self.replace(found, value, deadline);
    }

    /// Lets `change` have the collection at `key`, and stores it back; the key goes when it is
    /// empty afterwards. `None`: there is no such key. Another type is an error.
    ///
    /// `change` must not touch the keyspace.
    #[inline]
    pub fn edit<T: Kept, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Self, &mut T) -> R,
    ) -> Result<Option<R>, Error> {
        match self.find(key) {
            Some(found) => self.edit_found(found, change).map(Some),
            None => Ok(None),
        }
    }

    /// Like [`Self::edit`], of a key that was found.
    #[inline]
    pub fn edit_found<T: Kept, R>(
        &mut self,
        found: Found,
        change: impl FnOnce(&mut Self, &mut T) -> R,
    ) -> Result<R, Error> {
        let db = self.session.db;
        let mut collection: T = self.state.keyspace.hand_out(db, found)?;
        let result = change(self, &mut collection);
        let access = self.state.access_of_changed(db, found);
        self.state.keyspace.put_back(db, found, collection, access);
        Ok(result)
    }

    /// Like [`Self::edit`]; a key that does not exist is an empty collection, and is added if it is
    /// not empty afterwards.
    #[inline]
    pub fn edit_or_create<T: Kept, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Self, &mut T) -> R,
    ) -> Result<R, Error> {
        if let Some(found) = self.find(key) {
            return self.edit_found(found, change);
        }
        let db = self.session.db;
        let mut collection: T = self.state.keyspace.empty(db);
        let result = change(self, &mut collection);
        if !collection.is_empty() {
            self.add(key, NewValue::Object(collection.into_object()), None);
        }
        Ok(result)
    }

    /// Sets a key to a collection that was built aside, whatever it held; an empty one deletes it.
    /// Returns whether the key was there before.
    pub fn store<T: Kept>(&mut self, key: &[u8], collection: T) -> bool {
        let found = self.find(key);
        match found {
            _ if !collection.is_empty() => {
                self.set(key, NewValue::Object(collection.into_object()), None);
            }
            Some(found) => self.remove(found),
            None => {}
        }
        found.is_some()
    }

    /// Changes only the deadline of a found key.
    pub fn set_deadline(&mut self, found: Found, deadline: Option<UnixMillis>) {
        self.state.keyspace.set_deadline(self.session.db, found, deadline);
    }

    /// Deletes a found key.
    pub fn remove(&mut self, found: Found) {
        self.state.keyspace.remove(self.session.db, found);
    }

    /// Says that `key` of the client's database was changed, and by what in the words of keyspace
    /// events (`set`, `del`, `expire`...). Whoever watches keys joins here.
    #[inline]
    pub fn changed(&mut self, key: &[u8], event: &'static str) {
        self.changed_in(self.session.db, key, event);
    }

    /// Like [`Self::changed`], in any database.
    #[inline]
    pub fn changed_in(&mut self, db: usize, key: &[u8], event: &'static str) {
        self.state.dirty += 1;
        // What had expired before was over before.
        self.state.tell_lapsed();
        self.state.key_changed(db, key, event);
    }

    /// Like [`Self::changed`], where keyspace events do not speak of the change.
    #[inline]
    pub fn changed_silently(&mut self, key: &[u8]) {
        self.state.dirty += 1;
        self.state.tell_lapsed();
        self.state.key_touched(self.session.db, key);
    }

    /// Says that one more event belongs to a change that was told of.
    #[inline]
    pub fn also(&mut self, key: &[u8], event: &'static str) {
        self.state.notify(self.session.db, key, event);
    }

    /// Says that something beside the value of a key was changed: a group of a stream, or who reads
    /// it. As in Redis, whoever watches the key for a transaction does not mind.
    pub fn announce(&mut self, key: &[u8], event: &'static str) {
        self.state.dirty += 1;
        self.state.tell_lapsed();
        self.state.key_announced(self.session.db, key, event);
    }

    /// Whether the command may wait. Where it may not, [`Cx::wait_for`] answers at once as if the
    /// client's patience had ended.
    #[inline]
    pub fn may_block(&self) -> bool {
        self.may_block
    }

    /// The command cannot be served yet: its client waits for keys, and the command is run again
    /// when one of them has changed. The command must have written nothing, and returns `Ok`.
    ///
    /// A command that is tried again in vain calls this too; it keeps the place, the patience and
    /// the words that it had, whatever it now asks for.
    pub fn wait_for(&mut self, want: WaitFor<'_>) {
        if !self.may_block {
            want.timed_out.write(self.reply);
        } else if self.retry {
            let wait = Wait { until: want.until, timed_out: want.timed_out };
            self.session.blocked = Some(Blocked::Command(wait));
        } else {
            self.state.waits.begin_for_keys(self.session, want);
        }
    }
}
