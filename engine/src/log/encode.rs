//! How a record is spelled: as a command, and several between MULTI and EXEC.

pub(crate) use orrery_base::encode::{array, bulk, command};

/// The beginning of several records that belong together.
pub(super) const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
/// Their end.
pub(super) const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
