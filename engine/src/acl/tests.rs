//! Users and rules on a small catalogue; those of a real server are compared elsewhere.

use std::sync::Arc;

use proptest::prelude::*;

use super::catalogue::tests::sample;
use super::*;

fn acl() -> Acl {
    Acl::new(Arc::new(sample()), "", Seed(1))
}

fn terms(catalogue: &Catalogue) -> Terms<'_> {
    Terms { catalogue, databases: 16, all_channels: false }
}

fn change(acl: &mut Acl, name: &str, rules: &[&str]) -> Result<Option<Revoked>, String> {
    let catalogue = Arc::clone(acl.catalogue());
    let rules: Vec<&[u8]> = rules.iter().map(|rule| rule.as_bytes()).collect();
    let result = acl.change(name.as_bytes(), &rules, terms(&catalogue));
    acl.check_invariants();
    result
}

fn lines(acl: &Acl) -> Vec<String> {
    acl.lines().map(|line| String::from_utf8(line).unwrap()).collect()
}

#[track_caller]
fn check(rules: &str, expected: &str) {
    let mut acl = acl();
    change(&mut acl, "u", &rules.split(' ').collect::<Vec<_>>()).unwrap();
    assert_eq!(lines(&acl)[1], format!("user u {expected}"), "{rules}");
}

#[test]
fn a_description_has_the_form_of_redis() {
    check("", "off resetchannels -@all");
    check("on nopass allkeys allchannels +@all", "on nopass ~* &* +@all");
    check("reset", "off sanitize-payload resetchannels -@all");
    check("skip-sanitize-payload ON", "on skip-sanitize-payload resetchannels -@all");
    check("%R~a %W~b ~c %w~a &x &y &x", "off ~a %W~b ~c resetchannels &x &y -@all");
    check("%rw~* %R", "off %RW~* %R~ resetchannels -@all");
    check("~a resetkeys ~b", "off ~b resetchannels -@all");
    check(
        "(+get ~a) (%R~b)",
        "off resetchannels -@all (~a resetchannels -@all +get) \
                               (%R~b resetchannels -@all)",
    );
    check("(+get) clearselectors", "off resetchannels -@all");
    check("db=3,1,1", "off resetchannels db=1,3 -@all");
    check("db=3 resetdbs", "off resetchannels resetdbs -@all");
    check("db=3 alldbs (db=2)", "off resetchannels -@all (resetchannels db=2 -@all)");
}

#[test]
fn passwords_are_hashes_in_the_order_in_which_they_came() {
    let hash = |word: &str| Hash::of(word.as_bytes()).hex();
    check(">a >b >a", &format!("off #{} #{} resetchannels -@all", hash("a"), hash("b")));
    check(">a >b <a", &format!("off #{} resetchannels -@all", hash("b")));
    check(&format!("#{0} !{0}", hash("a")), "off resetchannels -@all");
    check(">a nopass", "off nopass resetchannels -@all");
    check("nopass >a", &format!("off #{} resetchannels -@all", hash("a")));
    check(">a resetpass", "off resetchannels -@all");
}

#[track_caller]
fn check_refused(rules: &str, expected: &str) {
    let mut acl = acl();
    change(&mut acl, "u", &["+get"]).unwrap();
    let before = lines(&acl);
    let words: Vec<&str> = ["on"].into_iter().chain(rules.split(' ')).collect();
    let error = change(&mut acl, "u", &words).map(drop).unwrap_err();
    assert!(error.contains(expected), "{rules}: {error}");
    assert_eq!(lines(&acl), before, "a refused change changes nothing");
    assert!(change(&mut acl, "new", &words).is_err());
    assert_eq!(acl.find(b"new"), None, "nor does it make a user");
}

#[test]
fn one_wrong_rule_undoes_them_all() {
    check_refused("nonsense", "modifier 'nonsense': Syntax error");
    check_refused("+none", "modifier '+none': Unknown command or category name in ACL");
    check_refused("~* ~a", "Try 'resetkeys'");
    check_refused("&* &a", "Try 'resetchannels'");
    check_refused("<a", "does not exist");
    check_refused("#00", "exactly 64 characters");
    check_refused("+config|get|x", "Allowing first-arg of a subcommand is not supported");
    check_refused("(+get", "Unmatched parenthesis in acl selector starting at '(+get'.");
    check_refused("(on)", "modifier '(on)': Syntax error");
    check_refused("%~a", "Syntax error");
    check_refused("%", "Syntax error");
    check_refused("%RR~a", "Syntax error");
    check_refused("~a\tb", "Syntax error");
    check_refused("db=", "Syntax error");
    check_refused("db=1,", "Syntax error");
    check_refused("db=16", "out of range");
    check_refused("db=-1", "out of range");
}

#[test]
fn who_logs_in_has_the_right_password_and_is_enabled() {
    let mut acl = acl();
    change(&mut acl, "u", &[">a", ">b"]).unwrap();
    let is_let_in = |acl: &Acl, password: &str| acl.authenticate(b"u", password.as_bytes());
    assert_eq!(is_let_in(&acl, "a"), None);
    change(&mut acl, "u", &["on"]).unwrap();
    assert_eq!(is_let_in(&acl, "a"), acl.find(b"u"));
    assert_eq!(is_let_in(&acl, "b"), acl.find(b"u"));
    assert_eq!(is_let_in(&acl, "c"), None);
    assert_eq!(acl.authenticate(b"none", b"a"), None);
    change(&mut acl, "u", &["nopass"]).unwrap();
    assert!(is_let_in(&acl, "c").is_some());
    change(&mut acl, "u", &["resetpass"]).unwrap();
    assert_eq!(is_let_in(&acl, "a"), None);
}

#[test]
fn ids_of_users_that_went_are_used_again() {
    let mut acl = acl();
    change(&mut acl, "a", &[]).unwrap();
    change(&mut acl, "b", &[]).unwrap();
    let id = acl.find(b"a").unwrap();
    assert_eq!(acl.remove(b"a"), Some(id));
    assert_eq!(acl.remove(b"a"), None);
    acl.check_invariants();
    change(&mut acl, "c", &[]).unwrap();
    assert_eq!(acl.find(b"c"), Some(id));
    assert_eq!(lines(&acl).len(), 3);
}

#[test]
fn who_loses_channels_is_told_which_are_left() {
    let mut acl = acl();
    assert!(change(&mut acl, "u", &["&a", "&b*"]).unwrap().is_none());
    assert!(change(&mut acl, "u", &["&c"]).unwrap().is_none());
    assert!(change(&mut acl, "u", &["(&*)"]).unwrap().is_none());
    let revoked = change(&mut acl, "u", &["clearselectors"]).unwrap().unwrap();
    assert!(revoked.allows(b"bcd", false) && revoked.allows(b"b*", true));
    assert!(!revoked.allows(b"d", false) && !revoked.allows(b"bcd", true));
    assert!(change(&mut acl, "u", &["resetchannels"]).unwrap().is_some());
    assert!(change(&mut acl, "u", &["allchannels"]).unwrap().is_none());
}

#[track_caller]
fn check_file(text: &str, expected: Result<&[&str], &str>) {
    let mut acl = acl();
    change(&mut acl, "old", &["on"]).unwrap();
    let before = lines(&acl);
    let catalogue = Arc::clone(acl.catalogue());
    let result = acl.load(text.as_bytes(), "f", terms(&catalogue));
    acl.check_invariants();
    match expected {
        Ok(users) => {
            result.unwrap();
            assert_eq!(lines(&acl), users);
        }
        Err(complaints) => {
            let end = "WARNING: ACL errors detected, no change to the previously active ACL rules \
                       was performed";
            assert_eq!(result.unwrap_err(), format!("{complaints}{end}"));
            assert_eq!(lines(&acl), before);
        }
    }
}

#[test]
fn a_file_is_taken_whole_or_not_at_all() {
    let default = "user default on nopass ~* &* +@all";
    check_file("", Ok(&[default]));
    check_file(
        "\nuser b on +get\r\n  user a (+get ~x)  \n",
        Ok(&[
            "user a off resetchannels -@all (~x resetchannels -@all +get)",
            "user b on resetchannels -@all +get",
            default,
        ]),
    );
    check_file("user default off", Ok(&["user default off resetchannels -@all"]));
    let keyword = "should start with user keyword followed by the username. ";
    check_file("# no comments", Err(&format!("f:1 {keyword}")));
    check_file("User a on", Err(&format!("f:1 {keyword}")));
    check_file("user", Err(&format!("f:1 {keyword}")));
    check_file("user a\tb on", Err("'f:1: username 'a\tb' contains invalid characters. "));
    check_file(
        "user a\nuser a\nuser b x y +nope",
        Err("WARNING: Duplicate user 'a' found on line 2. f:3: Syntax error. \
             f:3: Error in applying operation '+nope': Unknown command or category name in ACL. "),
    );
    check_file("user a (+get", Err("f:1: Unmatched parenthesis in selector definition."));
}

/// A rule, now and then a wrong one.
fn any_rule() -> impl Strategy<Value = String> {
    let flat = prop_oneof![
        prop::sample::select(vec![
            "allkeys",
            "resetkeys",
            "allchannels",
            "resetchannels",
            "allcommands",
            "nocommands",
            "alldbs",
            "resetdbs",
            "db=0",
            "db=3,1",
            "~*",
            "&*",
            "%RW~*",
            "%R~",
            "%W",
        ])
        .prop_map(str::to_owned),
        "[~&][a-c*?)('\"\\\\]{0,4}",
        "%[RW]{1,2}~[a-c*)]{0,3}",
        "[+-](get|set|incr|sadd|config|config\\|get|config\\|set|select|ping)",
        "[+-]@(all|read|write|string|set|connection|fast|slow|admin)",
        "\\+(select|get)\\|[01)\"]{1,2}",
    ]
    .boxed();
    let quoted = |rules: Vec<String>| {
        let quote =
            |rule: &String| format!("\"{}\"", rule.replace('\\', "\\\\").replace('"', "\\\""));
        format!("({})", rules.iter().map(quote).collect::<Vec<_>>().join(" "))
    };
    prop_oneof![
        6 => flat.clone(),
        2 => prop::collection::vec(flat, 0..5).prop_map(quoted),
        2 => prop::sample::select(vec![
            "on", "off", "nopass", "resetpass", ">a", ">b", "<a", "reset", "clearselectors",
            "sanitize-payload", "skip-sanitize-payload", "", "nonsense",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_described_makes_the_same_user_again(
        rules in prop::collection::vec(any_rule(), 0..12),
    ) {
        let mut acl = acl();
        for rule in &rules {
            // One rule after the other, so that the right ones count.
            drop(change(&mut acl, "u", &[rule]));
        }
        change(&mut acl, "u", &[]).unwrap();
        let user = acl.user(acl.find(b"u").unwrap()).clone();
        let catalogue = Arc::clone(acl.catalogue());
        let line = [b"user u ", &*user.describe(&catalogue)].concat();
        acl.load(&line, "f", terms(&catalogue)).unwrap();
        acl.check_invariants();
        let again = acl.user(acl.find(b"u").unwrap());
        prop_assert_eq!(again.describe(&catalogue), user.describe(&catalogue));
        prop_assert_eq!(again.permissions(&catalogue), user.permissions(&catalogue));
        prop_assert_eq!(again.is_unrestricted(), user.is_unrestricted());
    }
}
