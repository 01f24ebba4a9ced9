//! How a record is spelled: an array of bulk strings, as clients send commands.

/// The beginning of several records that belong together.
pub(super) const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
/// Their end.
pub(super) const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// Appends a command.
pub(crate) fn command<'a, I>(into: &mut Vec<u8>, words: I)
where
    I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
{
    let words = words.into_iter();
    array(into, words.len());
    words.for_each(|word| bulk(into, word));
}

/// Appends the beginning of a command of so many words.
pub(crate) fn array(into: &mut Vec<u8>, len: usize) {
    header(into, b'*', len);
}

/// Appends a word.
pub(crate) fn bulk(into: &mut Vec<u8>, word: &[u8]) {
    header(into, b'$', word.len());
    into.extend_from_slice(word);
    into.extend_from_slice(b"\r\n");
}

fn header(into: &mut Vec<u8>, kind: u8, number: usize) {
    into.push(kind);
    into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    into.extend_from_slice(b"\r\n");
}
