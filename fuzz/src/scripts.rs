//! What the decoders of scripts' libraries make of any bytes.

use crate::driver::{Driver, split};

/// Decodes, encodes, and does both once more; the error if there is one.
const CJSON: &str = "
local ok, value = pcall(cjson.decode, ARGV[1])
if not ok then return value end
local ok, text = pcall(cjson.encode, value)
if not ok then return text end
return {text, cjson.encode(cjson.decode(text))}";
/// The same, but that the first time does not count: what is too deep is written as nil, which an
/// array does not hold when it is read. A table that is a key may be cut off for its depth, which
/// the next time refuses.
const CMSGPACK: &str = "
local function again(...)
  if select('#', ...) == 0 then return '' end
  return cmsgpack.pack(...)
end
local function both(text) return again(cmsgpack.unpack(text)) end
local ok, packed = pcall(both, ARGV[1])
if not ok then return packed end
ok, packed = pcall(both, packed)
if not ok then return packed end
local ok, repacked = pcall(both, packed)
if not ok then return repacked end
return {packed, repacked}";
/// Takes apart and puts together; each may be refused.
const STRUCT: &str = "
local function both() return struct.pack(ARGV[1], struct.unpack(ARGV[1], ARGV[2])) end
return {pcall(both), pcall(struct.size, ARGV[1])}";

/// JSON that was read is written, and is the same when it was read and written once more.
pub fn json_is_survived(text: &[u8]) {
    check(CJSON, text);
}

/// So is MessagePack.
pub fn packs_are_survived(text: &[u8]) {
    check(CMSGPACK, text);
}

/// Formats and data are taken or refused. The format is first, its length in two bytes before it.
pub fn formats_are_survived(data: &[u8]) {
    let (format, data) = split(data);
    let reply = run(STRUCT, &[format, data]);
    assert!(!reply.is_empty(), "the script has ended");
}

fn run(script: &str, args: &[&[u8]]) -> Vec<u8> {
    let mut driver = Driver::with_client();
    let mut words: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), b"0"];
    words.extend_from_slice(args);
    let reply = driver.run_script(&words);
    driver.engine.check_invariants();
    reply
}

fn check(script: &str, text: &[u8]) {
    let reply = run(script, &[text]);
    let Some(mut rest) = reply.strip_prefix(b"*2\r\n") else {
        assert!(matches!(reply.first(), Some(b'$')), "an error is a text: {reply:?}");
        return;
    };
    let mut parts = Vec::new();
    while let Some(end) = rest.iter().position(|&byte| byte == b'\r') {
        let len = std::str::from_utf8(&rest[1..end]).expect("a length").parse().expect("a length");
        let (part, more) = rest[end + 2..].split_at(len);
        // The order of a table's entries may be another.
        let mut bytes = part.to_vec();
        bytes.sort_unstable();
        parts.push(bytes);
        rest = &more[2..];
    }
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0], parts[1], "what was written is read as something else");
}
