//! Rules of users, from commands and from a file.

use orrery_engine::Seed;
use orrery_engine::acl::{Acl, Terms};
use orrery_engine::commands::acl_gate::catalogue;

/// Every line is the words of one ACL SETUSER, and all of them together a file of users. What comes
/// of them is whole, and its description makes the same users again.
pub fn rules_are_survived(data: &[u8]) {
    let catalogue = catalogue();
    let terms = Terms { catalogue: &catalogue, databases: 16, all_channels: data.len() % 2 == 1 };
    let mut acl = Acl::new(catalogue.clone(), "", Seed(1));
    for line in data.split(|&byte| byte == b'\n') {
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let name: &[u8] = if words[0].len() % 2 == 0 { b"default" } else { b"u" };
        let before = lines(&acl);
        if acl.change(name, &words, terms).is_err() {
            assert_eq!(lines(&acl), before, "a change that was refused has changed something");
        }
        acl.check_invariants();
        is_the_same_after_a_file(&acl, terms);
    }
    let before = lines(&acl);
    if acl.load(data, "file", terms).is_err() {
        assert_eq!(lines(&acl), before, "a file that was refused has changed something");
    }
    acl.check_invariants();
    is_the_same_after_a_file(&acl, terms);
}

fn lines(acl: &Acl) -> Vec<Vec<u8>> {
    acl.lines().collect()
}

fn is_the_same_after_a_file(acl: &Acl, terms: Terms<'_>) {
    let lines = lines(acl);
    let text = lines.join(&b'\n');
    let mut again = Acl::new(acl.catalogue().clone(), "", Seed(1));
    // A file says all there is to say, whatever new users begin with.
    let terms = Terms { all_channels: false, ..terms };
    again.load(&text, "file", terms).unwrap_or_else(|why| panic!("{why}: {}", text.escape_ascii()));
    again.check_invariants();
    assert_eq!(self::lines(&again), lines);
}
