//! The words of one command, borrowed from the connection's input bytes.

/// Where one word lies inside the input bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Length in bytes.
    pub len: usize,
}

/// The words of one command; word 0 is its name.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// The words that `spans` mark inside `bytes`.
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self { bytes, spans }
    }

    /// How many words there are, the name included.
    #[expect(clippy::len_without_is_empty, reason = "a command always has its name")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Word `index`.
    ///
    /// # Panics
    /// If there is no such word; the arity of the command's row says what is there.
    pub fn at(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.bytes[span.start..span.start + span.len]
    }

    /// Word `index`, or `None` past the end.
    pub fn opt(&self, index: usize) -> Option<&'a [u8]> {
        (index < self.spans.len()).then(|| self.at(index))
    }

    /// How far it is from the first byte of the first word to behind the last: about what the
    /// command was sent in.
    #[inline]
    pub fn extent(&self) -> usize {
        match self.spans {
            [first, .., last] => last.start + last.len - first.start,
            [only] => only.len,
            [] => 0,
        }
    }

    /// Whether word `index` is there and equals `word` in any case. `word` must be upper case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.opt(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// All words from `index` on.
    pub fn from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let (bytes, spans) = (self.bytes, &self.spans[index.min(self.spans.len())..]);
        spans.iter().map(move |span| &bytes[span.start..span.start + span.len])
    }

    /// The command that starts at word `index` (COMMAND GETKEYS, FENCE).
    pub fn skip(&self, index: usize) -> Self {
        Self { bytes: self.bytes, spans: &self.spans[index.min(self.spans.len())..] }
    }
}

/// The words of one command, with bytes of their own: for a command that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Words {
    /// A copy of the words.
    pub fn new<'a>(words: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> Self {
        let bytes = Vec::with_capacity(words.clone().map(<[u8]>::len).sum());
        let spans = Vec::with_capacity(words.len());
        let mut copy = Self { bytes, spans };
        words.for_each(|word| copy.push(word));
        copy
    }

    /// Appends a word.
    pub fn push(&mut self, word: &[u8]) {
        self.spans.push(Span { start: self.bytes.len(), len: word.len() });
        self.bytes.extend_from_slice(word);
    }

    /// Forgets all words; their memory is used again.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// Whether there are none: not the words of a command.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The command.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }

    /// Bytes of all words.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Heap bytes that they own.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

impl core::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.from(0).map(|word| word.escape_ascii().to_string())).finish()
    }
}
