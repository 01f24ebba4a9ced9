//! How a server starts, refuses to start, and ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Folder, Server, command, free_port, run, talk};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn tells_its_process_id_and_that_it_is_ready_in_the_order_that_tools_wait_for() {
    let server = Server::start(&[]);
    let log = &server.logged;
    let place = |text: &str| log.find(text).unwrap_or_else(|| panic!("no '{text}' in\n{log}"));
    assert!(place(&format!(" PID: {}", server.process())) < place("Server initialized"));
    assert!(place("Server initialized") < place("* Ready to accept connections"));
    assert!(log.contains(&format!("Running mode=standalone, port={}.", server.port)));
    // Each line: PID:M 20 Nov 2026 10:02:15.123 * message
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], format!("{}:M", server.process()), "{line}");
        assert!(words[1].len() == 2 && words[2].len() == 3 && words[3].len() == 4, "{line}");
        assert!(words[4].len() == 12 && words[4].as_bytes()[8] == b'.', "{line}");
        assert!([".", "-", "*", "#"].contains(&words[5]), "{line}");
    }
    talk(&mut server.connect(), b"SET k v\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n");
}

#[test]
fn ends_cleanly_on_a_signal_and_tells_so() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut server = Server::start(&[]);
        let mut client = server.connect();
        talk(&mut client, b"SET k v\r\n", b"+OK\r\n");
        assert_eq!(server.end(signal), Some(0), "{}", server.logged);
        let mut rest = server.logged.as_str();
        for line in [
            &format!("Received {name} scheduling shutdown..."),
            "User requested shutdown...",
            "Orrery is now ready to exit, bye bye...",
        ] {
            let place = rest.find(line).unwrap_or_else(|| panic!("no '{line}' in {rest}"));
            rest = &rest[place..];
        }
        crate::process::expect_last(&mut client, b"");
    }
}

#[test]
fn a_signal_ends_a_server_whose_script_does_not_end() {
    for (signal, script) in [
        (Signal::TERM, "while true do end"),
        (Signal::INT, "redis.call('set', 'k', 'v') while true do end"),
        (Signal::TERM, "redis.call('set', 'k', 'v') while true do pcall(error) end"),
    ] {
        let mut server = Server::start(&["--busy-reply-threshold", "1"]);
        let mut client = server.connect();
        client.write_all(&command(&[b"EVAL", script.as_bytes(), b"0"])).unwrap();
        let mut other = server.connect();
        wait_until_busy(&mut other);
        talk(&mut other, b"SHUTDOWN\r\nSHUTDOWN NOW\r\n", &[BUSY, BUSY].concat());
        assert_eq!(server.end(signal), Some(0), "{script}: {}", server.logged);
    }
    let mut server = Server::start(&["--busy-reply-threshold", "1"]);
    let mut client = server.connect();
    client.write_all(&command(&[b"EVAL", b"while true do end", b"0"])).unwrap();
    let mut other = server.connect();
    wait_until_busy(&mut other);
    other.write_all(b"SHUTDOWN NOSAVE\r\n").unwrap();
    assert_eq!(server.wait_for_end(), Some(0), "{}", server.logged);
}

const BUSY: &[u8] = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or \
    SHUTDOWN NOSAVE.\r\n";

fn wait_until_busy(client: &mut TcpStream) {
    let mut reply = [0; 128];
    loop {
        client.write_all(b"PING\r\n").unwrap();
        let len = client.read(&mut reply).unwrap();
        if reply[..len].starts_with(b"-BUSY") {
            return;
        }
    }
}

#[test]
fn who_insists_ends_a_server_that_hangs() {
    // Nobody reads its log, and a pipe holds no more than so much.
    let text = vec![b'x'; 1 << 20];
    for signals in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::INT]] {
        let mut server = Server::start(&["--enable-debug-command", "local"]);
        let mut client = server.connect();
        client.write_all(&command(&[b"DEBUG", b"LOG", &text])).unwrap();
        client.write_all(b"PING\r\n").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        client.read(&mut [0; 64]).expect_err("it hangs");
        server.signal(signals[0]);
        std::thread::sleep(Duration::from_millis(100));
        assert!(server.is_running(), "it was told once");
        server.signal(signals[1]);
        assert_eq!(server.wait_for_end(), Some(1));
    }
}

#[test]
fn a_taken_port_is_told_as_redis_tells_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = run(&["--port", &port.to_string(), "--bind", "127.0.0.1"], "");
    assert_eq!(output.status.code(), Some(1));
    let log = text(&output.stdout);
    for line in [
        format!(
            "# Warning: Could not create server TCP listening socket 127.0.0.1:{port}: bind: \
             Address already in use\n"
        ),
        format!("# Failed listening on port {port} (tcp), aborting.\n"),
    ] {
        assert!(log.contains(&line), "no '{line}' in\n{log}");
    }
    assert!(!log.contains("Server initialized"));
}

#[test]
fn only_an_address_that_is_marked_optional_may_be_missing() {
    // 192.0.2.1 is for documentation: no machine has it.
    let mut server = Server::start(&["--bind", "127.0.0.1", "-192.0.2.1"]);
    talk(&mut server.connect(), b"SET k v\r\n", b"+OK\r\n");
    assert!(server.logged.contains("bind: Cannot assign requested address"), "{}", server.logged);
    assert_eq!(server.end(Signal::TERM), Some(0));
    let port = free_port().to_string();
    let output = run(&["--port", &port, "--bind", "127.0.0.1", "192.0.2.1"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("aborting."));
    TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap_err();
}

#[test]
fn a_server_that_would_listen_nowhere_does_not_start() {
    let output = run(&["--port", "0"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("# Configured to not listen anywhere, exiting.\n"));
}

#[test]
fn listens_on_a_unix_socket_alone_and_takes_its_file_away() {
    let folder = Folder::new();
    let path = folder.file("socket");
    // A file of an earlier run is in the way.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let arguments = ["--port", "0", "--unixsocket", &path, "--unixsocketperm", "700"];
    let mut server = Server::spawn(&arguments.map(str::to_owned), 0);
    server.wait_for_log(&format!("The server is now ready to accept connections at {path}"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let mut client = UnixStream::connect(&path).unwrap();
    talk(&mut client, b"SET k v\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n");
    assert_eq!(server.end(Signal::TERM), Some(0));
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn a_wrong_directive_is_shown_with_its_line() {
    let folder = Folder::new();
    let path = folder.file("redis.conf");
    fs::write(&path, "# a comment\nport 7001\n  timeout  abc  \n").unwrap();
    let output = run(&[&path], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "\n*** FATAL CONFIG FILE ERROR (Orrery 0.1.0) ***\n\
         Reading the configuration file, at line 3\n>>> 'timeout  abc'\n\
         argument couldn't be parsed into an integer\n"
    );
    let output = run(&[&folder.file("missing.conf")], "");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("Fatal error, can't open config file '"), "{told}");
    assert!(told.contains("missing.conf': No such file or directory\n"), "{told}");
}

#[test]
fn what_cannot_be_obeyed_is_told_in_the_words_of_redis() {
    let cases = [
        (&["--rename-command", "nosuch", "x"][..], "No such command in rename-command"),
        (&["--rename-command", "get", "SET"], "Target command name already exists"),
        (&["--rename-command", "get"], "Bad directive or wrong number of arguments"),
        (
            &["--cluster-enabled", "yes"],
            "this server cannot be a node of a cluster: cluster-enabled must be 'no'",
        ),
    ];
    for (arguments, why) in cases {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.ends_with(&format!("\n{why}\n")), "{arguments:?}: {told}");
    }
}

#[test]
fn a_file_standard_input_and_arguments_add_up() {
    let folder = Folder::new();
    let port = free_port();
    fs::write(folder.0.join("redis.conf"), "port 1\ninclude more-*.conf\n").unwrap();
    fs::write(folder.0.join("more-a.conf"), "logfile \"the log\"\n").unwrap();
    fs::write(folder.0.join("more-b.conf"), format!("pidfile {}\n", folder.file("pid"))).unwrap();
    let arguments = ["redis.conf", "--port", &port.to_string(), "--activerehashing", "no"];
    let mut child = std::process::Command::new(orrery_tests::program::server())
        .args(arguments)
        .current_dir(&folder.0)
        .spawn()
        .unwrap();
    let start = std::time::Instant::now();
    let log = loop {
        let log = fs::read_to_string(folder.0.join("the log")).unwrap_or_default();
        if log.contains("Ready to accept") {
            break log;
        }
        assert!(start.elapsed() < crate::process::PATIENCE, "{log}");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(log.contains("Warning: the parameter 'activerehashing' is not supported"), "{log}");
    assert_eq!(fs::read_to_string(folder.0.join("pid")).unwrap(), format!("{}\n", child.id()));
    talk(&mut TcpStream::connect(("127.0.0.1", port)).unwrap(), b"SET k v\r\n", b"+OK\r\n");
    child.kill().unwrap();
    child.wait().unwrap();

    let output = run(&["-"], "port nonsense\n");
    assert!(text(&output.stderr).contains("at line 1\n>>> 'port nonsense'\n"));
}

#[test]
fn help_and_version() {
    let output = run(&["--version"], "");
    assert!(text(&output.stdout).starts_with("Orrery server v=0.1.0 "));
    let output = run(&["--help"], "");
    assert!(text(&output.stdout).contains("orrery-server --port 7777"));
    assert_eq!(output.status.code(), Some(0));
}
