//! Clients that do everything that clients do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use orrery_engine::Seed;
use orrery_engine::commands::generate::Generator;
use orrery_engine::rng::Rng;

use crate::process::{Server, bulk, command, talk};

/// What would end the server, stop it for long, or shut everybody out.
const LEFT_OUT: [&str; 7] =
    ["SHUTDOWN", "DEBUG", "CONFIG|SET", "CONFIG|REWRITE", "CLIENT|PAUSE", "MONITOR", "SYNC"];

/// Sends random commands in pieces of random lengths over connections that come and go.
pub(crate) fn client(port: u16, seed: u64, rounds: usize) {
    let mut rng = Rng::new(Seed(seed), "load");
    let mut stream = connect(port);
    for _ in 0..rounds {
        let mut bytes = Vec::new();
        for _ in 0..=rng.below(6) {
            let mut generator = Generator::new(&mut rng, 1_790_000_000_000);
            let row = generator.row();
            if LEFT_OUT.iter().any(|name| row.full_name.eq_ignore_ascii_case(name))
                || row.full_name.starts_with("debug")
            {
                continue;
            }
            let words = generator.any(row);
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            bytes.extend(command(&words));
        }
        // The rest of a command may come with the next ones, or never.
        let cut = if rng.below(4) == 0 { rng.below(bytes.len() as u64 + 1) as usize } else { 0 };
        let (now, later) = bytes.split_at(bytes.len() - cut);
        let alive = stream.write_all(now).is_ok() && read_some(&mut stream);
        let alive = alive && stream.write_all(later).is_ok();
        // A client that waits for a key would wait for ever.
        if !alive || rng.below(5) == 0 {
            stream = connect(port);
        }
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout is possible");
    stream
}

/// Reads what there is; false: the server has closed the connection.
fn read_some(stream: &mut TcpStream) -> bool {
    !matches!(stream.read(&mut [0; 60_000]), Ok(0))
}

/// Output that the kernel does not take at once, input that comes in many pieces.
pub(crate) fn values_of_megabytes(server: &Server) {
    let mut stream = server.connect();
    talk(&mut stream, b"FLUSHALL\r\n", b"+OK\r\n");
    let value = vec![b'x'; 3_000_000];
    talk(&mut stream, &command(&[b"SET", b"big", &value]), b"+OK\r\n");
    let mut replies = Vec::new();
    for _ in 0..8 {
        replies.extend(format!("${}\r\n", value.len()).bytes());
        replies.extend(&value);
        replies.extend(b"\r\n");
    }
    stream.write_all(&command(&[b"GET", b"big"]).repeat(8)).expect("the server reads");
    std::thread::sleep(Duration::from_millis(100));
    crate::process::expect(&mut stream, &replies);
}

/// Far more keys than fit into four megabytes, used unevenly.
pub(crate) fn more_than_fits(server: &Server) {
    let mut stream = server.connect();
    let value = vec![b'x'; 20_000];
    for round in 0..800 {
        let key = format!("big:{}", round * 7 % 400);
        talk(&mut stream, &command(&[b"SET", key.as_bytes(), &value]), b"+OK\r\n");
        let read = format!("big:{}", round % 20);
        stream.write_all(&command(&[b"GET", read.as_bytes()])).expect("the server reads");
        bulk_or_nothing(&mut stream);
    }
    stream.write_all(b"INFO stats\r\n").expect("the server reads");
    let info = bulk(&mut stream);
    let line = info.lines().find(|line| line.starts_with("evicted_keys:")).expect("it is told");
    let evicted: u64 = line["evicted_keys:".len()..].parse().expect("a number");
    assert!(evicted > 200, "{evicted}");
}

/// Reads a reply of GET.
fn bulk_or_nothing(stream: &mut TcpStream) {
    let mut header = Vec::new();
    let mut byte = [0];
    while !header.ends_with(b"\r\n") {
        stream.read_exact(&mut byte).expect("the server replies");
        header.push(byte[0]);
    }
    if header != b"$-1\r\n" {
        let len: usize =
            str::from_utf8(&header[1..header.len() - 2]).unwrap().parse().expect("a length");
        stream.read_exact(&mut vec![0; len + 2]).expect("the server replies");
    }
}

/// What depends on clocks, figures of the process, memory and the order of everything.
pub(crate) fn all_that_info_tells(server: &Server) {
    let mut stream = server.connect();
    for _ in 0..3 {
        for request in ["INFO everything", "CLIENT LIST", "MEMORY DOCTOR", "INFO commandstats"] {
            stream.write_all(format!("{request}\r\n").as_bytes()).expect("the server reads");
            assert!(!bulk(&mut stream).is_empty());
        }
        std::thread::sleep(Duration::from_millis(700));
    }
}

/// What depends on how long commands took.
pub(crate) fn all_that_is_measured(server: &Server) {
    let mut stream = server.connect();
    let settings = b"CONFIG SET slowlog-log-slower-than 0 latency-monitor-threshold 1\r\n";
    talk(&mut stream, settings, b"+OK\r\n");
    for _ in 0..20 {
        let request = b"SET k v\r\nKEYS *\r\nSLOWLOG GET 20\r\nLATENCY HISTOGRAM\r\n\
            LATENCY LATEST\r\nHOTKEYS REPORT\r\nHOTKEYS GET\r\nECHO the-end\r\n";
        stream.write_all(request).expect("the server reads");
        let mut replies = Vec::new();
        while !replies.ends_with(b"$7\r\nthe-end\r\n") {
            let mut some = [0; 10_000];
            let len = stream.read(&mut some).expect("the server answers");
            assert!(len > 0, "the server goes on");
            replies.extend(&some[..len]);
        }
        let start = b"HOTKEYS STOP\r\nHOTKEYS START METRICS 2 CPU NET\r\nECHO more\r\n";
        stream.write_all(start).expect("the server reads");
        let mut some = [0; 100];
        while !some.windows(4).any(|bytes| bytes == b"more") {
            let len = stream.read(&mut some).expect("the server answers");
            assert!(len > 0, "the server goes on");
        }
    }
}
