//! The limits of a packed list and of a node, as `list-max-listpack-size` gives them, and how far
//! from the ends nodes are compressed (`list-compress-depth`).

use super::element_of;
use crate::value::packed::Element;

/// Sizes of nodes for the parameter's values -1 to -5.
const BYTES_BY_LEVEL: [usize; 5] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
/// The largest node when elements are counted.
const BYTES_WHEN_COUNTED: usize = 8 << 10;
/// A larger depth counts as this one.
const DEPTH_MAX: usize = (1 << 16) - 1;
/// No node has more elements.
const ELEMENTS_MAX: usize = (1 << 15) - 1;

/// How large a node may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its listpack.
    bytes: usize,
    /// Elements.
    elements: usize,
    /// Whether the parameter counts elements.
    counts_elements: bool,
    /// A longer element is alone in its node.
    element_bytes: usize,
    /// So many nodes at each end are not compressed; 0: none is compressed.
    compress_depth: usize,
}

impl Limits {
    /// What a value of the parameter means.
    pub fn new(parameter: i64) -> Self {
        match usize::try_from(parameter) {
            Ok(elements) => Self {
                bytes: BYTES_WHEN_COUNTED,
                elements: elements.clamp(1, ELEMENTS_MAX),
                counts_elements: true,
                element_bytes: BYTES_WHEN_COUNTED,
                compress_depth: 0,
            },
            Err(_) => {
                let level = parameter.unsigned_abs().min(BYTES_BY_LEVEL.len() as u64) as usize;
                let bytes = BYTES_BY_LEVEL[level - 1];
                Self {
                    bytes,
                    elements: usize::MAX,
                    counts_elements: false,
                    element_bytes: bytes,
                    compress_depth: 0,
                }
            }
        }
    }

    /// The same, but nodes that are farther from both ends are compressed.
    pub fn compressing(self, depth: usize) -> Self {
        Self { compress_depth: depth.min(DEPTH_MAX), ..self }
    }

    /// So many nodes at each end are not compressed; 0: none is compressed.
    #[inline]
    pub(super) fn compress_depth(&self) -> usize {
        self.compress_depth
    }

    /// The same, but elements of so many bytes are alone in their nodes, as huge ones are: for
    /// tests. Such elements make a list of nodes, however small it is.
    pub fn with_long_elements(self, bytes: usize) -> Self {
        Self { element_bytes: self.element_bytes.min(bytes.saturating_sub(1)), ..self }
    }

    /// The bytes that a node may take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a listpack of such a size is too large.
    #[inline]
    pub(super) fn exceeds(&self, bytes: usize, elements: usize) -> bool {
        bytes > self.bytes || elements > self.elements
    }

    /// Whether an element is too long to share a node. Numbers never are: they are stored as such,
    /// and a node of one element holds bytes only.
    #[inline]
    pub(super) fn is_long(&self, element: &[u8]) -> bool {
        element.len() > self.element_bytes && matches!(element_of(element), Element::Bytes(_))
    }

    /// Whether a list that has shrunk to such a size becomes packed again: at half of the limit, so
    /// that it does not change its form to and fro.
    pub(super) fn allows_packing(&self, bytes: usize, elements: usize, shrinking: bool) -> bool {
        let divisor = if shrinking { 2 } else { 1 };
        if self.counts_elements {
            bytes <= self.bytes && elements <= self.elements / divisor
        } else {
            bytes <= self.bytes / divisor
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(-2)
    }
}
