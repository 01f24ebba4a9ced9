//! The examples of the crate, as users run them.

use std::process::Command;

use crate::servers::{Kind, Server};

fn example(name: &str, servers: &[Server]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "orrery-lock", "--example", name, "--"])
        .args(servers.iter().map(Server::address))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8(output.stdout).expect("it is text");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn the_examples_run_and_say_what_they_should() {
    for kind in Kind::all("lock_driver") {
        let servers = [Server::start(kind), Server::start(kind), Server::start(kind)];
        let said = example("one_server", &servers[..1]);
        assert!(said.starts_with("held, token 1, for "), "{said}");
        assert!(said.contains("a late holder is refused: token 1 is older than 2\n8 left"));
        let said = example("quorum", &servers);
        assert!(said.contains("the work was ended: the lock is lost: its time is over"), "{said}");
        let said = example("queue", &servers[..1]);
        assert!(said.contains("number 9 has token 10\n"), "{said}");
        assert!(said.contains("a fourth permit: the lock example:pool was not granted"), "{said}");
        let said = example("primary", &servers[1..2]);
        let place = format!("127.0.0.1:{}", servers[1].port());
        assert!(said.starts_with(&format!("warning: the primary among {place} may ")), "{said}");
        assert!(said.contains(&format!("token 3, {place}: somebody has it, for ")), "{said}");
    }
}
