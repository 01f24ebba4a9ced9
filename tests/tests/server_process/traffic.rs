//! What travels over a server's sockets: big, many, slow, cut off.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::process::{Server, command, expect, expect_last, talk};

#[test]
fn a_command_may_arrive_byte_by_byte_between_those_of_others() {
    let server = Server::start(&[]);
    let mut slow = server.connect();
    let mut quick = server.connect();
    let request = command(&[b"SET", b"slow", b"a value\r\nwith a line end"]);
    let (last, start) = request.split_last().unwrap();
    for byte in start {
        slow.write_all(&[*byte]).unwrap();
        talk(&mut quick, b"GET slow\r\n", b"$-1\r\n");
        if *byte == b'e' {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    talk(&mut slow, &[*last], b"+OK\r\n");
}

#[test]
fn values_of_a_hundred_megabytes_pass() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let value: Vec<u8> =
        (0..100u32 << 20).map(|index| (index.wrapping_mul(31) >> 7) as u8).collect();
    client.write_all(&command(&[b"SET", b"big", &value])).unwrap();
    expect(&mut client, b"+OK\r\n");
    client.write_all(b"GET big\r\nGET none\r\n").unwrap();
    expect(&mut client, format!("${}\r\n", value.len()).as_bytes());
    expect(&mut client, &value);
    expect(&mut client, b"\r\n$-1\r\n");
}

#[test]
fn a_client_may_write_a_hundred_thousand_commands_before_it_reads() {
    const COMMANDS: usize = 100_000;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut requests = Vec::new();
    let mut replies = Vec::new();
    for index in 0..COMMANDS {
        let value = format!("value:{index}");
        requests.extend(command(&[b"SET", b"k", value.as_bytes()]));
        requests.extend(b"GET k\r\n");
        replies.extend(format!("+OK\r\n${}\r\n{value}\r\n", value.len()).bytes());
    }
    client.write_all(&requests).unwrap();
    expect(&mut client, &replies);
}

#[test]
fn a_client_that_stops_sending_still_gets_all_its_replies() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let value = vec![b'x'; 1 << 20];
    client.write_all(&command(&[b"SET", b"k", &value])).unwrap();
    for _ in 0..50 {
        client.write_all(b"GET k\r\n").unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    // Far more than the sockets hold: the server must wait for us.
    std::thread::sleep(Duration::from_millis(200));
    expect(&mut client, b"+OK\r\n");
    for _ in 0..50 {
        expect(&mut client, b"$1048576\r\n");
        expect(&mut client, &value);
        expect(&mut client, b"\r\n");
    }
    expect_last(&mut client, b"");
}

#[test]
fn a_client_that_vanishes_harms_nobody() {
    let server = Server::start(&[]);
    let mut other = server.connect();
    talk(&mut other, &command(&[b"SET", b"k", &vec![b'x'; 1 << 20]]), b"+OK\r\n");
    for _ in 0..20 {
        let mut client = server.connect();
        for _ in 0..10 {
            client.write_all(b"GET k\r\n").unwrap();
        }
        client.write_all(b"*2\r\n$3\r\nGET\r\n$1000\r\nhalf").unwrap();
        drop(client);
    }
    talk(&mut other, b"GET none\r\n", b"$-1\r\n");
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::start(&["--maxclients", "2"]);
    let mut first = server.connect();
    let mut second = server.connect();
    talk(&mut first, b"GET k\r\n", b"$-1\r\n");
    talk(&mut second, b"GET k\r\n", b"$-1\r\n");
    expect_last(&mut server.connect(), b"-ERR max number of clients reached\r\n");
    drop(first);
    let start = Instant::now();
    loop {
        let mut third = server.connect();
        third.write_all(b"GET k\r\n").unwrap();
        let mut reply = [0; 5];
        if third.read_exact(&mut reply).is_ok() && reply == *b"$-1\r\n" {
            break;
        }
        assert!(start.elapsed() < crate::process::PATIENCE, "the place stays taken");
    }
    talk(&mut second, b"GET k\r\n", b"$-1\r\n");
}

#[test]
fn a_client_that_idles_too_long_is_closed_and_a_busy_one_is_not() {
    let server = Server::start(&["--timeout", "1"]);
    let mut idle = server.connect();
    let mut busy = server.connect();
    let start = Instant::now();
    idle.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    loop {
        talk(&mut busy, b"GET k\r\n", b"$-1\r\n");
        match idle.read(&mut [0; 1]) {
            Ok(len) => break assert_eq!(len, 0, "it got a byte"),
            Err(_) => assert!(start.elapsed() < crate::process::PATIENCE, "it was not closed"),
        }
    }
    assert!(start.elapsed() >= Duration::from_secs(1), "it was closed too early");
    talk(&mut busy, b"GET k\r\n", b"$-1\r\n");
}

#[test]
fn who_does_not_speak_the_protocol_is_told_so_and_closed() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.write_all(b"GET k\r\n*1\r\n!").unwrap();
    client.write_all(b"\r\n").unwrap();
    expect(&mut client, b"$-1\r\n-ERR Protocol error: expected '$', got '!'\r\n");
    let mut rest = Vec::new();
    // Bytes that the server did not read may turn its close into a reset.
    let closed = client.read_to_end(&mut rest);
    assert!(rest.is_empty() && closed.map_or(true, |len| len == 0));
}

#[test]
fn a_flood_of_one_client_leaves_room_for_others() {
    let server = Server::start(&[]);
    let mut flood = server.connect();
    let mut reader = flood.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut bytes = vec![0; 1 << 20];
            while reader.read(&mut bytes).is_ok_and(|len| len > 0) {}
        });
        let writer = scope.spawn(move || {
            let requests = b"SET k v\r\n".repeat(10_000);
            let end = Instant::now() + Duration::from_secs(2);
            while Instant::now() < end {
                flood.write_all(&requests).unwrap();
            }
            flood.shutdown(Shutdown::Both).unwrap();
        });
        let mut client = server.connect();
        let mut slowest = Duration::ZERO;
        let mut asked = 0;
        while !writer.is_finished() {
            let start = Instant::now();
            talk(&mut client, b"GET none\r\n", b"$-1\r\n");
            slowest = slowest.max(start.elapsed());
            asked += 1;
        }
        assert!(asked > 20, "only {asked} round trips in two seconds");
        assert!(slowest < Duration::from_secs(1), "one round trip took {slowest:?}");
    });
}

fn message(channel: &str, text: &[u8]) -> Vec<u8> {
    command(&[b"message", channel.as_bytes(), text])
}

#[test]
fn a_hundred_subscribers_hear_everything_in_order() {
    const SUBSCRIBERS: usize = 100;
    const MESSAGES: usize = 500;
    let server = Server::start(&[]);
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| server.connect()).collect();
    for subscriber in &mut subscribers {
        talk(subscriber, b"SUBSCRIBE news\r\n", b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    }
    let (mut requests, mut heard) = (Vec::new(), Vec::new());
    for index in 0..MESSAGES {
        let text = format!("message {index}");
        requests.extend(command(&[b"PUBLISH", b"news", text.as_bytes()]));
        heard.extend(message("news", text.as_bytes()));
    }
    let mut publisher = server.connect();
    talk(&mut publisher, &requests, b":100\r\n".repeat(MESSAGES).as_slice());
    subscribers.iter_mut().for_each(|subscriber| expect(subscriber, &heard));
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off_and_no_other() {
    const MESSAGES_MAX: usize = 2000;
    let server = Server::start(&["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"]);
    let [mut slow, mut quick, mut publisher] = [(); 3].map(|()| server.connect());
    for subscriber in [&mut slow, &mut quick] {
        talk(subscriber, b"SUBSCRIBE a\r\n", b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    }
    let text = vec![b'x'; 100_000];
    let mut reply = [0; 4];
    for count in 0.. {
        assert!(count < MESSAGES_MAX, "far more than sockets and the limit hold");
        publisher.write_all(&command(&[b"PUBLISH", b"a", &text])).unwrap();
        publisher.read_exact(&mut reply).unwrap();
        expect(&mut quick, &message("a", &text));
        if &reply == b":1\r\n" {
            break;
        }
        assert_eq!(&reply, b":2\r\n");
    }
    // What the sockets still held comes, and then the end.
    let mut rest = Vec::new();
    if let Err(error) = slow.read_to_end(&mut rest) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    talk(&mut publisher, b"PUBSUB NUMSUB a\r\n", b"*2\r\n$1\r\na\r\n:1\r\n");
}
