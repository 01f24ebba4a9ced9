//! HyperLogLogs that were made or damaged by string commands.

use arbitrary::{Arbitrary, Unstructured};

use crate::driver::{Driver, split};

/// One thing that is done to HyperLogLogs. Keys are few.
#[derive(Arbitrary, Debug)]
enum Sketch<'a> {
    /// Elements are added.
    Add(u8, Vec<&'a [u8]>),
    /// Many elements are added, so that a sparse one becomes dense.
    AddMany(u8, u16),
    /// Estimates one or the union of two.
    Count(u8, u8),
    /// Merges two into another.
    Merge(u8, u8, u8),
    /// Bytes inside are overwritten.
    Overwrite(u8, u16, &'a [u8]),
    /// Any bytes behind a header that is right.
    Replace(u8, bool, [u8; 11], &'a [u8]),
    /// Bytes are appended.
    Append(u8, &'a [u8]),
    /// The end is lost.
    Cut(u8, u16),
    /// Looked at from inside: GETREG, DECODE, ENCODING, TODENSE.
    Debug(u8, u8),
}

fn key(number: u8) -> String {
    format!("k{}", number % 3)
}

/// Whatever the bytes of a HyperLogLog are, commands answer. The data is a HyperLogLog to begin
/// with, its length in two bytes before it, and then actions.
pub fn sketches_are_survived(data: &[u8]) {
    let (first, rest) = split(data);
    let mut driver = Driver::with_client();
    driver.run(&[b"SET", &b"k0"[..], first]);
    let actions = Vec::<Sketch<'_>>::arbitrary_take_rest(Unstructured::new(rest));
    for action in actions.unwrap_or_default() {
        match &action {
            Sketch::Add(at, elements) => {
                let mut words = vec![b"PFADD".to_vec(), key(*at).into_bytes()];
                words.extend(elements.iter().map(|element| element.to_vec()));
                driver.run(&words);
            }
            Sketch::AddMany(at, count) => {
                let mut words = vec!["PFADD".to_owned(), key(*at)];
                words.extend((0..count % 2000).map(|number| number.to_string()));
                driver.run(&words);
            }
            Sketch::Count(a, b) => drop(driver.run(&["PFCOUNT", &key(*a), &key(*b)])),
            Sketch::Merge(to, a, b) => {
                driver.run(&["PFMERGE", &key(*to), &key(*a), &key(*b)]);
            }
            Sketch::Overwrite(at, offset, bytes) => {
                let (key, offset) = (key(*at), (offset % 13_000).to_string());
                driver.run(&[b"SETRANGE", key.as_bytes(), offset.as_bytes(), bytes]);
            }
            Sketch::Replace(at, is_sparse, header, body) => {
                let value = [b"HYLL", &[u8::from(*is_sparse)][..], header, body].concat();
                driver.run(&[b"SET", key(*at).as_bytes(), &value]);
            }
            Sketch::Append(at, bytes) => {
                driver.run(&[b"APPEND", key(*at).as_bytes(), bytes]);
            }
            Sketch::Cut(at, len) => {
                let reply = driver.run(&["GETRANGE", &key(*at), "0", &len.to_string()]);
                let value = reply.splitn(2, |&byte| byte == b'\n').nth(1).unwrap_or_default();
                let value = value.strip_suffix(b"\r\n").unwrap_or(value);
                driver.run(&[b"SET", key(*at).as_bytes(), value]);
            }
            Sketch::Debug(at, tool) => {
                let tools = ["GETREG", "DECODE", "ENCODING", "TODENSE"];
                driver.run(&["PFDEBUG", tools[usize::from(tool % 4)], &key(*at)]);
            }
        }
        driver.engine.check_invariants();
    }
}
