//! The HELP subcommand of every container, from the rows of its subcommands.

use super::Cx;
use super::syntax::readable;
use super::table::table;
use crate::args::Args;
use crate::error::Error;

/// Lists the subcommands of the container that the running HELP belongs to.
pub(super) fn help(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let rows = table().rows();
    let container = cx.row.container.map_or(cx.row, |index| &rows[index]);
    let name = container.command.name;
    // It may have been renamed.
    let called = String::from_utf8_lossy(args.at(0)).to_ascii_uppercase();
    let mut lines =
        vec![format!("{called} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for &index in &container.subcommands {
        let command = rows[index].command;
        let subcommand = &command.name[name.len() + 1..];
        lines.push(format!("{subcommand} {}", readable(command.syntax)).trim_end().to_owned());
        lines.push(format!("    {}", command.summary));
    }
    cx.reply.array(lines.len());
    for line in &lines {
        cx.reply.simple(line);
    }
    Ok(())
}
