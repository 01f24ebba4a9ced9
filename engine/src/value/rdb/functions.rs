//! Libraries of functions as RDB has them since Redis 7.0: an opcode and the text, for each.

use super::opcodes::{EARLY_LIBRARY, LIBRARY};
use super::reader::Reader;
use super::writer::Writer;
use super::{Element, seal};

/// The version that first had the opcode: whatever reads it reads this.
const VERSION: u16 = 10;

/// The payload of FUNCTION DUMP.
pub fn save_libraries<'a>(texts: impl Iterator<Item = &'a [u8]>, compress: bool) -> Vec<u8> {
    let mut writer = Writer::new(compress);
    for text in texts {
        writer.byte(LIBRARY);
        writer.text(Element::Bytes(text));
    }
    seal(&mut writer.out, VERSION);
    writer.out
}

/// The texts in a payload that was opened; the error is Redis's.
pub fn load_libraries(bytes: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut reader = Reader::new(bytes);
    let mut texts = Vec::new();
    while !reader.is_at_end() {
        let opcode = reader.byte().map_err(|_| "can not read data type")?;
        texts.push(library(&mut reader, opcode)?);
    }
    Ok(texts)
}

/// The text behind an opcode. The release candidates of Redis 7.0 wrote name, engine, description
/// and code apart.
pub(super) fn library(reader: &mut Reader<'_>, opcode: u8) -> Result<Vec<u8>, &'static str> {
    let mut text = |what| match reader.text() {
        Ok(text) => Ok(text.into_bytes().into_owned()),
        Err(_) => Err(what),
    };
    match opcode {
        LIBRARY => text("Failed loading library payload"),
        EARLY_LIBRARY => {
            let name = text("Failed loading library name")?;
            let engine = text("Failed loading engine name")?;
            let is_described =
                reader.length().map_err(|_| "Failed loading library description indicator")?;
            let mut text = |what| match reader.text() {
                Ok(text) => Ok(text.into_bytes().into_owned()),
                Err(_) => Err(what),
            };
            if is_described != 0 {
                text("Failed loading library description")?;
            }
            let code = text("Failed loading library blob")?;
            Ok([b"#!", &*engine, b" name=", &name, b"\n", &code].concat())
        }
        _ => Err("given type is not a function"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;

    #[test]
    fn libraries_come_back() {
        let texts: [&[u8]; 3] = [b"#!lua name=a\nx", b"", &[b'y'; 5000]];
        for compress in [false, true] {
            let payload = save_libraries(texts.into_iter(), compress);
            let (_, bytes) = open(&payload).expect("it was sealed");
            assert_eq!(load_libraries(bytes).expect("it was just saved"), texts);
        }
    }

    #[test]
    fn what_the_release_candidates_wrote_is_read() {
        let bytes = b"\xf6\x03lib\x03lua\x01\x04text\x04code";
        let texts = load_libraries(bytes).expect("it is whole");
        assert_eq!(texts, [b"#!lua name=lib\ncode"]);
        for len in 1..bytes.len() {
            assert!(load_libraries(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert_eq!(load_libraries(b"\x00\x01a"), Err("given type is not a function"));
    }
}
