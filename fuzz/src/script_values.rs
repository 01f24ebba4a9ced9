//! What scripts are given and what they give back.

use crate::driver::Driver;

/// Returns any value, and what a command says to arguments of any types.
const VALUES: &str = "
redis.setresp(tonumber(ARGV[2]))
if redis.call('ECHO', ARGV[1]) ~= ARGV[1] then return redis.error_reply('ERR other bytes') end
local ok, value = pcall(cmsgpack.unpack, ARGV[1])
if not ok then return value end
if type(value) ~= 'table' then return {value, redis.pcall(value)} end
return {value, redis.pcall(unpack(value)), redis.pcall('SET', KEYS[1], value[1]), KEYS[1], ARGV}";

/// The first byte chooses the protocols of client and script, the others are MessagePack. Whatever
/// it stands for, the reply is one whole value of the client's protocol.
pub fn values_are_survived(data: &[u8]) {
    let Some((&choice, packed)) = data.split_first() else { return };
    let mut driver = Driver::with_client();
    let protocol = |bit: u8| if choice & bit == 0 { &b"2"[..] } else { b"3" };
    driver.run(&[&b"HELLO"[..], protocol(1)]);
    let reply = driver.run_script(&[b"EVAL", VALUES.as_bytes(), b"1", packed, packed, protocol(2)]);
    driver.engine.check_invariants();
    assert!(!reply.starts_with(b"-ERR other bytes"), "arguments come back as they were");
    let rest = after_value(&reply, choice & 1 == 1);
    assert_eq!(rest, Some(&b""[..]), "one whole value: {}", reply.escape_ascii());
    assert_eq!(driver.run(&[b"PING"]), b"+PONG\r\n");
}

/// What is behind the first value; `None` if there is no whole one.
fn after_value(bytes: &[u8], is_resp3: bool) -> Option<&[u8]> {
    let (&kind, rest) = bytes.split_first()?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (head, mut rest) = (&rest[..end], &rest[end + 2..]);
    let number = || std::str::from_utf8(head).ok()?.parse::<i64>().ok();
    let values = match kind {
        b'+' | b'-' => 0,
        b':' => number().map(|_| 0)?,
        b'$' | b'=' if kind == b'$' || is_resp3 => {
            if let Ok(len) = usize::try_from(number()?) {
                rest = rest.get(len..)?.strip_prefix(b"\r\n")?;
            }
            0
        }
        b'*' => number()?.max(0),
        b'_' | b'#' | b',' | b'(' if is_resp3 => 0,
        b'~' | b'>' if is_resp3 => number()?,
        b'%' if is_resp3 => number()? * 2,
        _ => return None,
    };
    (0..values).try_fold(rest, |rest, _| after_value(rest, is_resp3))
}
