//! Users from files: those that a server starts with, and those of ACL LOAD.
//!
//! Invariant: a server that is to have users lets nobody in before it has them.

use std::sync::Arc;

use super::Engine;
use crate::commands::acl_gate::terms;
use crate::effects::Effects;
use crate::input::ConnId;
use crate::session::{Blocked, UserId};

impl Engine {
    /// Makes the users that the configuration declares, by directives or in a file, whose contents
    /// are `file`. To be called once at start if [`crate::Config::has_users`]; until then nobody
    /// can log in. Returns what is worth a line in the log; the error is why the server cannot
    /// start.
    pub fn load_users(&mut self, file: Option<&[u8]>) -> Result<Vec<String>, String> {
        let result = self.try_load_users(file);
        if result.is_err() {
            self.state.acl.shut();
        }
        result
    }

    fn try_load_users(&mut self, file: Option<&[u8]>) -> Result<Vec<String>, String> {
        let state = &mut self.state;
        let catalogue = Arc::clone(state.acl.catalogue());
        let terms = terms(&catalogue, &state.config);
        if !state.config.users.is_empty() && !state.config.acl_file.is_empty() {
            return Err("Configuring the server with users defined in redis.conf and at the same \
                        setting an ACL file path is invalid. This setup is very likely to lead to \
                        configuration errors and security holes, please define either an ACL file \
                        or declare users directly in your redis.conf, but not both."
                .to_owned());
        }
        state.acl.open(&state.config.requirepass);
        let mut notes = Vec::new();
        for words in state.config.user_declarations() {
            let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            let user = state.acl.declare(&bytes, terms)?;
            if !user.is_enabled() {
                let name = String::from_utf8_lossy(user.name());
                notes.push(format!(
                    "The user '{name}' is disabled (there is no 'on' modifier in the user \
                     description). Make sure this is not a configuration error."
                ));
            }
        }
        match file {
            Some(text) => state.acl.load(text, &state.config.acl_file, terms)?,
            None if state.config.acl_file.is_empty() => {}
            None => return Err("the file of users was not read".to_owned()),
        }
        Ok(notes)
    }

    /// The driver has read the file of users for a client: they are the users from now on, and
    /// whoever is another than the default user is closed. Returns the client's error.
    pub(super) fn end_users_read(
        &mut self,
        conn: ConnId,
        result: &Result<Vec<u8>, String>,
        fx: &mut Effects,
    ) -> Option<String> {
        let state = &mut self.state;
        let path = state.config.acl_file.clone();
        let text = match result {
            Ok(text) => text,
            Err(why) => {
                return Some(format!("ERR Error loading ACLs, opening file '{path}': {why}"));
            }
        };
        let catalogue = Arc::clone(state.acl.catalogue());
        let terms = terms(&catalogue, &state.config);
        if let Err(why) = state.acl.load(text, &path, terms) {
            return Some(format!("ERR {why}"));
        }
        // Who asked is still told how it went.
        if let Some(session) = state.sessions.find_mut(conn)
            && session.blocked == Some(Blocked::Driver)
            && session.user != UserId::DEFAULT
        {
            session.lose_user();
            session.closing = true;
        }
        state.end_clients_of(|user| user != UserId::DEFAULT, fx);
        None
    }
}
