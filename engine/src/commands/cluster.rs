//! CLUSTER and what belongs to it, on a server that is no node of a cluster.
//!
//! Invariant: every row answers as a Redis with `cluster-enabled no` does: whoever asks learns that
//! there is no cluster here, behind the checks that every command passes.

use super::Cx;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;

const STALE: Flags = Flags::LOADING.and(Flags::STALE);
const ADMIN: Flags = Flags::ADMIN.and(Flags::STALE);
const CHANGE: Flags = ADMIN.and(Flags::NO_ASYNC_LOADING);
const ANY_REPLY: &[&str] = &["nondeterministic_output"];
/// A row without a cluster to work on.
const CLUSTER: Command = Command {
    arity: 2,
    flags: STALE,
    group: Group::Cluster,
    since: "3.0.0",
    run: refuse,
    ..Command::ROW
};
const CONNECTION: Command = Command {
    arity: 1,
    flags: STALE.and(Flags::FAST),
    categories: &["connection"],
    reply: "ok",
    ..CLUSTER
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ASKING",
        flags: Flags::FAST,
        summary: "Lets the next command use a hash slot that is moving here.",
        ..CONNECTION
    },
    Command { name: "READONLY", summary: "Lets the connection read from a replica.", ..CONNECTION },
    Command { name: "READWRITE", summary: "Takes back what READONLY allowed.", ..CONNECTION },
    Command {
        name: "CLUSTER",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about the cluster.",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER ADDSLOTS",
        syntax: "slot:integer [slot:integer ...]",
        arity: -3,
        flags: CHANGE,
        complexity: "O(N) where N is the number of slots",
        summary: "Gives hash slots to the node that is asked.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER ADDSLOTSRANGE",
        syntax: "start-slot:integer end-slot:integer [start-slot:integer end-slot:integer ...]",
        arity: -4,
        flags: CHANGE,
        since: "7.0.0",
        complexity: "O(N) where N is the number of slots in the ranges",
        summary: "Gives ranges of hash slots to the node that is asked.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER BUMPEPOCH",
        flags: CHANGE,
        tips: ANY_REPLY,
        summary: "Moves the configuration epoch of the node on.",
        reply: "simple",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER COUNT-FAILURE-REPORTS",
        syntax: "node-id",
        arity: 3,
        flags: ADMIN.and(Flags::LOADING),
        tips: ANY_REPLY,
        complexity: "O(N) where N is the number of reports",
        summary: "Counts how many nodes say that a node has failed.",
        reply: "integer",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER COUNTKEYSINSLOT",
        syntax: "slot:integer",
        arity: 3,
        flags: Flags::STALE,
        summary: "Counts the keys in a hash slot.",
        reply: "integer",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER DELSLOTS",
        syntax: "slot:integer [slot:integer ...]",
        arity: -3,
        flags: CHANGE,
        complexity: "O(N) where N is the number of slots",
        summary: "Takes hash slots from the node that is asked.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER DELSLOTSRANGE",
        syntax: "start-slot:integer end-slot:integer [start-slot:integer end-slot:integer ...]",
        arity: -4,
        flags: CHANGE,
        since: "7.0.0",
        complexity: "O(N) where N is the number of slots in the ranges",
        summary: "Takes ranges of hash slots from the node that is asked.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER FAILOVER",
        syntax: "[FORCE | TAKEOVER]",
        arity: -2,
        flags: CHANGE,
        summary: "Makes a replica take its primary's place.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER FLUSHSLOTS",
        flags: CHANGE,
        summary: "Takes all hash slots from the node that is asked.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER FORGET",
        syntax: "node-id",
        arity: 3,
        flags: CHANGE,
        summary: "Removes a node from those that the asked one knows.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER GETKEYSINSLOT",
        syntax: "slot:integer count:integer",
        arity: 4,
        flags: Flags::STALE,
        tips: ANY_REPLY,
        complexity: "O(N) where N is the number of keys that are asked for",
        summary: "Lists keys of a hash slot.",
        reply: "array<bulk>",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER HELP",
        since: "5.0.0",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER INFO",
        tips: ANY_REPLY,
        summary: "Describes the cluster as its node sees it.",
        reply: "bulk",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER KEYSLOT",
        syntax: "key:string",
        arity: 3,
        complexity: "O(N) where N is the number of bytes in the key",
        summary: "Returns the hash slot of a key.",
        reply: "integer",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER LINKS",
        tips: ANY_REPLY,
        since: "7.0.0",
        complexity: "O(N) where N is the number of nodes",
        summary: "Lists the connections to other nodes.",
        reply: "array<any>",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER MEET",
        syntax: "ip port:integer [cluster-bus-port:integer]",
        arity: -4,
        flags: CHANGE,
        summary: "Makes the node that is asked join another one.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER MYID",
        summary: "Returns the name of the node that is asked.",
        reply: "bulk",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER MYSHARDID",
        tips: ANY_REPLY,
        since: "7.2.0",
        summary: "Returns the name of the shard of the node that is asked.",
        reply: "bulk",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER NODES",
        tips: ANY_REPLY,
        complexity: "O(N) where N is the number of nodes",
        summary: "Describes the nodes, one a line.",
        reply: "bulk",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER REPLICAS",
        syntax: "node-id",
        arity: 3,
        flags: ADMIN.and(Flags::LOADING),
        tips: ANY_REPLY,
        since: "5.0.0",
        complexity: "O(N) where N is the number of replicas",
        summary: "Describes the replicas of a node.",
        reply: "array<bulk>",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER REPLICATE",
        syntax: "node-id",
        arity: 3,
        flags: CHANGE,
        summary: "Makes the node that is asked a replica of another one.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER RESET",
        syntax: "[HARD | SOFT]",
        arity: -2,
        flags: ADMIN.and(Flags::NOSCRIPT),
        complexity: "O(N) where N is the number of nodes that are known",
        summary: "Makes the node that is asked forget the cluster.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER SAVECONFIG",
        flags: CHANGE,
        summary: "Writes the state of the cluster to the node's disk.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER SET-CONFIG-EPOCH",
        syntax: "config-epoch:integer",
        arity: 3,
        flags: CHANGE,
        summary: "Sets the configuration epoch of a new node.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER SETSLOT",
        syntax: "slot:integer (IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE)",
        arity: -4,
        flags: CHANGE,
        summary: "Says to which node a hash slot belongs or moves.",
        reply: "ok",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER SHARDS",
        tips: ANY_REPLY,
        since: "7.0.0",
        complexity: "O(N) where N is the number of nodes",
        summary: "Describes the shards with their slots and nodes.",
        reply: "array<any>",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER SLAVES",
        syntax: "node-id",
        arity: 3,
        flags: ADMIN.and(Flags::LOADING),
        tips: ANY_REPLY,
        complexity: "O(N) where N is the number of replicas",
        summary: "Describes the replicas of a node.",
        reply: "array<bulk>",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER SLOT-STATS",
        syntax: "(SLOTSRANGE start-slot:integer end-slot:integer | \
            ORDERBY metric [LIMIT limit:integer] [ASC | DESC])",
        arity: -4,
        tips: ANY_REPLY,
        since: "8.2.0",
        complexity: "O(N log N) where N is the number of slots",
        summary: "Returns what is counted of hash slots.",
        reply: "array<any>",
        ..CLUSTER
    },
    Command {
        name: "CLUSTER SLOTS",
        tips: ANY_REPLY,
        complexity: "O(N) where N is the number of nodes",
        summary: "Lists ranges of hash slots with their nodes.",
        reply: "array<any>",
        ..CLUSTER
    },
];

fn refuse(_: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    Err(Error::fixed("ERR This instance has cluster support disabled"))
}
