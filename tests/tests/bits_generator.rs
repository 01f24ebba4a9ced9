//! The syntax of the rows of bitmaps, HyperLogLogs and places is what the commands take: most
//! commands that are drawn from it succeed where keys hold what they are about.

use orrery_engine::Seed;
use orrery_engine::commands::generate::Generator;
use orrery_engine::commands::spec::Group;
use orrery_engine::commands::table::table;
use orrery_engine::rng::Rng;
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::{START_UNIX_MS, Server};

const COMMANDS_PER_ROW: usize = 150;

/// Keys `k0` to `k7`, each with what a command of the group works on.
fn server(group: Group) -> Server {
    let mut server = Server::default();
    let conn = server.connect();
    for key in 0..8 {
        let line = match group {
            Group::Bitmap => format!("SET k{key} hello"),
            Group::HyperLogLog => format!("PFADD k{key} a b c"),
            _ => format!("GEOADD k{key} 1 1 hello 1.5 1.5 10 1 2 0 2 1 1 2 2 -1 0 0 3.5 0 1 nan"),
        };
        server.line(conn, &line);
    }
    server
}

#[test]
fn most_generated_commands_are_valid() {
    let mut rng = Rng::new(Seed(3), "valid");
    let mut rows = 0;
    for row in table().rows() {
        let group = row.command.group;
        if !matches!(group, Group::Bitmap | Group::HyperLogLog | Group::Geo) {
            continue;
        }
        rows += 1;
        let mut succeeded = 0;
        for _ in 0..COMMANDS_PER_ROW {
            let mut server = server(group);
            let conn = server.connect();
            let words = Generator::new(&mut rng, START_UNIX_MS).valid(row);
            let reply = server.send(conn, &encode(&words));
            succeeded += usize::from(!Value::read_all(&reply)[0].is_error());
        }
        // Numbers out of range and members that are not there are drawn on purpose; the notation
        // cannot say that STORE and WITHDIST exclude each other.
        let excludes = row.command.syntax.contains("[STORE key]");
        let enough = COMMANDS_PER_ROW / if excludes { 20 } else { 4 };
        assert!(succeeded > enough, "{}: only {succeeded} have succeeded", row.full_name);
    }
    assert_eq!(rows, 22, "rows of the three groups");
}
