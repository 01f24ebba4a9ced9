//! Writing records: commands, and annotations that tell the time.

/// Appends a command as records have it: an array of bulk strings.
pub fn append_command<'a>(out: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'a [u8]>) {
    append_header(out, b'*', words.len());
    for word in words {
        append_header(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends that the records from here on were written at this time (`aof-timestamp-enabled`), in
/// seconds since the epoch.
pub fn append_timestamp(out: &mut Vec<u8>, unix_secs: u64) {
    out.extend_from_slice(b"#TS:");
    append_number(out, unix_secs);
}

fn append_header(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    append_number(out, len as u64);
}

fn append_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_spelled_as_redis_does() {
        let mut out = Vec::new();
        append_timestamp(&mut out, 1_795_229_783);
        let words: [&[u8]; 3] = [b"set", b"", &[b'x'; 12]];
        append_command(&mut out, words.into_iter());
        let expected = b"#TS:1795229783\r\n*3\r\n$3\r\nset\r\n$0\r\n\r\n$12\r\nxxxxxxxxxxxx\r\n";
        assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
        out.clear();
        append_timestamp(&mut out, u64::MAX);
        append_timestamp(&mut out, 0);
        assert_eq!(out, b"#TS:18446744073709551615\r\n#TS:0\r\n");
    }
}
