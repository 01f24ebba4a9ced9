//! The gate that a command must pass: whether its user may run it, with these words.
//!
//! Invariant: a user that may do everything costs one look at a flag.

use std::sync::{Arc, LazyLock};

use super::Cx;
use super::categories::CATEGORIES;
use super::client_list::describe_client;
use super::keys::FoundKey;
use super::spec::{Channels, Databases, Flags};
use super::table::{Row, table};
use crate::acl::{Access, Acl, Catalogue, Denied, Entry, Reason, Request, Terms};
use crate::args::Args;
use crate::config::Config;
use crate::error::Error;
use crate::session::Session;
use crate::state::State;
use crate::value::number::parse_integer;

/// The rows as rules speak of them.
pub fn catalogue() -> Arc<Catalogue> {
    static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
        let rows = table().rows().iter();
        Arc::new(Catalogue::new(&CATEGORIES, rows.map(|row| (row.full_name, row.categories()))))
    });
    Arc::clone(&CATALOGUE)
}

/// Whether a directive of a configuration file defines a user as it should: its name and rules. The
/// error is Redis's text. Commands, categories and databases that there are not are found when the
/// users are made.
pub fn check_user_declaration(words: &[&str]) -> Result<(), String> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    // What the others are may be said by later directives.
    let terms = Terms { catalogue: &catalogue(), databases: usize::MAX, all_channels: false };
    Acl::check_declaration(&words, terms)
        .map_err(|(word, why)| format!("Error in user declaration '{word}': {why}"))
}

/// What rules depend on now.
pub(crate) fn terms<'a>(catalogue: &'a Catalogue, config: &Config) -> Terms<'a> {
    let (databases, all_channels) = (config.databases, config.all_channels);
    Terms { catalogue, databases, all_channels }
}

/// What a client gets that has to log in first.
pub(super) const NO_AUTH: Error = Error::fixed("NOAUTH Authentication required.");

/// Where a command comes from, which its refusal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A client wants it run.
    Toplevel,
    /// A client wants it queued, or runs it inside a transaction and is refused by the command
    /// itself.
    Transaction,
    /// A transaction is being run.
    Exec,
    /// A script calls it.
    Script,
}

impl Place {
    /// Where the client's next command comes from, or the one that it is running.
    pub(super) fn of(cx: &Cx<'_>) -> Self {
        let is_queued = cx.session.transaction.is_some() || !cx.may_block();
        if is_queued { Self::Transaction } else { Self::Toplevel }
    }

    /// The word in ACL LOG.
    fn context(self) -> &'static str {
        match self {
            Self::Toplevel => "toplevel",
            Self::Transaction | Self::Exec => "multi",
            Self::Script => "lua",
        }
    }

    /// The error of a command that was refused here.
    fn error(self, denied: Denied, row: &Row) -> Error {
        match self {
            Self::Exec => return refused_at_exec(denied.reason),
            Self::Script => return refused_in_script(denied.reason),
            Self::Toplevel | Self::Transaction => {}
        }
        match denied.reason {
            Reason::Command | Reason::Login => {
                let name = row.full_name;
                Error::text(format!(
                    "NOPERM this user has no permissions to run the '{name}' command"
                ))
            }
            Reason::Key => Error::fixed(
                "NOPERM this user has no permissions to access one of the keys used as arguments",
            ),
            Reason::Channel => Error::fixed(
                "NOPERM this user has no permissions to access one of the channels used as \
                 arguments",
            ),
            Reason::Database => Error::fixed("NOPERM No permissions to access database"),
        }
    }
}

fn refused_in_script(reason: Reason) -> Error {
    let why = match reason {
        Reason::Command | Reason::Login => "can't run this command or subcommand",
        Reason::Key => "can't access at least one of the keys mentioned in the command arguments",
        Reason::Channel => "can't publish to the channel mentioned in the command",
        Reason::Database => "can't access the database",
    };
    Error::text(format!("ERR The user executing the script {why}"))
}

fn refused_at_exec(reason: Reason) -> Error {
    let why = match reason {
        Reason::Command | Reason::Login => "no permission to execute the command or subcommand",
        Reason::Key => "no permission to touch the specified keys",
        Reason::Channel => "no permission to access one of the channels used as arguments",
        Reason::Database => "no permission to access the database",
    };
    Error::text(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC \
         call. This command is no longer allowed for the following reason: {why}"
    ))
}

/// A command that somebody wants to run.
pub(super) struct Wanted<'a> {
    pub(super) row: &'a Row,
    pub(super) args: Args<'a>,
    /// The database that is selected; `None`: nobody knows yet, since an earlier command of a
    /// transaction may select another. EXEC will know.
    pub(super) db: Option<usize>,
    /// How many there are.
    pub(super) databases: usize,
}

impl Wanted<'_> {
    /// Whether it has to do with keys.
    fn reaches_keys(&self) -> bool {
        let command = self.row.command;
        let is_key = |flags: &[&str]| !flags.contains(&"NOT_KEY");
        command.flags.has(Flags::READONLY)
            || command.flags.has(Flags::WRITE)
            || self.row.is_in("keyspace")
            || command.keys.iter().any(|spec| is_key(spec.flags))
    }

    /// The databases that words name. Those that there are not are found by the command itself.
    fn named(&self, words: fn(Args<'_>) -> Vec<usize>) -> Vec<(usize, Option<usize>)> {
        let database = |index: usize| {
            let id = usize::try_from(parse_integer(self.args.opt(index)?)?).ok()?;
            (id < self.databases).then_some((index, Some(id)))
        };
        words(self.args).into_iter().filter_map(database).collect()
    }
}

impl Request for Wanted<'_> {
    fn command(&self) -> usize {
        self.row.index
    }

    fn is_free(&self) -> bool {
        self.row.command.flags.has(Flags::NO_AUTH)
    }

    fn first_word(&self) -> Option<&[u8]> {
        self.args.opt(1)
    }

    fn word(&self, index: usize) -> &[u8] {
        self.args.at(index)
    }

    /// Words that do not fit the row's specifications have no keys, as in Redis: the command says
    /// what is wrong with them.
    fn keys(&self) -> Vec<(usize, Access)> {
        let found = self.row.keys(self.args).unwrap_or_default();
        // The keys of a command that it carries are asked for with that one.
        let end = self.row.command.carries.unwrap_or(usize::MAX);
        let is_own = |key: &&FoundKey| key.index < end && !key.flags.contains(&"NOT_KEY");
        let keys = found.iter().filter(is_own);
        keys.map(|key| (key.index, access(key))).collect()
    }

    fn channels(&self) -> Vec<(usize, bool)> {
        let words = self.args.len();
        match self.row.command.channels {
            None => Vec::new(),
            Some(Channels::First) => vec![(1, false)],
            Some(Channels::All) => (1..words).map(|index| (index, false)).collect(),
            Some(Channels::AllPatterns) => (1..words).map(|index| (index, true)).collect(),
        }
    }

    fn databases(&self) -> Vec<(usize, Option<usize>)> {
        let selected = self.db.map(|db| (0, Some(db)));
        match self.row.command.databases {
            Databases::Selected if self.reaches_keys() => selected.into_iter().collect(),
            Databases::Selected => Vec::new(),
            Databases::Named(words) => self.named(words),
            Databases::SelectedAndNamed(words) => {
                let mut all = self.named(words);
                all.extend(selected);
                all
            }
            Databases::Every => vec![(0, None)],
        }
    }
}

/// What a key's specification says that becomes of it.
fn access(key: &FoundKey) -> Access {
    key.flags.iter().fold(Access::NONE, |access, flag| match *flag {
        "ACCESS" => access.and(Access::READ),
        "INSERT" | "DELETE" | "UPDATE" => access.and(Access::WRITE),
        _ => access,
    })
}

impl State {
    /// Whether a client's user may run a command of `row`.
    pub(super) fn may_run(&self, session: &Session, row: &Row, args: Args<'_>) -> bool {
        let (db, databases) = (Some(session.db), self.config.databases);
        let user = self.acl.user(session.user);
        let may = |row, args| user.check(&Wanted { row, args, db, databases }).is_ok();
        let carried = self.carried(row, args);
        !self.must_authenticate(session)
            && may(row, args)
            && carried.is_ok_and(|carried| carried.is_none_or(|(row, args)| may(row, args)))
    }
}

impl Cx<'_> {
    /// Whether the client's user may run a command of `row`. A refusal is logged; the error is what
    /// the client is told.
    #[inline]
    pub(crate) fn permit(
        &mut self,
        row: &'static Row,
        args: Args<'_>,
        place: Place,
    ) -> Result<(), Error> {
        // One that was removed has no permissions in what is left of its transaction or script.
        let is_inner = matches!(place, Place::Exec | Place::Script);
        if is_inner && self.state.must_authenticate(self.session) {
            return Err(NO_AUTH);
        }
        if self.state.acl.user(self.session.user).is_unrestricted() {
            return Ok(());
        }
        self.permit_by_rules(row, args, place)?;
        match self.state.carried(row, args)? {
            Some((row, args)) => self.permit_by_rules(row, args, place),
            None => Ok(()),
        }
    }

    #[inline(never)]
    fn permit_by_rules(
        &mut self,
        row: &'static Row,
        args: Args<'_>,
        place: Place,
    ) -> Result<(), Error> {
        let mut wanted = self.wanted(row, args);
        if place == Place::Transaction {
            wanted.db = None;
        }
        let user = self.state.acl.user(self.session.user);
        let Err(denied) = user.check(&wanted) else { return Ok(()) };
        let object = match denied {
            Denied { reason: Reason::Command, .. } => row.full_name.as_bytes().to_vec(),
            Denied { reason: Reason::Database, index: 0 } => match row.command.databases {
                Databases::Every => row.full_name.as_bytes().to_vec(),
                _ => self.session.db.to_string().into_bytes(),
            },
            Denied { index, .. } => args.at(index).to_vec(),
        };
        let user = user.name().to_vec();
        self.log_refusal(denied.reason, place, object, user);
        Err(place.error(denied, row))
    }

    /// Notes for ACL LOG that the client was refused something.
    pub(super) fn log_refusal(
        &mut self,
        reason: Reason,
        place: Place,
        object: Vec<u8>,
        user: Vec<u8>,
    ) {
        let entry = Entry {
            count: 1,
            reason,
            context: place.context(),
            object,
            user,
            at: self.now.mono,
            client: describe_client(self),
        };
        self.state.acl.log.add(entry, self.state.config.acl_log_len_max);
    }

    /// Whether the client's user may run this very command and read every key, whatever it is
    /// called: what a command needs that makes up names of keys (SORT's BY and GET).
    pub(super) fn may_read_every_key(&self, args: Args<'_>) -> bool {
        let user = self.state.acl.user(self.session.user);
        user.is_unrestricted()
            || user.may_access_every_key(&self.wanted(self.row, args), Access::READ)
    }

    fn wanted<'a>(&self, row: &'a Row, args: Args<'a>) -> Wanted<'a> {
        Wanted { row, args, db: Some(self.session.db), databases: self.state.config.databases }
    }
}
