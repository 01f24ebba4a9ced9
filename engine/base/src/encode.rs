//! How a command is spelled: an array of bulk strings, as clients send it and logs keep it.

/// Appends a command.
pub fn command<'a, I>(into: &mut Vec<u8>, words: I)
where
    I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
{
    let words = words.into_iter();
    array(into, words.len());
    words.for_each(|word| bulk(into, word));
}

/// Appends the beginning of a command of so many words.
pub fn array(into: &mut Vec<u8>, len: usize) {
    header(into, b'*', len);
}

/// Appends a word.
pub fn bulk(into: &mut Vec<u8>, word: &[u8]) {
    header(into, b'$', word.len());
    into.extend_from_slice(word);
    into.extend_from_slice(b"\r\n");
}

fn header(into: &mut Vec<u8>, kind: u8, number: usize) {
    into.push(kind);
    into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    into.extend_from_slice(b"\r\n");
}
