//! What a script promises in its first line (`#!lua flags=no-writes`).

/// What a script promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promises {
    /// It has such a line: without, some rules are relaxed, as before Redis 7.
    pub(crate) given: bool,
    /// It changes nothing.
    pub(crate) no_writes: bool,
    /// It may run when memory is over its limit.
    pub(crate) allow_oom: bool,
}

/// The promises in a script's first line, and the code for the compiler: with an empty line where
/// the promises were, so that numbers of lines stay.
pub(super) fn first_line(text: &[u8]) -> Result<(Promises, Vec<u8>), String> {
    let mut promises = Promises::default();
    if !text.starts_with(b"#!") {
        return Ok((promises, text.to_vec()));
    }
    let Some(end) = text.iter().position(|&byte| byte == b'\n') else {
        return Err("ERR Invalid script shebang".to_owned());
    };
    let line = String::from_utf8_lossy(&text[..end]).into_owned();
    let mut words = line.split_ascii_whitespace();
    let engine = words.next().unwrap_or_default();
    if engine != "#!lua" {
        return Err(format!("ERR Unexpected engine in script shebang: {engine}"));
    }
    promises.given = true;
    for word in words {
        let Some(flags) = word.strip_prefix("flags=") else {
            return Err(format!("ERR Unknown lua shebang option: {word}"));
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => promises.no_writes = true,
                "allow-oom" => promises.allow_oom = true,
                "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                _ => return Err(format!("ERR Unexpected flag in script shebang: {flag}")),
            }
        }
    }
    Ok((promises, text[end..].to_vec()))
}
