//! The `orrery-server` program over TLS: who gets in, what a bad client can do, and what changes at
//! run time.

mod authority;
mod certificates;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../server_process/process.rs"]
mod process;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use authority::{Authority, Identity};
use certificates::{ANY, Client, is_resumed, shows};
use process::{Folder, PATIENCE, Server, bulk, command, expect_last, free_port, talk};

/// An authority, the server's files, and a server that uses them on a port for TLS.
struct Site {
    authority: Authority,
    identity: Identity,
    folder: Folder,
    server: Server,
    port: u16,
}

impl Site {
    fn new(more: &[&str]) -> Self {
        Self::with_port(free_port(), more)
    }

    /// With `tls-port`, which may be 0 for none at first.
    fn with_port(port: u16, more: &[&str]) -> Self {
        let authority = Authority::new("authority");
        let identity = authority.certify("server");
        let folder = Folder::new();
        let [cert, key, ca] = ["server.crt", "server.key", "ca.crt"].map(|name| folder.file(name));
        fs::write(&ca, authority.pem()).expect("a temporary file");
        install(&folder, &identity);
        let tls_port = port.to_string();
        let mut arguments = vec!["--tls-port", &tls_port, "--tls-cert-file", &cert];
        arguments.extend(["--tls-key-file", &key, "--tls-ca-cert-file", &ca]);
        arguments.extend(more);
        let server = Server::start(&arguments);
        Self { authority, identity, folder, server, port }
    }

    fn client(&self, identity: Option<&Identity>) -> Client {
        Client::new(&self.authority, identity, ANY)
    }

    /// Runs a command over the plain port and gives its reply, which is one line.
    fn plain(&self, words: &[&str]) -> String {
        let mut stream = self.server.connect();
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        stream.write_all(&command(&words)).expect("the server reads");
        let mut line = String::new();
        let mut byte = [0];
        while !line.ends_with("\r\n") {
            stream.read_exact(&mut byte).expect("a reply");
            line.push(char::from(byte[0]));
        }
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn set(&self, pairs: &[&str]) {
        let words: Vec<&str> = ["CONFIG", "SET"].into_iter().chain(pairs.iter().copied()).collect();
        assert_eq!(self.plain(&words), "+OK");
    }

    /// A field of INFO that must become `wanted`: figures of handshakes are told every second.
    #[track_caller]
    fn wait_for_field(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        let start = Instant::now();
        let mut stream = self.server.connect();
        loop {
            stream.write_all(b"INFO stats\r\n").expect("the server reads");
            let text = bulk(&mut stream);
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let value = line.expect("the field is there").parse().expect("a number");
            if wanted(value) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{name} is {value}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn install(folder: &Folder, identity: &Identity) {
    fs::write(folder.file("server.crt"), &identity.certificate).expect("a temporary file");
    fs::write(folder.file("server.key"), &identity.key).expect("a temporary file");
}

const NOT_UPDATED: &str = "Unable to update TLS configuration. Check server logs.";

#[test]
fn certificates_are_asked_for_as_the_parameter_says() {
    let site = Site::new(&[]);
    let good = site.authority.certify("client");
    let foreign = Authority::new("another").certify("client");
    let may_enter = |identity: Option<&Identity>| {
        ANY.iter()
            .map(|version| Client::new(&site.authority, identity, &[version]).connect(site.port))
            .map(|result| result.is_ok())
            .collect::<Vec<_>>()
    };
    for (mode, without, with_foreign) in
        [("yes", false, false), ("optional", true, false), ("no", true, true)]
    {
        site.set(&["tls-auth-clients", mode]);
        assert_eq!(may_enter(Some(&good)), [true; 2], "{mode}, a good certificate");
        assert_eq!(may_enter(None), [without; 2], "{mode}, no certificate");
        assert_eq!(may_enter(Some(&foreign)), [with_foreign; 2], "{mode}, a foreign one");
    }
    site.wait_for_field("orrery_tls_handshakes_failed", |failed| failed == 6);
    site.wait_for_field("orrery_tls_handshakes", |done| done == 12);
}

#[test]
fn a_client_that_does_not_trust_the_server_leaves_and_harms_nobody() {
    let mut site = Site::new(&["--tls-auth-clients", "no"]);
    let suspicious = Client::new(&Authority::new("another"), None, ANY);
    suspicious.connect(site.port).expect_err("an authority that it does not know");
    site.server.wait_for_log("Error accepting a client connection: received fatal alert");
    site.client(None).connect(site.port).expect("others get in");
}

#[test]
fn versions_and_suites_are_those_of_the_parameters() {
    let site = Site::new(&["--tls-auth-clients", "no", "--tls-protocols", "TLSv1.2"]);
    let [newer, older] =
        [&TLS13, &TLS12].map(|version| Client::new(&site.authority, None, &[version]));
    newer.connect(site.port).expect_err("a version that the server does not speak");
    let stream = older.connect(site.port).expect("the version that it speaks");
    assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    site.set(&["tls-protocols", "tlsv1.1 tlsv1.3", "tls-ciphersuites", "TLS_AES_128_GCM_SHA256"]);
    older.connect(site.port).expect_err("a version that the server no longer speaks");
    let stream = newer.connect(site.port).expect("the version that it speaks now");
    let suite = stream.conn.negotiated_cipher_suite().expect("the handshake is over");
    assert_eq!(format!("{:?}", suite.suite()), "TLS13_AES_128_GCM_SHA256");
    for (name, value) in [
        ("tls-protocols", "TLSv1.1"),
        ("tls-protocols", "TLSv9"),
        ("tls-ciphers", "nonsense"),
        ("tls-ciphersuites", "nonsense"),
    ] {
        let reply = site.plain(&["CONFIG", "SET", name, value]);
        let expected = format!(
            "-ERR CONFIG SET failed (possibly related to argument '{name}') - {NOT_UPDATED}"
        );
        assert_eq!(reply, expected);
    }
    newer.connect(site.port).expect("what was in force is still");
}

#[test]
fn the_server_may_choose_the_suite() {
    let ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
    let site = Site::new(&["--tls-auth-clients", "no", "--tls-ciphers", ciphers]);
    let client = Client::new(&site.authority, None, &[&TLS12]);
    let suite = || {
        let stream = client.connect(site.port).expect("a suite that both have");
        format!("{:?}", stream.conn.negotiated_cipher_suite().expect("it is over").suite())
    };
    assert_eq!(suite(), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "the client's first");
    site.set(&["tls-prefer-server-ciphers", "yes"]);
    assert_eq!(suite(), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "the server's first");
}

#[test]
fn who_speaks_no_tls_is_turned_away_and_told_of() {
    let mut site = Site::new(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", site.port)).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is possible");
    stream.write_all(b"*1\r\n$4\r\nPING\r\n").expect("the server reads");
    // No alert, which it would take for a reply.
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert_eq!(answer, b"");
    let address = stream.local_addr().expect("it is connected");
    site.server.wait_for_log("Error accepting a client connection: the client does not speak TLS");
    assert!(site.server.logged.contains(&format!("(addr={address} laddr=")));
}

#[test]
fn who_says_nothing_or_half_of_it_is_given_up_in_time() {
    let mut site = Site::new(&["--tls-handshake-timeout-ms", "300", "--tls-auth-clients", "no"]);
    let client = site.client(None);
    let mut silent = TcpStream::connect(("127.0.0.1", site.port)).expect("the server listens");
    silent.set_read_timeout(Some(PATIENCE)).expect("a timeout is possible");
    let mut half = TcpStream::connect(("127.0.0.1", site.port)).expect("the server listens");
    // The beginning of a record, and of the greeting in it.
    half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1]).expect("the server reads");
    drop(half);
    site.server.wait_for_log("Error accepting a client connection: tls handshake eof");
    let mut stream = client.connect(site.port).expect("others get in meanwhile");
    let start = Instant::now();
    assert_eq!(silent.read(&mut [0; 1]).expect("the server closes"), 0);
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
    site.server.wait_for_log("Error accepting a client connection: the handshake took too long");
    talk(&mut stream, b"PING\r\n", b"+PONG\r\n");
    site.wait_for_field("orrery_tls_handshakes_pending", |pending| pending == 0);
    site.wait_for_field("orrery_tls_handshakes_failed", |failed| failed == 2);
}

#[test]
fn a_silent_crowd_keeps_nobody_out() {
    let site = Site::new(&["--tls-handshakes-max", "8", "--tls-auth-clients", "no"]);
    let client = site.client(None);
    let crowd: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(("127.0.0.1", site.port)).expect("the server listens"))
        .collect();
    for _ in 0..5 {
        client.connect(site.port).expect("who speaks gets in");
    }
    site.wait_for_field("orrery_tls_handshakes_failed", |failed| failed >= 92);
    site.wait_for_field("orrery_tls_handshakes_pending", |pending| pending <= 8);
    drop(crowd);
}

#[test]
fn megabytes_pass_both_ways() {
    let site = Site::new(&["--tls-auth-clients", "no"]);
    let mut stream = site.client(None).connect(site.port).expect("a good client");
    let mut requests = Vec::new();
    let mut replies = Vec::new();
    for index in 0..2_000_u32 {
        let (key, value) = (index.to_string(), vec![b'a' + (index % 26) as u8; 4_096]);
        requests.extend(command(&[b"SET", key.as_bytes(), &value]));
        requests.extend(command(&[b"GET", key.as_bytes()]));
        replies.extend(b"+OK\r\n$4096\r\n");
        replies.extend(value);
        replies.extend(b"\r\n");
    }
    talk(&mut stream, &requests, &replies);
    let value = vec![b'x'; 5_000_000];
    talk(&mut stream, &command(&[b"SET", b"big", &value]), b"+OK\r\n");
    let mut replies = Vec::new();
    for _ in 0..4 {
        replies.extend(format!("${}\r\n", value.len()).bytes());
        replies.extend(&value);
        replies.extend(b"\r\n");
    }
    talk(&mut stream, &command(&[b"GET", b"big"]).repeat(4), &replies);
}

#[test]
fn the_server_says_goodbye() {
    let mut site = Site::new(&["--tls-auth-clients", "no"]);
    let client = site.client(None);
    let mut stream = client.connect(site.port).expect("a good client");
    stream.write_all(b"ECHO x\r\nQUIT\r\n").expect("the server reads");
    // Without the word that ends TLS this would be an error.
    expect_last(&mut stream, b"$1\r\nx\r\n+OK\r\n");
    let mut stream = client.connect(site.port).expect("a good client");
    assert_eq!(site.server.end(Signal::TERM), Some(0));
    expect_last(&mut stream, b"");
}

#[test]
fn certificates_are_read_again_when_they_are_set() {
    let site = Site::new(&["--tls-auth-clients", "no"]);
    let client = site.client(None);
    let mut early = client.connect(site.port).expect("a good client");
    assert!(shows(&early, &site.identity));
    let next = site.authority.certify("server");
    install(&site.folder, &next);
    let certificate = site.folder.file("server.crt");
    assert!(shows(&site.client(None).connect(site.port).unwrap(), &site.identity), "not yet");
    site.set(&["tls-cert-file", &certificate]);
    assert!(shows(&site.client(None).connect(site.port).unwrap(), &next));
    talk(&mut early, b"PING\r\n", b"+PONG\r\n");
    // Whatever is wrong, what was there stays.
    let key = site.folder.file("server.key");
    fs::write(site.folder.file("other.key"), site.authority.certify("other").key).unwrap();
    for (name, value) in [
        ("tls-cert-file", site.folder.file("none.crt")),
        ("tls-cert-file", key.clone()),
        ("tls-key-file", site.folder.file("other.key")),
        ("tls-key-file", certificate.clone()),
        ("tls-ca-cert-file", key),
        ("tls-ca-cert-dir", site.folder.file("none")),
        ("tls-cert-file", String::new()),
    ] {
        let reply = site.plain(&["CONFIG", "SET", "timeout", "77", name, &value]);
        let expected = format!(
            "-ERR CONFIG SET failed (possibly related to argument '{name}') - {NOT_UPDATED}"
        );
        assert_eq!(reply, expected, "{name} {value}");
        assert!(shows(&site.client(None).connect(site.port).unwrap(), &next));
    }
    let mut plain = site.server.connect();
    talk(&mut plain, b"CONFIG GET timeout\r\n", b"*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n");
    let words: &[&[u8]] = &[b"CONFIG", b"GET", b"tls-cert-file"];
    plain.write_all(&command(words)).unwrap();
    let shown =
        format!("*2\r\n$13\r\ntls-cert-file\r\n${}\r\n{certificate}\r\n", certificate.len());
    process::expect(&mut plain, shown.as_bytes());
}

#[test]
fn authorities_may_lie_in_a_folder() {
    let site = Site::new(&[]);
    let folder = site.folder.0.join("authorities");
    fs::create_dir(&folder).unwrap();
    let another = Authority::new("another");
    fs::write(folder.join("0a1b2c3d.0"), another.pem()).unwrap();
    fs::write(folder.join("README"), "what else lies here").unwrap();
    let identity = another.certify("client");
    let client = site.client(Some(&identity));
    client.connect(site.port).expect_err("an authority that the server does not know");
    site.set(&["tls-ca-cert-dir", folder.to_str().unwrap()]);
    client.connect(site.port).expect("one that it knows now");
    let own = site.authority.certify("client");
    site.client(Some(&own)).connect(site.port).expect("and the other still");
}

#[test]
fn the_port_is_turned_on_and_off_at_run_time() {
    let site = Site::with_port(0, &["--tls-auth-clients", "no"]);
    let (client, port) = (site.client(None), free_port());
    client.connect(port).expect_err("nobody listens");
    site.set(&["tls-port", &port.to_string()]);
    let mut stream = client.connect(port).expect("now there is");
    // Certificates that are missing are found out before anything is turned off.
    site.set(&["tls-port", "0"]);
    client.connect(port).expect_err("nobody listens any more");
    talk(&mut stream, b"PING\r\n", b"+PONG\r\n");
    fs::remove_file(site.folder.file("server.key")).unwrap();
    let reply = site.plain(&["CONFIG", "SET", "tls-port", &port.to_string()]);
    let expected =
        format!("-ERR CONFIG SET failed (possibly related to argument 'tls-port') - {NOT_UPDATED}");
    assert_eq!(reply, expected);
    install(&site.folder, &site.identity);
    let taken = site.server.port.to_string();
    let reply = site.plain(&["CONFIG", "SET", "tls-port", &taken]);
    assert!(reply.ends_with("Unable to listen on this port. Check server logs."), "{reply}");
    site.set(&["tls-port", &port.to_string()]);
    client.connect(port).expect("on again");
}

#[test]
fn a_server_may_speak_nothing_but_tls() {
    let authority = Authority::new("authority");
    let (folder, port) = (Folder::new(), free_port());
    install(&folder, &authority.certify("server"));
    let tls_port = port.to_string();
    let (cert, key) = (folder.file("server.crt"), folder.file("server.key"));
    let words = [
        "--port",
        "0",
        "--tls-port",
        &tls_port,
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
    ];
    let mut server = Server::spawn(&words.map(str::to_owned), port);
    server.wait_for_log("Ready to accept connections");
    assert!(server.logged.contains(&format!("Running mode=standalone, port={port}.")));
    let mut stream = Client::new(&authority, None, ANY).connect(port).expect("a good client");
    stream.write_all(b"INFO server\r\n").unwrap();
    assert!(bulk(&mut stream).contains(&format!("\r\ntcp_port:{port}\r\n")));
    stream.write_all(b"CLIENT INFO\r\n").unwrap();
    let local = stream.sock.local_addr().unwrap();
    assert!(bulk(&mut stream).contains(&format!(" addr={local} laddr=127.0.0.1:{port} ")));
}

#[test]
fn a_server_whose_certificates_are_wrong_does_not_start() {
    let port = free_port().to_string();
    let output = process::run(&["--port", "0", "--tls-port", &port], "");
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("# No tls-cert-file configured!\n"), "{log}");
    assert!(log.contains("# Failed to configure TLS. Check logs for more info.\n"), "{log}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn sessions_are_taken_up_again_where_that_is_wanted() {
    let site = Site::new(&["--tls-auth-clients", "no"]);
    for version in ANY {
        let client = Client::new(&site.authority, None, &[version]);
        let resumed: Vec<bool> = (0..3)
            .map(|_| is_resumed(&client.connect(site.port).expect("a good client")))
            .collect();
        assert_eq!(resumed, [false, true, true], "{version:?}");
    }
    site.wait_for_field("orrery_tls_handshakes_resumed", |resumed| resumed == 4);
    site.set(&["tls-session-caching", "no"]);
    for version in ANY {
        let client = Client::new(&site.authority, None, &[version]);
        for _ in 0..2 {
            assert!(!is_resumed(&client.connect(site.port).expect("a good client")));
        }
    }
}
