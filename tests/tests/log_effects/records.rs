//! Records as lines that do not depend on when the test runs.

use orrery_tests::resp_value::Value;

/// A year. What is nearer than this to the beginning of a scene is a moment.
const NEAR_MS: u64 = 365 * 86_400_000;
/// Two servers do the same at moments that are not further apart.
const TOLERANCE_MS: i64 = 6_000;

/// One record of a log: the words of a command.
pub(crate) struct Record(pub(crate) Vec<Vec<u8>>);

impl Record {
    /// All records of a log.
    pub(crate) fn read_all(bytes: &[u8]) -> Vec<Self> {
        let values = Value::read_all(bytes);
        let words = |value: &Value| value.elements().iter().map(|it| it.bytes().to_vec()).collect();
        values.iter().map(|value| Self(words(value))).collect()
    }

    /// As a line in which moments count from `zero_ms`, if that is not 0.
    pub(crate) fn shown(&self, zero_ms: u64) -> String {
        let words: Vec<String> = self.0.iter().map(|word| shown_word(word, zero_ms)).collect();
        words.join(" ")
    }
}

fn shown_word(word: &[u8], zero_ms: u64) -> String {
    let text = String::from_utf8_lossy(word);
    let (number, rest) = match text.split_once('-') {
        Some((number, seq)) if !number.is_empty() => (number.to_owned(), format!("-{seq}")),
        _ => (text.clone().into_owned(), String::new()),
    };
    let distance = number.parse::<i64>().ok().and_then(|it| it.checked_sub(zero_ms as i64));
    if let Some(distance) = distance.filter(|it| zero_ms != 0 && it.unsigned_abs() < NEAR_MS) {
        return format!("@{distance:+}{rest}");
    }
    if !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"') {
        return text.into_owned();
    }
    format!("\"{}\"", word.escape_ascii())
}

/// Whether two lines say the same at about the same time.
pub(crate) fn agree(ours: &str, theirs: &str) -> bool {
    let (ours, theirs): (Vec<&str>, Vec<&str>) =
        (ours.split(' ').collect(), theirs.split(' ').collect());
    ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| words_agree(a, b))
}

fn words_agree(ours: &str, theirs: &str) -> bool {
    let moment = |word: &str| {
        let rest = word.strip_prefix('@')?;
        let (distance, seq) = match rest[1..].find('-') {
            Some(at) => rest.split_at(at + 1),
            None => (rest, ""),
        };
        Some((distance.parse::<i64>().ok()?, seq.to_owned()))
    };
    match (moment(ours), moment(theirs)) {
        (Some((a, a_seq)), Some((b, b_seq))) => (a - b).abs() <= TOLERANCE_MS && a_seq == b_seq,
        _ => ours == theirs,
    }
}

#[test]
fn moments_agree_when_they_are_near() {
    assert!(agree("SET a @+100000", "SET a @+100300"));
    assert!(!agree("SET a @+100000", "SET a @+200000"));
    assert!(agree("XADD s @+0-1 f v", "XADD s @+12-1 f v"));
    assert!(!agree("XADD s @+0-1 f v", "XADD s @+12-2 f v"));
    assert!(!agree("DEL a", "UNLINK a") && !agree("DEL a", "DEL a b"));
    let record = Record(vec![b"SET".to_vec(), b"a b".to_vec(), b"1767225600005".to_vec()]);
    assert_eq!(record.shown(1_767_225_600_000), "SET \"a b\" @+5");
}
