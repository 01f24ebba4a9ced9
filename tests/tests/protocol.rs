//! What a server says to bytes that are not, or not quite, the Redis protocol: compared with a real
//! redis-server, and independent of how the bytes are cut into pieces.

use orrery_engine::{Config, Seed};
use orrery_tests::real_redis::RealRedis;
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;
use proptest::sample::Index;

const END: &[u8] = b"*2\r\n$4\r\nPING\r\n$3\r\nend\r\n";
const END_REPLY: &[u8] = b"$3\r\nend\r\n";

/// Bytes and the protocol error that ends the connection.
fn refused() -> Vec<(Vec<u8>, &'static str)> {
    let count = "invalid multibulk length";
    let length = "invalid bulk length";
    let quotes = "unbalanced quotes in request";
    let long = |prefix: &[u8], byte: u8| {
        let mut bytes = prefix.to_vec();
        bytes.resize(prefix.len() + 65_600, byte);
        bytes
    };
    let mut cases = vec![
        (long(b"*", b'1'), "too big mbulk count string"),
        (long(b"*1\r\n$", b'1'), "too big bulk count string"),
        (long(b"*1\r\n", b'a'), "too big bulk count string"),
        (long(b"", b'a'), "too big inline request"),
        (long(b"\"", b'a'), "too big inline request"),
    ];
    let short: [(&[u8], &str); 33] = [
        (b"*x\r\n", count),
        (b"*\r\n", count),
        (b"*01\r\n", count),
        (b"*+1\r\n", count),
        (b"* 1\r\n", count),
        (b"*1 \r\n", count),
        (b"*-0\r\n", count),
        (b"*--1\r\n", count),
        (b"*1\n$4\nPING\n\r\n", count),
        (b"*2147483648\r\n", count),
        (b"*9223372036854775808\r\n", count),
        (b"*1\r\n$-1\r\n", length),
        (b"*1\r\n$x\r\n", length),
        (b"*1\r\n$\r\n", length),
        (b"*1\r\n$04\r\nPING\r\n", length),
        (b"*1\r\n$+4\r\nPING\r\n", length),
        (b"*1\r\n$ 4\r\nPING\r\n", length),
        (b"*1\r\n$536870913\r\n", length),
        (b"*1\r\n$9223372036854775808\r\n", length),
        (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$x\r\n", length),
        (b"*1\r\nx\r\n", "expected '$', got 'x'"),
        (b"*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n\n\r\n", "expected '$', got ' '"),
        (b"*2\r\n$4\r\nPING\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n'\r\n", "expected '$', got '''"),
        (b"\"abc\r\n", quotes),
        (b"'abc\r\n", quotes),
        (b"\"a\"b\r\n", quotes),
        (b"'a'b\r\n", quotes),
        (b"PING \"\\\"\r\n", quotes),
        (b"PING \"\\x4\r\n", quotes),
        (b"PING a\"b\r\n", quotes),
    ];
    cases.extend(short.map(|(bytes, text)| (bytes.to_vec(), text)));
    cases
}

/// Odd bytes that a server lives with.
const ACCEPTED: &[&[u8]] = &[
    b"*0\r\n",
    b"*-5\r\nPING\r\n",
    b"\r\n",
    b"\n\n\nPING\n",
    b"   \r\n",
    b"PING\n",
    b"PING\r\r\n",
    b"PING\rPING\r\n",
    b"PI\tNG\r\n",
    b"'PING' \"a b\"\r\n",
    b"PING \"\\xff\\x00\\n\\r\\t\\a\\b\\q\"\r\n",
    b"PING '\\'\\n'\r\n",
    b"PING a\"b c\"\r\n",
    b"\"\"\r\n",
    b"\"\" a\r\n",
    b"$4\r\nPING\r\n",
    b"+OK\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*1\rx$4\r\nPING\r\n",
    b"*1\r\n$4\rxPING\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$4\r\nping\r\n\r\n*2\r\n$4\r\necho\r\n$2\r\n\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"GET \xff\xfe\r\n",
    b"FOO\xff \xfe\r\n",
];

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The output of a new server for `pieces`, whether it closed the connection, and what it keeps.
fn run(config: Config, pieces: &[&[u8]]) -> (Vec<u8>, bool, String) {
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    let mut output = Vec::new();
    for piece in pieces {
        output.extend(server.send(conn, piece));
    }
    server.engine().check_invariants();
    (output, server.is_closed(conn), format!("{:?}", server.engine().digest()))
}

#[test]
fn every_protocol_error_has_its_text_and_closes() {
    for (bytes, text) in refused() {
        let case = shown(&bytes[..bytes.len().min(80)]);
        let (output, closed, _) = run(Config::default(), &[&bytes, END]);
        assert_eq!(
            shown(&output),
            shown(format!("-ERR Protocol error: {text}\r\n").as_bytes()),
            "{case}"
        );
        assert!(closed, "{case}");
    }
}

#[test]
fn redis_says_the_same_to_every_malformed_request() {
    let Some(redis) = RealRedis::start("redis_says_the_same_to_every_malformed_request") else {
        return;
    };
    for (bytes, text) in refused() {
        let case = shown(&bytes[..bytes.len().min(80)]);
        let mut real = redis.connect();
        real.send(&bytes);
        let expected = format!("-ERR Protocol error: {text}\r\n");
        assert_eq!(shown(&real.read_raw()), shown(expected.as_bytes()), "{case}");
    }
    for bytes in ACCEPTED {
        let mut real = redis.connect();
        real.send(&[bytes, END].concat());
        let mut expected = Vec::new();
        while !expected.ends_with(END_REPLY) {
            expected.extend(real.read_raw());
        }
        let (output, closed, _) = run(Config::default(), &[bytes, END]);
        assert_eq!(shown(&output), shown(&expected), "{}", shown(bytes));
        assert!(!closed, "{}", shown(bytes));
    }
}

/// (bytes, the error or empty if the server waits for more), before authentication.
const UNAUTHENTICATED: &[(&[u8], &str)] = &[
    (b"*10\r\n", ""),
    (b"*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
    (b"*1\r\n$16384\r\n", ""),
    (b"*1\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
    (b"*11\r\n$16385\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
    (b"*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
];

#[test]
fn clients_without_password_may_send_little() {
    let real = RealRedis::start("clients_without_password_may_send_little");
    if let Some(redis) = &real {
        redis.connect().call(&["CONFIG", "SET", "requirepass", "sesame"]);
    }
    for &(bytes, expected) in UNAUTHENTICATED {
        let config = Config { requirepass: "sesame".to_owned(), ..Config::default() };
        let (output, closed, _) = run(config, &[bytes]);
        assert_eq!(shown(&output), shown(expected.as_bytes()), "{}", shown(bytes));
        assert_eq!(closed, !expected.is_empty(), "{}", shown(bytes));
        if let Some(redis) = real.as_ref().filter(|_| !expected.is_empty()) {
            let mut client = redis.connect();
            client.send(bytes);
            assert_eq!(shown(&client.read_raw()), shown(expected.as_bytes()), "{}", shown(bytes));
        }
        // The limits are gone with the password, and after authentication.
        let (output, closed, _) = run(Config::default(), &[bytes]);
        assert!(closed == output.starts_with(b"-ERR Protocol error: invalid"), "{}", shown(bytes));
    }
    let config = Config { requirepass: "sesame".to_owned(), ..Config::default() };
    let (output, closed, _) = run(config, &[b"AUTH sesame\r\n*11\r\n$20000\r\n"]);
    assert_eq!((shown(&output).as_str(), closed), ("+OK\\r\\n", false));
}

#[test]
fn a_bulk_may_be_as_long_as_the_limit() {
    let config = || Config { proto_max_bulk_len: 1 << 20, ..Config::default() };
    let exact =
        [b"*2\r\n$4\r\nECHO\r\n$1048576\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let (output, closed, _) = run(config(), &[&exact]);
    assert_eq!((output.len(), closed), ((1 << 20) + 12, false));
    let (output, closed, _) = run(config(), &[b"*2\r\n$4\r\nECHO\r\n$1048577\r\n"]);
    assert_eq!(shown(&output), "-ERR Protocol error: invalid bulk length\\r\\n");
    assert!(closed);
}

#[test]
fn a_query_buffer_over_its_limit_closes() {
    let config = Config { client_query_buffer_limit: 1 << 20, ..Config::default() };
    let mut server = Server::new(config, Seed(1));
    let conn = server.connect();
    server.send(conn, b"*2\r\n$4\r\nECHO\r\n$4000000\r\n");
    let mut sent = 0;
    while !server.is_closed(conn) {
        server.send(conn, &[b'x'; 65_536]);
        sent += 65_536;
        assert!(sent <= 2 << 20, "it is never closed");
    }
    assert!(sent >= 1 << 20, "closed after {sent} bytes");
    assert_eq!(server.engine().state().stats.query_buffer_closed, 1);
    assert!(server.output(conn).is_empty());
}

const WORDS: &[&[u8]] = &[b"PING", b"SET", b"GET", b"ECHO", b"k", b"", b"a\r\nb"];

/// Requests that change how the client is treated.
const CHANGES: &[&[u8]] = &[
    b"CLIENT REPLY SKIP\r\n",
    b"CLIENT REPLY OFF\r\n",
    b"CLIENT REPLY ON\r\n",
    b"HELLO 3\r\n",
    b"RESET\r\n",
    b"AUTH sesame\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n",
    b"QUIT\r\n",
];

/// One piece of a stream: mostly requests, some damaged.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        proptest::sample::select(WORDS).prop_map(<[u8]>::to_vec),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    let request = proptest::collection::vec(word, 1..5)
        .prop_map(|words| orrery_tests::resp_value::encode(&words));
    let inline = proptest::sample::select(ACCEPTED).prop_map(<[u8]>::to_vec);
    let modes = proptest::sample::select(CHANGES).prop_map(<[u8]>::to_vec);
    let broken = proptest::sample::select(refused()).prop_map(|(bytes, _)| bytes);
    let long_line = (65_500_usize..65_600, any::<bool>()).prop_map(|(len, inline)| {
        let mut bytes = if inline { b"PING ".to_vec() } else { b"*1\r\n$".to_vec() };
        bytes.resize(len, b'1');
        bytes.extend(b"\r\n");
        bytes
    });
    prop_oneof![
        8 => request,
        4 => inline,
        3 => modes,
        2 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => broken,
        1 => long_line,
    ]
}

/// Where to cut: half of the cuts are next to a line's end, where most can go wrong.
fn cut_at(stream: &[u8], (at, at_line_end, beside): &(Index, bool, usize)) -> usize {
    let line_ends: Vec<usize> =
        (0..stream.len()).filter(|&at| matches!(stream[at], b'\r' | b'\n')).collect();
    if !at_line_end || line_ends.is_empty() {
        return at.index(stream.len() + 1);
    }
    (line_ends[at.index(line_ends.len())] + beside).saturating_sub(1).min(stream.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn how_the_input_is_cut_changes_nothing(
        pieces in proptest::collection::vec(piece(), 1..12),
        cuts in proptest::collection::vec((any::<Index>(), any::<bool>(), 0_usize..3), 0..12),
        truncate in proptest::option::weighted(0.3, any::<Index>()),
        has_password in any::<bool>(),
    ) {
        let mut stream = pieces.concat();
        if let Some(end) = truncate {
            stream.truncate(end.index(stream.len() + 1));
        }
        let requirepass = if has_password { "sesame".to_owned() } else { String::new() };
        let config = Config { requirepass, ..Config::default() };
        let whole = run(config.clone(), &[&stream]);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut_at(&stream, cut)).collect();
        ends.push(stream.len());
        ends.sort_unstable();
        let mut start = 0;
        let mut cut = Vec::new();
        for end in ends {
            cut.push(&stream[start..end]);
            start = end;
        }
        let in_pieces = run(config, &cut);
        prop_assert_eq!(shown(&in_pieces.0), shown(&whole.0));
        prop_assert_eq!((in_pieces.1, in_pieces.2), (whole.1, whole.2));
    }

    #[test]
    fn byte_by_byte_is_the_same_as_at_once(pieces in proptest::collection::vec(piece(), 1..5)) {
        let stream = pieces.concat();
        prop_assume!(stream.len() < 2000);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(run(Config::default(), &bytes), run(Config::default(), &[&stream]));
    }
}

#[test]
fn lines_about_as_long_as_the_limit_are_judged_alike_however_they_are_cut() {
    let mut refused = 0;
    for prefix in ["PING ", "*", "*1\r\n$", "*1\r\nx"] {
        for len in 65_530..65_545 {
            let mut stream = prefix.as_bytes().to_vec();
            stream.resize(len, b'1');
            stream.extend(b"\r\n");
            let whole = run(Config::default(), &[&stream, END]);
            refused += usize::from(shown(&whole.0).contains("too big"));
            for cut in len - 3..len + 2 {
                let (first, second) = stream.split_at(cut);
                let cut_in_two = run(Config::default(), &[first, second, END]);
                assert_eq!(shown(&cut_in_two.0), shown(&whole.0), "{len} bytes cut at {cut}");
                assert_eq!(cut_in_two.1, whole.1, "{len} bytes cut at {cut}");
            }
        }
    }
    assert!(refused > 20, "only {refused} were too long");
}
