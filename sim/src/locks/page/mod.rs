//! One HTML page for a story that happened: lanes, messages, clocks, what was broken, and the
//! story's text.
//!
//! It needs nothing but itself: no script, no network. Everything that comes from the story is
//! escaped.
//!
//! Invariant: every violation is on it, in words and where it happened.

use std::fmt::Write as _;

use super::algorithm::Algorithm;
use super::happen::happen;
use super::judge::Violation;
use super::kinds::scenario;
use super::story::Story;
use super::telling::{tell, words};
use super::trace::Trace;

mod axis;
mod chart;
mod clocks;
mod scene;

/// More lines than these are not listed.
const LINES_MAX: usize = 3_000;
const STYLE: &str = include_str!("style.css");

/// The page of a story as it happens with an algorithm.
///
/// # Panics
/// If the story cannot happen with it: see [`happen`].
#[must_use]
pub fn page(story: &Story, algorithm: &Algorithm) -> String {
    let outcome = happen(story, algorithm, true);
    let trace = outcome.trace.as_ref().expect("it was to be written down");
    let scene = scene::Scene::of(story, algorithm, trace);
    let kind = scenario(story, algorithm, &outcome.broken())
        .map(|scenario| scenario.to_string())
        .filter(|scenario| *scenario != story.name)
        .map_or(String::new(), |scenario| format!(" (an instance of {scenario})"));
    let (name, title) = (escape(&story.name), escape(&story.title));
    let words = format!("{}: {}", escape(algorithm.name), escape(algorithm.words));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{name} with {algorithm}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>{name}{kind}: {title}</h1>\n<p>{words}</p>\n",
        algorithm = escape(algorithm.name),
    );
    violations(&mut out, &scene.violations);
    out.push_str(&chart::chart(&scene));
    legend(&mut out, story.clients);
    let _ = write!(out, "<h2>The story</h2>\n<pre>{}</pre>\n", escape(&story.to_string()));
    events(&mut out, trace);
    out.push_str("</body>\n</html>\n");
    out
}

fn violations(out: &mut String, violations: &[Violation]) {
    if violations.is_empty() {
        out.push_str("<p>Nothing was broken.</p>\n");
        return;
    }
    out.push_str("<div class=\"broken\">\n<ol>\n");
    for violation in violations {
        let (at, words) = (words::millis(violation.at_us), words::violation(violation));
        let _ = writeln!(out, "<li>at {at} ms: {}</li>", escape(&words));
    }
    out.push_str("</ol>\n</div>\n");
}

/// What the colours mean.
fn legend(out: &mut String, clients: usize) {
    out.push_str("<div class=\"key-line\">\n");
    let mut entry = |shape: &str, words: &str| {
        let _ = writeln!(
            out,
            "<span><svg width=\"26\" height=\"14\" role=\"img\">{shape}</svg> {words}</span>"
        );
    };
    let rect = |class: &str| {
        format!("<rect class=\"{class}\" x=\"1\" y=\"2\" width=\"24\" height=\"10\" rx=\"2\"/>")
    };
    let line =
        |class: &str| format!("<line class=\"{class}\" x1=\"1\" y1=\"7\" x2=\"25\" y2=\"7\"/>");
    let colours = (0..clients.min(3)).map(|client| format!("c{client}"));
    let owned: Vec<String> = colours.collect();
    for (client, class) in owned.iter().enumerate() {
        let letter = super::spelling::letter(client);
        let words = format!("{letter} takes the lock for its own; paler: has a server's key");
        entry(&rect(class), &words);
    }
    entry(&rect("ask"), "asks for the lock");
    entry(&rect("fault"), "paused, gone, stopped, cut, slow");
    entry(&line("sent"), "message");
    entry(&line("late"), "late");
    entry(&line("lost"), "lost");
    entry(&line("moment"), "something is broken");
    entry(&line("wall"), "time of day");
    entry(&line("mono"), "monotonic clock");
    out.push_str(
        "</div>\n<p class=\"faint\">Quiet stretches are drawn short: \
         the scale of time is not even. What something is, is said when the pointer is on it.\
         </p>\n",
    );
}

fn events(out: &mut String, trace: &Trace) {
    out.push_str("<h2>What happened</h2>\n<table>\n");
    let lines = tell(trace);
    for line in lines.iter().take(LINES_MAX) {
        let class = if line.broken.is_some() { " class=\"bad\"" } else { "" };
        let (at, text) = (words::millis(line.at_us), escape(&line.text));
        let _ = writeln!(out, "<tr{class}><td class=\"at\">{at}</td><td>{text}</td></tr>");
    }
    if lines.len() > LINES_MAX {
        let all = lines.len();
        let _ = writeln!(out, "<tr><td></td><td>and so on; {all} lines in all</td></tr>");
    }
    out.push_str("</table>\n");
}

/// Text as HTML and SVG want it, also within quotation marks.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in a document, whatever it is escaped as.
            control if control.is_control() && control != '\n' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_story_is_markup() {
        assert_eq!(
            escape("<b a=\"1\" c='2'>&\u{1}"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;\u{fffd}"
        );
    }
}
