//! ACL LOG: what was refused to whom.

use super::Cx;
use super::acl::{ACL, wrong_words};
use super::spec::Command;
use crate::acl::Entry;
use crate::args::Args;
use crate::error::Error;
use crate::value::number::parse_integer;

/// Entries that are shown where nobody says how many.
const SHOWN: usize = 10;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "ACL LOG",
    syntax: "[count | RESET]",
    arity: -2,
    complexity: "O(N) where N is the number of entries shown",
    summary: "Returns what was lately refused because of rules or passwords, or forgets it.",
    reply: "array<map<bulk, any>> | ok",
    run: log,
    ..ACL
}];

fn log(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = match args.len() {
        2 => SHOWN,
        3 if args.is(2, "RESET") => {
            cx.state.acl.log.reset();
            cx.reply.ok();
            return Ok(());
        }
        3 => {
            let count = parse_integer(args.at(2)).ok_or(Error::NotAnInteger)?;
            usize::try_from(count).unwrap_or(0)
        }
        _ => return Err(wrong_words(args)),
    };
    let entries = cx.state.acl.log.entries();
    cx.reply.array(entries.len().min(count));
    for entry in entries.take(count) {
        let Entry { reason, context, object, user, client, .. } = entry;
        let age_ms = cx.now.mono.since(entry.at).as_millis();
        cx.reply.map(7);
        cx.reply.text("count");
        cx.reply.integer(entry.count as i64);
        cx.reply.text("reason");
        cx.reply.text(reason.word());
        cx.reply.text("context");
        cx.reply.text(context);
        cx.reply.text("object");
        cx.reply.bulk(object);
        cx.reply.text("username");
        cx.reply.bulk(user);
        cx.reply.text("age-seconds");
        cx.reply.double(age_ms as f64 / 1000.0);
        cx.reply.text("client-info");
        cx.reply.text(client);
    }
    Ok(())
}
