//! Users from files, and back into them.

use std::fs;
use std::io::Write;

use crate::process::{Folder, Server, command, expect, expect_last, free_port, run, talk};

/// A server that reads this configuration file.
fn start_with_file(path: &str, port: u16) -> Server {
    let mut server = Server::spawn(&[path.to_owned()], port);
    server.wait_for_log("Ready to accept");
    server
}

#[test]
fn a_file_of_users_is_read_written_and_read_again() {
    let folder = Folder::new();
    let path = folder.file("users.acl");
    fs::write(&path, "user alice on >secret +get ~a* (+acl ~x)\nuser default on nopass +@all\n")
        .unwrap();
    let server = Server::start(&["--aclfile", &path]);
    let mut admin = server.connect();
    let mut alice = server.connect();
    talk(&mut alice, b"AUTH alice secret\r\n", b"+OK\r\n");
    talk(&mut alice, b"GET abc\r\n", b"$-1\r\n");
    talk(
        &mut alice,
        b"PING\r\n",
        b"-NOPERM this user has no permissions to run the 'ping' command\r\n",
    );
    talk(&mut admin, b"ACL SETUSER bob on nopass +ping\r\nACL SAVE\r\n", b"+OK\r\n+OK\r\n");
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!(
            "user alice on #{hash} ~a* resetchannels -@all +get (~x resetchannels -@all +acl)\n\
             user bob on nopass resetchannels -@all +ping\n\
             user default on nopass resetchannels +@all\n"
        )
    );
    fs::write(&path, "user carol on nopass +@all\nuser alice on nonsense\n").unwrap();
    let complaint = format!(
        "-ERR {path}:2: Syntax error. WARNING: ACL errors detected, no change to the previously \
         active ACL rules was performed\r\n"
    );
    talk(&mut admin, b"ACL LOAD\r\n", complaint.as_bytes());
    talk(&mut alice, b"GET abc\r\n", b"$-1\r\n");
    fs::write(&path, "user carol on nopass +@all\n").unwrap();
    talk(
        &mut admin,
        b"ACL LOAD\r\nACL USERS\r\n",
        b"+OK\r\n*2\r\n$5\r\ncarol\r\n$7\r\ndefault\r\n",
    );
    expect_last(&mut alice, b"");
    fs::remove_file(&path).unwrap();
    let missing =
        format!("-ERR Error loading ACLs, opening file '{path}': No such file or directory\r\n");
    talk(&mut admin, b"ACL LOAD\r\n", missing.as_bytes());
    // Who reloads as another than the default user is told how it went, and has to come again.
    fs::write(&path, "user carol on nopass +@all\n").unwrap();
    let mut carol = server.connect();
    talk(&mut carol, b"AUTH carol x\r\n", b"+OK\r\n");
    carol.write_all(b"ACL LOAD\r\n").unwrap();
    expect(&mut carol, b"+OK\r\n");
    expect_last(&mut carol, b"");
}

#[test]
fn users_of_the_configuration_file_are_written_back() {
    let folder = Folder::new();
    let path = folder.file("redis.conf");
    let port = free_port();
    let text = format!(
        "port {port}\nuser alice on nopass \"(+get ~x)\"\nuser default on >\"a b\" +@all\n# end\n"
    );
    fs::write(&path, text).unwrap();
    let server = start_with_file(&path, port);
    let mut admin = server.connect();
    talk(&mut admin, b"PING\r\n", b"-NOAUTH Authentication required.\r\n");
    talk(&mut admin, b"AUTH \"a b\"\r\n", b"+OK\r\n");
    let rules = command(&[b"ACL", b"SETUSER", b"bob", b"~'\"\\", b"(~a\")"]);
    talk(&mut admin, &rules, b"+OK\r\n");
    talk(&mut admin, b"CONFIG REWRITE\r\n", b"+OK\r\n");
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.matches("\nuser ").count(), 3, "{written}");
    assert!(written.ends_with("\n# end\n"), "{written}");
    drop(server);
    let server = start_with_file(&path, port);
    let mut admin = server.connect();
    talk(&mut admin, b"AUTH \"a b\"\r\n", b"+OK\r\n");
    talk(&mut admin, b"CONFIG REWRITE\r\n", b"+OK\r\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), written);
    talk(&mut admin, b"ACL DELUSER bob alice\r\n", b":2\r\n");
    talk(&mut admin, b"ACL SETUSER default nopass reset on nopass\r\n", b"+OK\r\n");
}

#[track_caller]
fn check_refused(arguments: &[&str], expected: &str) {
    let output = run(arguments, "");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_server_does_not_start_with_users_that_are_wrong() {
    let folder = Folder::new();
    let path = folder.file("users.acl");
    let port = free_port().to_string();
    let port = ["--port", &port];
    check_refused(
        &[&port[..], &["--aclfile", &path]].concat(),
        &format!("Error loading ACLs, opening file '{path}': No such file or directory"),
    );
    fs::write(&path, "user alice on nonsense\n").unwrap();
    check_refused(
        &[&port[..], &["--aclfile", &path]].concat(),
        &format!("{path}:1: Syntax error."),
    );
    fs::write(&path, "user alice on\n").unwrap();
    check_refused(
        &[&port[..], &["--aclfile", &path, "--user", "bob", "on"]].concat(),
        "please define either an ACL file or declare users directly",
    );
    check_refused(
        &[&port[..], &["--user", "foo", "--user", "foo"]].concat(),
        "Duplicate user found",
    );
    check_refused(
        &[&port[..], &["--user", "foo", "+nosuch"]].concat(),
        "Error loading ACL rule '+nosuch' for the user named 'foo': Unknown command or category",
    );
}
