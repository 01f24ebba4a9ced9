//! What a server says about itself when it is greeted.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use orrery_lock_machine::Dialect;

use crate::reply::Value;

/// A server, by its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Different for each process; `None`: it does not tell.
    pub(crate) run_id: Option<String>,
    pub(crate) is_replica: bool,
    /// It says so; one that says nothing of itself is neither.
    pub(crate) is_primary: bool,
    /// So many copy from it.
    pub(crate) replicas: u64,
    /// How much it has sent them, or would have.
    pub(crate) offset: u64,
    /// What it does when its memory is full.
    pub(crate) policy: Option<String>,
    pub(crate) dialect: Dialect,
    /// The quickest of some round trips.
    pub(crate) round_trip: Duration,
}

impl Facts {
    /// Reads them from the replies to INFO and to COMMAND INFO DELEX.
    pub(crate) fn read(infos: &[Value], delex: &Value, round_trip: Duration) -> Self {
        let field = |name: &str| {
            infos.iter().filter_map(Value::text).find_map(|text| {
                let line = text
                    .split(|byte| *byte == b'\n')
                    .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
                Some(String::from_utf8_lossy(line).trim_end().to_owned())
            })
        };
        let number = |name| field(name).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let knows_delex = matches!(delex, Value::Array(rows)
            if matches!(rows[..], [Value::Array(ref row)] if !row.is_empty()));
        Self {
            run_id: field("run_id").filter(|id| !id.is_empty()),
            is_primary: field("role").is_some_and(|role| role == "master"),
            replicas: number("connected_slaves"),
            offset: number("master_repl_offset"),
            is_replica: field("role").is_some_and(|role| role == "slave"),
            policy: field("maxmemory_policy"),
            dialect: if knows_delex { Dialect::Conditions } else { Dialect::Scripts },
            round_trip,
        }
    }
}

/// Which server is which.
#[derive(Debug)]
pub(crate) struct Roster {
    run_ids: Mutex<Vec<Option<String>>>,
}

impl Roster {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { run_ids: Mutex::new(vec![None; nodes]) }
    }

    /// Takes a server for this one, or says why not.
    pub(crate) fn admit(&self, node: usize, facts: &Facts) -> Result<(), Unfit> {
        if facts.is_replica {
            return Err(Unfit::Replica);
        }
        let mut run_ids = self.run_ids.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |other: &Option<String>| other.is_some() && *other == facts.run_id;
        let twin = (0..run_ids.len()).find(|&other| other != node && is_same(&run_ids[other]));
        if let Some(twin) = twin {
            return Err(Unfit::Same(twin));
        }
        run_ids[node].clone_from(&facts.run_id);
        Ok(())
    }
}

/// Why a server cannot be one of a lock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    Replica,
    /// It is this one.
    Same(usize),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica => f.write_str("it is a replica: what it grants its primary overrules"),
            Self::Same(node) => write!(f, "it is the same server as number {node}, counted from 0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_lines_and_are_missing_where_they_are_not_told() {
        let info = b"# Server\r\nrun_id:abc\r\nrole:slave\r\nmaxmemory_policy:allkeys-lru\r\n";
        let row = Value::Array(vec![Value::Array(vec![Value::Text(b"delex".to_vec())])]);
        let facts = Facts::read(&[Value::Text(info.to_vec())], &row, Duration::ZERO);
        assert_eq!(facts.run_id.as_deref(), Some("abc"));
        assert!(facts.is_replica && facts.policy.as_deref() == Some("allkeys-lru"));
        assert_eq!(facts.dialect, Dialect::Conditions);
        for silent in [Value::Null, Value::Error(b"NOPERM".to_vec()), Value::Text(vec![b':'; 9])] {
            let facts = Facts::read(std::slice::from_ref(&silent), &silent, Duration::ZERO);
            assert!(facts.run_id.is_none() && !facts.is_replica && facts.policy.is_none());
            assert_eq!(facts.dialect, Dialect::Scripts);
        }
        let none = Value::Array(vec![Value::Null]);
        assert_eq!(Facts::read(&[], &none, Duration::ZERO).dialect, Dialect::Scripts);
    }

    #[test]
    fn one_server_under_two_names_and_replicas_are_not_admitted() {
        let facts = |run_id: Option<&str>, role: &str| {
            let run_id = run_id.unwrap_or_default();
            let info = format!("run_id:{run_id}\r\nrole:{role}\r\n");
            Facts::read(&[Value::Text(info.into_bytes())], &Value::Null, Duration::ZERO)
        };
        let roster = Roster::new(3);
        assert_eq!(roster.admit(0, &facts(Some("a"), "master")), Ok(()));
        assert_eq!(roster.admit(1, &facts(Some("a"), "master")), Err(Unfit::Same(0)));
        assert_eq!(roster.admit(1, &facts(None, "master")), Ok(()), "it does not tell");
        assert_eq!(roster.admit(2, &facts(None, "master")), Ok(()));
        assert_eq!(roster.admit(0, &facts(Some("b"), "master")), Ok(()), "it was started again");
        assert_eq!(roster.admit(1, &facts(Some("a"), "master")), Ok(()));
        assert_eq!(roster.admit(2, &facts(Some("c"), "slave")), Err(Unfit::Replica));
    }
}
