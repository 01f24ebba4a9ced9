//! A scene as SVG: one lane below the other, messages between them, what is broken across all.
//!
//! Invariant: labels of one lane do not overlap each other; everything that is not spelled out has
//! a title that is.

use std::fmt::Write as _;

use super::axis::Axis;
use super::escape;
use super::scene::{Lane, Message, Scene, Shade, Span};
use crate::locks::story::Who;
use crate::locks::telling::words::{millis, span, violation};

/// Pixels that a character takes at most, in tenths.
const CHARACTER: u64 = 66;
const LABEL_ROW: u64 = 14;
const BAR: u64 = 18;
const CLOCK_ROW: u64 = 44;
const TOP: u64 = 44;

/// Where a lane lies.
struct Place {
    top: u64,
    /// Where its bar begins.
    bar: u64,
    /// Where its clocks' curves begin, if they are drawn.
    clocks: Option<u64>,
    bottom: u64,
    /// The row of each mark's label.
    rows: Vec<u64>,
}

impl Place {
    /// The middle of the bar, where messages begin and end.
    fn middle(&self) -> u64 {
        self.bar + BAR / 2
    }
}

/// The chart, with the names of the lanes in a picture of their own that stays where it is.
pub(super) fn chart(scene: &Scene) -> String {
    let axis = Axis::new(scene.moments());
    let places = lay_out(scene, &axis);
    let height = places.last().map_or(TOP, |place| place.bottom) + 6;
    let mut out = String::from("<div class=\"chart\">\n");
    names(&mut out, scene, &places, height);
    let width = axis.width() + 90;
    let _ = writeln!(
        out,
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">"
    );
    times(&mut out, &axis, height);
    for (number, (lane, place)) in scene.lanes.iter().zip(&places).enumerate() {
        if number % 2 == 0 {
            let high = place.bottom - place.top;
            let top = place.top;
            let _ = writeln!(
                out,
                "<rect class=\"stripe\" x=\"0\" y=\"{top}\" width=\"{width}\" height=\"{high}\"/>"
            );
        }
        // What goes wrong lies over what it goes wrong with.
        let is_fault = |span: &&Span| span.shade == Shade::Fault;
        let rest = lane.spans.iter().filter(|span| !is_fault(span));
        for span in rest.chain(lane.spans.iter().filter(is_fault)) {
            bar(&mut out, &axis, place, span, lane.who);
        }
        curves(&mut out, &axis, lane, place, scene.until_us);
    }
    for sent in &scene.messages {
        message(&mut out, &axis, &places, sent);
    }
    for (lane, place) in scene.lanes.iter().zip(&places) {
        marks(&mut out, &axis, lane, place);
    }
    broken(&mut out, &axis, scene, height);
    out.push_str("</svg>\n</div>\n");
    out
}

fn lay_out(scene: &Scene, axis: &Axis) -> Vec<Place> {
    let mut top = TOP;
    let mut places = Vec::new();
    for lane in &scene.lanes {
        let rows = label_rows(lane, axis);
        let labels = rows.iter().max().map_or(0, |last| (last + 1) * LABEL_ROW);
        let bar = top + 6 + labels;
        let after = bar + BAR + 8;
        let clocks = (!lane.clocks.are_right()).then_some(after);
        let bottom = after + clocks.map_or(0, |_| CLOCK_ROW);
        places.push(Place { top, bar, clocks, bottom, rows });
        top = bottom;
    }
    places
}

/// In which row above the bar the label of each mark is, so that none touches another.
fn label_rows(lane: &Lane, axis: &Axis) -> Vec<u64> {
    let mut ends: Vec<f64> = Vec::new();
    let mut rows = Vec::new();
    for mark in &lane.marks {
        let x = axis.x(mark.at_us);
        let end = x + (mark.label.chars().count() as u64 * CHARACTER / 10) as f64 + 8.0;
        let row = ends.iter().position(|&taken| taken <= x).unwrap_or(ends.len());
        if row == ends.len() {
            ends.push(end);
        } else {
            ends[row] = end;
        }
        rows.push(row as u64);
    }
    rows
}

fn names(out: &mut String, scene: &Scene, places: &[Place], height: u64) {
    let longest = scene.lanes.iter().map(|lane| lane.name.len()).max().unwrap_or(0) as u64;
    let width = 24 + (longest * 9).max(40);
    let _ = writeln!(
        out,
        "<svg class=\"names\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">"
    );
    let _ = writeln!(out, "<text class=\"small\" x=\"12\" y=\"20\">ms</text>");
    for (lane, place) in scene.lanes.iter().zip(places) {
        let y = place.middle() + 5;
        let name = escape(&lane.name);
        let _ = writeln!(out, "<text class=\"name\" x=\"12\" y=\"{y}\">{name}</text>");
        if let Some(clocks) = place.clocks {
            let y = clocks + CLOCK_ROW / 2;
            let _ = writeln!(out, "<text class=\"small\" x=\"12\" y=\"{y}\">clocks</text>");
        }
    }
    out.push_str("</svg>\n");
}

/// Moments at which something happens, as many as there is room for.
fn times(out: &mut String, axis: &Axis, height: u64) {
    let mut free_from = 0.0;
    for at_us in axis.moments() {
        let x = axis.x(at_us);
        if x < free_from {
            continue;
        }
        let text = millis(at_us / 10 * 10);
        free_from = x + (text.len() as u64 * CHARACTER / 10) as f64 + 12.0;
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"26\" x2=\"{x:.1}\" y2=\"{height}\"/>\
             <text class=\"small\" x=\"{x:.1}\" y=\"20\">{text}</text>"
        );
    }
}

fn bar(out: &mut String, axis: &Axis, place: &Place, span: &Span, who: Who) {
    let (from, until) = (axis.x(span.from_us), axis.x(span.until_us));
    let wide = (until - from).max(1.5);
    let (class, inset) = match span.shade {
        Shade::Asking => ("ask".to_owned(), 5),
        Shade::Held(client) => (format!("c{}", client % 6), 0),
        Shade::Key(client) => (format!("key c{}", client % 6), 2),
        // Below what else the lane shows, so that both are seen.
        Shade::Fault if matches!(who, Who::Client(_)) => ("fault".to_owned(), 0),
        Shade::Fault => ("fault".to_owned(), 3),
    };
    let (mut y, mut high) = (place.bar + inset, BAR - 2 * inset);
    if span.shade == Shade::Fault && !matches!(who, Who::Link(..)) {
        (y, high) = (place.bar + BAR - 7, 12);
    }
    let title = escape(&span.words);
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{high}\" \
         rx=\"2\"><title>{title}</title></rect>"
    );
    let label = match span.shade {
        Shade::Held(client) | Shade::Key(client) if wide > 14.0 => {
            crate::locks::spelling::letter(client)
        }
        _ => return,
    };
    let (x, y) = (from + 4.0, place.bar + BAR / 2 + 4);
    let _ = writeln!(out, "<text class=\"onbar\" x=\"{x:.1}\" y=\"{y}\">{label}</text>");
}

fn message(out: &mut String, axis: &Axis, places: &[Place], message: &Message) {
    let (from, to) = (&places[message.from], &places[message.to]);
    let is_down = message.from < message.to;
    // From the edge of one bar to the edge of the other.
    let y1 = if is_down { from.bar + BAR } else { from.bar };
    let y2 = if is_down { to.bar } else { to.bar + BAR };
    let x1 = axis.x(message.sent_us);
    let (x2, y2) = match message.arrives_us {
        Some(at) => (axis.x(at), y2),
        None => (x1 + 6.0, y1.midpoint(y2)),
    };
    let class = match (message.is_lost, message.is_late) {
        (true, _) => "lost",
        (false, true) => "late",
        (false, false) => "sent",
    };
    let title = escape(&message.words);
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1}\" x2=\"{x2:.1}\" y2=\"{y2}\">\
         <title>{title}</title></line>"
    );
    if message.is_lost {
        let (left, right, above, below) = (x2 - 4.0, x2 + 4.0, y2 - 4, y2 + 4);
        let _ = writeln!(
            out,
            "<path class=\"cross\" d=\"M{left:.1} {above}L{right:.1} {below}\
             M{left:.1} {below}L{right:.1} {above}\"><title>{title}</title></path>"
        );
    }
}

fn marks(out: &mut String, axis: &Axis, lane: &Lane, place: &Place) {
    for (mark, row) in lane.marks.iter().zip(&place.rows) {
        let x = axis.x(mark.at_us);
        let y = place.bar - 4 - row * LABEL_ROW;
        let (top, bottom) = (y - 8, place.bar + BAR);
        let class = if mark.is_fault { " bad" } else { "" };
        let text = x + 3.0;
        let _ = writeln!(
            out,
            "<line class=\"tick{class}\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text class=\"label{class}\" x=\"{text:.1}\" y=\"{y}\">{label}\
             <title>at {at} ms: {words}</title></text>",
            label = escape(&mark.label),
            at = millis(mark.at_us),
            words = escape(&mark.words),
        );
    }
}

/// How far a host's two clocks are off.
fn curves(out: &mut String, axis: &Axis, lane: &Lane, place: &Place, until_us: u64) {
    let Some(top) = place.clocks else { return };
    let mut points = Vec::new();
    for at_us in axis.moments().filter(|&at_us| at_us <= until_us) {
        for is_before in [true, false] {
            let (mono_us, wall_us) = lane.clocks.ahead_us(at_us, is_before);
            points.push((axis.x(at_us), mono_us, wall_us));
        }
    }
    let off = |&(_, mono_us, wall_us): &(f64, i64, i64)| mono_us.abs().max(wall_us.abs());
    let most_us = points.iter().map(off).max().unwrap_or(0).max(1);
    let middle = top + (CLOCK_ROW - 8) / 2;
    let half = ((CLOCK_ROW - 12) / 2) as f64;
    let y = |ahead_us: i64| middle as f64 - half * ahead_us as f64 / most_us as f64;
    let right = axis.x(until_us);
    let _ = writeln!(
        out,
        "<line class=\"zero\" x1=\"10\" y1=\"{middle}\" x2=\"{right:.1}\" y2=\"{middle}\"/>"
    );
    let name = escape(&lane.name);
    let mut curve = |class: &str, what: &str, values: Vec<(f64, i64)>| {
        let mut line = String::new();
        for &(x, ahead_us) in &values {
            let _ = write!(line, "{x:.1},{:.1} ", y(ahead_us));
        }
        let _ = writeln!(
            out,
            "<polyline class=\"{class}\" points=\"{}\"><title>{what} of {name}, against true \
             time</title></polyline>",
            line.trim_end()
        );
        if let Some(&(x, ahead_us)) = values.last()
            && ahead_us != 0
        {
            let sign = if ahead_us < 0 { "\u{2212}" } else { "+" };
            let (x, y, off) = (x + 4.0, y(ahead_us) + 4.0, span(ahead_us.unsigned_abs()));
            let _ =
                writeln!(out, "<text class=\"small\" x=\"{x:.1}\" y=\"{y:.1}\">{sign}{off}</text>");
        }
    };
    curve("mono", "the monotonic clock", points.iter().map(|&(x, mono, _)| (x, mono)).collect());
    curve("wall", "the time of day", points.iter().map(|&(x, _, wall)| (x, wall)).collect());
}

/// Where invariants are broken: lines across all lanes, with the numbers of the list above.
fn broken(out: &mut String, axis: &Axis, scene: &Scene, height: u64) {
    let mut free_from = 0.0;
    for (number, broken) in scene.violations.iter().enumerate() {
        let x = axis.x(broken.at_us);
        // Several at one moment stand side by side.
        let badge = f64::max(x, free_from);
        free_from = badge + 18.0;
        let title = escape(&violation(broken));
        let _ = writeln!(
            out,
            "<line class=\"moment\" x1=\"{x:.1}\" y1=\"36\" x2=\"{x:.1}\" y2=\"{height}\">\
             <title>{title}</title></line><circle class=\"badge\" cx=\"{badge:.1}\" cy=\"34\" \
             r=\"8\"><title>{title}</title></circle><text class=\"badge-text\" x=\"{badge:.1}\" \
             y=\"38\">{number}</text>",
            number = number + 1
        );
    }
}
