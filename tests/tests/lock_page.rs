//! The page of a story: well formed, nothing missing, nothing fetched.

use orrery_sim::locks::{algorithm, happen, page, read, tell};

const LATE_HOLDER: &str = "
story late-holder
title A holder is paused beyond its lock's end, and writes
nodes 1
clients 2
until 30000
0     A acquires
100   A reads
5000  A pauses 10000
10001 B works 100
15001 A writes
";

const TROUBLE: &str = "
story trouble
title everything <b>at once</b> & \"more\"
nodes 3
clients 3
ttl 1000
until 6000
servers ideal-wall
network 0.5 2 10 10
seed 3
0     A works 900
1     n1 stops 500
2     A-n2 cut 30
3     n3 clock +60000
3     A clock -50
4     B rate +5000
4     A-store slow-requests 3000 2000
5     B works 10
6     B-n2 slow-replies 500 100
7     C works 10
900   C crashes
1000  n2 forgets
1500  n2 fills 100
1600  n1 grace 500
2000  B works 100
";

fn page_of(story: &str, name: &str) -> (String, usize) {
    let story = read(story, &[]).expect("a story");
    let algorithm = algorithm(name).expect("an algorithm");
    (page(&story, algorithm), happen(&story, algorithm, false).violations.len())
}

/// Goes through all tags and sees that each is closed where it must be.
fn check_tags(page: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut tags = 0;
    let body = page.strip_prefix("<!DOCTYPE html>").expect("it says what it is");
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "a stray bracket: {text}");
        tags += 1;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            let name = tag.split_whitespace().next().expect("a tag has a name");
            if name != "meta" {
                open.push(name);
            }
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
    tags
}

#[test]
fn a_page_is_well_formed_and_says_every_violation() {
    for (story, name) in [
        (LATE_HOLDER, "naive"),
        (LATE_HOLDER, "single"),
        (TROUBLE, "redlock"),
        (TROUBLE, "redlock-net"),
        (TROUBLE, "fenced"),
    ] {
        let (page, violations) = page_of(story, name);
        let tags = check_tags(&page);
        assert!(tags > 100, "{tags}");
        let badges = page.matches("class=\"badge\"").count();
        let listed = page.matches("<li>").count();
        assert_eq!((badges, listed), (violations, violations), "{name}");
    }
    let (page, violations) = page_of(LATE_HOLDER, "naive");
    assert!(violations > 0);
    for words in [
        "I1 BROKEN: two clients take the lock for theirs: B and A",
        "I3 BROKEN: a write of a holder before is taken: A writes after B",
        "I4 BROKEN: an update is lost: A writes over what it has not read",
        "A is paused",
        "A takes the lock for its own from 1 to",
        "B has the key of n1 from",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let (page, _) = page_of(LATE_HOLDER, "single");
    assert!(page.contains("Nothing was broken.") && page.contains("A is refused"), "{page}");
}

#[test]
fn a_page_lists_what_is_told_and_its_chart_uses_the_same_words() {
    let escaped = |text: &str| text.replace('\'', "&#39;");
    for name in ["redlock", "redlock-net", "fenced"] {
        let (page, _) = page_of(TROUBLE, name);
        let story = read(TROUBLE, &[]).expect("a story");
        let outcome = happen(&story, algorithm(name).expect("an algorithm"), true);
        let lines = tell(&outcome.trace.expect("it was to be written down"));
        assert_eq!(page.matches("<tr").count(), lines.len(), "{name}");
        let mut rest = page.as_str();
        for line in lines {
            let row = format!("<td>{}</td></tr>", escaped(&line.text));
            let at = rest.find(&row).unwrap_or_else(|| panic!("{name}: {row}"));
            rest = &rest[at + row.len()..];
        }
        for title in [
            "<title>n1 answers nobody for 500 ms</title>",
            "<title>at 2 ms: What is sent on A-n2 is lost for 30 ms</title>",
            "; the request is lost</title>",
            "; the answer arrives at ",
        ] {
            assert!(page.contains(title), "{name}: {title}");
        }
    }
}

#[test]
fn a_server_that_waits_for_its_replicas_in_vain_is_shown() {
    let alone = |replicas: u16| {
        let story = format!("nodes 1\nclients 1\nreplicas {replicas}\nuntil 500\n0 A works 10\n");
        page_of(&story, "wait-one").0
    };
    let page = alone(0);
    for words in ["n1 is alone", "n1 waits for its replicas: too few have it"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!alone(1).contains("n1 is alone"));
}

#[test]
fn a_page_needs_nothing_but_itself_and_takes_nothing_for_markup() {
    let (page, _) = page_of(TROUBLE, "redlock");
    for banned in ["<script", "<link", "<img", "src=", "href=", "url(", "http", "@import"] {
        assert!(!page.contains(banned), "{banned}");
    }
    assert!(!page.contains("<b>"), "the title is text");
    assert!(page.contains("everything &lt;b&gt;at once&lt;/b&gt; &amp; &quot;more&quot;"));
    for words in ["time of day of n3", "monotonic clock of B", "n1 stops 500", "A-n2 cut 30"] {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(page, page_of(TROUBLE, "redlock").0, "always the same");
}
