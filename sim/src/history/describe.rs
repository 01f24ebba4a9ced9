//! Operations in words, as reports print them.

use std::fmt;

use super::{Command, Condition, Operation, Outcome, SetCommand, Value};

struct Words<'a>(&'a str, &'a [Value]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

impl fmt::Display for SetCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SET {} {}", self.key, self.value)?;
        match &self.condition {
            None => {}
            Some(Condition::Nx) => f.write_str(" NX")?,
            Some(Condition::Xx) => f.write_str(" XX")?,
            Some(Condition::IfEq(value)) => write!(f, " IFEQ {value}")?,
        }
        if let Some(ttl_ms) = self.ttl_ms {
            write!(f, " PX {ttl_ms}")?;
        }
        if self.keep_ttl {
            f.write_str(" KEEPTTL")?;
        }
        if self.get { f.write_str(" GET") } else { Ok(()) }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get { key } => write!(f, "GET {key}"),
            Self::Cached { key } => write!(f, "copy of {key}"),
            Self::Set(set) => set.fmt(f),
            Self::Cas { key, from, to } => write!(f, "CAS {key} {from} {to}"),
            Self::Append { key, value } => write!(f, "APPEND {key} {value}"),
            Self::GetDel { key } => write!(f, "GETDEL {key}"),
            Self::IncrBy { key, by } => write!(f, "INCRBY {key} {by}"),
            Self::Expire { key, ttl_ms } => write!(f, "PEXPIRE {key} {ttl_ms}"),
            Self::Persist { key } => write!(f, "PERSIST {key}"),
            Self::Pttl { key } => write!(f, "PTTL {key}"),
            Self::Ttl { key } => write!(f, "TTL {key}"),
            Self::Del { keys } => Words("DEL", keys).fmt(f),
            Self::Exists { keys } => Words("EXISTS", keys).fmt(f),
            Self::MGet { keys } => Words("MGET", keys).fmt(f),
            Self::MSet { pairs } => {
                f.write_str("MSET")?;
                pairs.iter().try_for_each(|(key, value)| write!(f, " {key} {value}"))
            }
            Self::Multi { commands } => {
                f.write_str("MULTI {")?;
                for (index, command) in commands.iter().enumerate() {
                    let separator = if index == 0 { " " } else { "; " };
                    // A nested MULTI is refused by the readers; do not recurse into one.
                    match command {
                        Self::Multi { .. } => write!(f, "{separator}MULTI")?,
                        command => write!(f, "{separator}{command}")?,
                    }
                }
                f.write_str(" }")
            }
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} client {} [{}, ", self.id, self.process, self.call_us)?;
        match self.return_us {
            Some(return_us) => write!(f, "{return_us}] us: ")?,
            None => f.write_str("...) us: ")?,
        }
        write!(f, "{} -> ", self.command)?;
        match &self.outcome {
            Outcome::Ok(reply) => reply.fmt(f),
            Outcome::Fail => f.write_str("failed"),
            Outcome::Info => f.write_str("unknown"),
        }
    }
}
