//! The readers of histories: what they accept, how they refuse, and that nothing makes them panic.

use orrery_sim::history::{self, Format, History, Outcome, Specification, json_lines};

use super::generate::{Random, Shape, history as generate};

const ETCD: &str = "\
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:cas\t[0 3]
INFO  jepsen.util - 0\t:ok\t:read\tnil
INFO  jepsen.util - 1\t:info\t:cas\t:timed-out
INFO  jepsen.util - 2\t:invoke\t:write\t4
";
const EDN: &str = r#"{:process 0, :type :invoke, :f :append, :key "k", :value "a \"b\""}
{:process 1, :type :invoke, :f :get, :key "k", :value nil}
{:process 0, :type :ok, :f :append, :key "k", :value "a \"b\""}
{:process 1, :type :ok, :f :get, :key "k", :value "a \"b\""}
"#;

fn written(history: &History) -> String {
    let mut bytes = Vec::new();
    json_lines::write(history, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn sample() -> History {
    let shape = Shape {
        specification: Specification::Redis,
        operations: 40,
        keys: 3,
        has_ttl: true,
        clock_error_us: 0,
        window_us: 5_000,
        lies: 0,
    };
    generate(7, shape)
}

#[test]
fn the_three_formats_are_told_apart_and_read() {
    let etcd = history::read(ETCD, None).unwrap();
    assert_eq!((etcd.specification, etcd.operations.len()), (Specification::Register, 3));
    assert_eq!(etcd.operations[1].outcome, Outcome::Info);
    assert_eq!(etcd.operations[2].return_us, None);
    let edn = history::read(EDN, None).unwrap();
    assert_eq!((edn.specification, edn.operations.len()), (Specification::Kv, 2));
    let own = sample();
    assert_eq!(history::read(&written(&own), None).unwrap(), own);
}

#[test]
fn a_refusal_names_the_line_and_the_reason() {
    let cases = [
        ("INFO  jepsen.util - 0\t:ok\t:read\t1", 1, "no operation open"),
        ("INFO  jepsen.util - 0\t:invoke\t:cas\t[1", 1, "no operation"),
        (
            "\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read\tx",
            3,
            "no number",
        ),
        ("{:process 0, :type :invoke, :f :put, :key \"a\", :value nil}", 1, ":put"),
        ("{:process 0, :type :invoke, :f :get, :key \"a", 1, "without its end"),
        ("{\"format\":\"orrery-history\",\"version\":2,\"specification\":\"kv\"}", 1, "version 2"),
        ("nonsense", 1, "no known"),
        ("", 0, "empty"),
    ];
    for (text, line, reason) in cases {
        let error = history::read(text, None).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }
    let twice = written(&sample()).replace("\"id\":1,", "\"id\":0,");
    assert!(history::read(&twice, None).unwrap_err().reason.contains("used twice"));
}

#[test]
fn damaged_input_is_read_or_refused_but_never_panics() {
    let mut random = Random::new(1);
    let own = written(&sample());
    let texts = [ETCD, EDN, own.as_str()];
    let formats = [None, Some(Format::EtcdLog), Some(Format::EdnLog), Some(Format::JsonLines)];
    let (mut read, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut bytes = texts[round % 3].as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes[at] = b" \"{}[]:\\\n09nx"[random.below(13) as usize],
                1 => bytes[at] = random.below(256) as u8,
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let format = if round % 5 == 0 { formats[random.below(4) as usize] } else { None };
        match history::read(&text, format) {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(read > 400 && refused > 1_000, "{read} read, {refused} refused");
}
