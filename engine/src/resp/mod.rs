//! The Redis serialization protocol: requests in, replies out. RESP2 and RESP3.

mod parse;
mod reply;
mod words;

pub use parse::{Limits, Parsed, Parser, ProtocolError};
pub use reply::{Protocol, Reply};
pub use words::split_words_in_place;
