//! Users as a file has them: a line each, `user name rules`.
//!
//! Invariant: either every line is right and the users are those of the file, or nothing changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rules::{RuleError, Terms, merge, unmatched};
use super::user::User;
use super::{Acl, DEFAULT_USER, USERS_MAX, is_user_name};
use crate::session::UserId;

/// No more is said about what is wrong with a file.
const COMPLAINT_BYTES_MAX: usize = 8 << 10;
/// What ends the complaints about a file.
const NO_CHANGE: &str = "WARNING: ACL errors detected, no change to the previously active ACL \
                         rules was performed";

impl Acl {
    /// Makes the users those of a file called `path`; without a default user in it that one may do
    /// everything. All clients of others must become the default user at once. The error is
    /// Redis's text.
    pub fn load(&mut self, text: &[u8], path: &str, terms: Terms<'_>) -> Result<(), String> {
        let mut file = File { path, users: BTreeMap::new(), complaints: String::new() };
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            file.read(index + 1, line.trim_ascii(), terms);
        }
        if !file.complaints.is_empty() {
            return Err(file.complaints + NO_CHANGE);
        }
        let catalogue = Arc::clone(&self.catalogue);
        let default = file.users.remove(DEFAULT_USER);
        let default = default.unwrap_or_else(|| User::almighty(DEFAULT_USER, &catalogue));
        self.users = vec![Some(default)];
        self.free.clear();
        self.by_name = BTreeMap::from([(DEFAULT_USER.into(), UserId::DEFAULT)]);
        for user in file.users.into_values() {
            self.insert(user);
        }
        Ok(())
    }

    /// Makes or changes a user as a directive of a configuration file says: a name and rules. The
    /// default user begins anew. The error is Redis's text.
    pub fn declare(&mut self, words: &[&[u8]], terms: Terms<'_>) -> Result<&User, String> {
        let [name, rules @ ..] = words else { return Err("a user has a name".to_owned()) };
        if !is_user_name(name) {
            return Err("Spaces not allowed in ACL usernames".to_owned());
        }
        let mut user = User::new(name, terms);
        let is_default = *name == DEFAULT_USER;
        if is_default {
            user.apply(b"reset", terms).expect("this rule is always right");
        }
        let shown_name = String::from_utf8_lossy(name);
        let rules = merge(rules).map_err(unmatched)?;
        user.apply_all(&rules, terms).map_err(|(index, error)| {
            let (rule, why) = (String::from_utf8_lossy(&rules[index]), error.text());
            format!("Error loading ACL rule '{rule}' for the user named '{shown_name}': {why}")
        })?;
        let id = match self.find(name) {
            Some(UserId::DEFAULT) => {
                *self.slot_mut(UserId::DEFAULT) = user;
                UserId::DEFAULT
            }
            Some(_) => return Err(RuleError::DuplicateUser.text().to_owned()),
            None => self.insert(user),
        };
        Ok(self.user(id))
    }

    /// Whether a directive of a configuration file defines a user as it should, but for commands
    /// and categories that it names. The error is the word that is wrong and why.
    pub fn check_declaration(words: &[&[u8]], terms: Terms<'_>) -> Result<(), (String, String)> {
        let [name, rules @ ..] = words else { return Ok(()) };
        let shown = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        let rules = merge(rules).map_err(|word| (shown(word), unmatched(word)))?;
        let mut user = User::new(name, terms);
        for rule in &rules {
            match user.apply(rule, terms) {
                Ok(()) | Err(RuleError::Unknown) => {}
                Err(error) => return Err((shown(rule), error.text().to_owned())),
            }
        }
        Ok(())
    }
}

/// A file that is being read.
struct File<'a> {
    path: &'a str,
    users: BTreeMap<Box<[u8]>, User>,
    complaints: String,
}

impl File<'_> {
    fn read(&mut self, number: usize, line: &[u8], terms: Terms<'_>) {
        if line.is_empty() || self.complaints.len() > COMPLAINT_BYTES_MAX {
            return;
        }
        let path = self.path;
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let [b"user", name, rules @ ..] = words.as_slice() else {
            let what = "should start with user keyword followed by the username";
            self.complain(format_args!("{path}:{number} {what}. "));
            return;
        };
        let shown_name = String::from_utf8_lossy(name);
        if !is_user_name(name) {
            let what = "contains invalid characters";
            self.complain(format_args!("'{path}:{number}: username '{shown_name}' {what}. "));
            return;
        }
        if self.users.contains_key(*name) {
            self.complain(format_args!(
                "WARNING: Duplicate user '{shown_name}' found on line {number}. "
            ));
            return;
        }
        if self.users.len() == USERS_MAX {
            self.complain(format_args!("{path}:{number}: more than {USERS_MAX} users. "));
            return;
        }
        let mut user = User::new(name, terms);
        match merge(rules) {
            Ok(rules) => self.apply(number, &rules, &mut user, terms),
            Err(_) => self.complain(format_args!(
                "{path}:{number}: Unmatched parenthesis in selector definition."
            )),
        }
        self.users.insert((*name).into(), user);
    }

    /// Takes the rules of a line. Every unknown command is told, but of what is wrong otherwise
    /// only the first, since the rest may follow from it.
    fn apply(&mut self, number: usize, rules: &[Vec<u8>], user: &mut User, terms: Terms<'_>) {
        let path = self.path;
        let mut is_told = false;
        for rule in rules {
            let rule = rule.trim_ascii();
            let Err(error) = user.apply(rule, terms) else { continue };
            let why = error.text();
            if error == RuleError::Unknown {
                let rule = String::from_utf8_lossy(rule);
                let what = "Error in applying operation";
                self.complain(format_args!("{path}:{number}: {what} '{rule}': {why}. "));
            } else if !is_told {
                self.complain(format_args!("{path}:{number}: {why}. "));
                is_told = true;
            }
        }
    }

    fn complain(&mut self, what: core::fmt::Arguments<'_>) {
        self.complaints.push_str(&what.to_string());
    }
}
