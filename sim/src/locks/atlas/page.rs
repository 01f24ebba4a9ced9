//! The atlas as one page: a heat map for each measure and algorithm, and what they say.
//!
//! Invariant: the page needs nothing but itself.

use core::fmt::Write as _;

use super::parameters::PARAMETERS;
use super::picture::{Scale, Shown, heat_map};
use super::point::Point;
use super::sweep::Sweep;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem;\
color:#222;background:#fff}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin:2.5rem 0 .3rem}p{max-width:50rem}\
.maps{display:flex;flex-wrap:wrap;gap:1rem}.maps svg{border:1px solid #ddd;border-radius:6px;\
max-width:100%;height:auto}\
table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left}\
code{background:#f2f2f2;padding:0 .25rem}";

const SECTIONS: [(&str, &str, Scale); 11] = [
    (
        "late_losses",
        "Where TTL - elapsed - drift stops being true (I10). A holder's deadline is safe as long \
         as the servers keep its key for longer. In the framed cells, here and in all other maps, \
         some holder believed in its lock when another one could have had it.",
        Scale::PerMillion,
    ),
    (
        "belief",
        "Two holders (I1): a grant while another client, by its own clock, took the lock for its \
         own.",
        Scale::PerMillion,
    ),
    ("grants", "Two grants (I2): the servers gave a lock away before its time.", Scale::PerMillion),
    (
        "stale_writes",
        "Late writes (I3): the data took a write of a holder after the next one had been there.",
        Scale::PerMillion,
    ),
    (
        "lost_updates",
        "Lost updates (I4): a write replaced what its writer had not read.",
        Scale::PerMillion,
    ),
    (
        "unavailable",
        "Not to be had (I9): an acquisition came to nothing while the lock was free.",
        Scale::PerMillion,
    ),
    ("acquire_p50_us", "Time to acquire, waiting for others included.", Scale::Millis),
    ("acquire_p99_us", "Time to acquire, the slowest hundredth.", Scale::Millis),
    ("handover_p50_us", "From a holder's end to the next grant, if one waited.", Scale::Millis),
    ("lateness_max_us", "How late a holder learned of its loss, at most.", Scale::Millis),
    ("jain_per_mille", "Fairness: Jain's index; 1 is equal shares.", Scale::PerMille),
];

/// The page.
#[must_use]
pub fn page(sweep: &Sweep, points: &[Point]) -> String {
    let [x, y] = &sweep.axes;
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Atlas of locks: {0} and {1}</title><style>{STYLE}</style></head><body>\n\
         <h1>Atlas of locks: {0} and {1}</h1>\n\
         <p>Each cell is {2} acquisitions of one lock by clients that read, work, write and give \
         it back without end. Numbers are for a million acquisitions; point at a cell for the \
         95 % interval. Green is none seen, which means fewer than {3:.0} in a million.</p>\n",
        x.name(),
        y.name(),
        sweep.acquisitions,
        super::statistics::per_million(0, sweep.acquisitions).most,
    );
    algorithms(&mut html, sweep);
    for (name, words, scale) in SECTIONS {
        let _ = writeln!(html, "<h2>{name}</h2><p>{words}</p><div class=\"maps\">");
        for algorithm in 0..sweep.algorithms.len() {
            html.push_str(&heat_map(sweep, points, algorithm, Shown { name, scale }));
        }
        html.push_str("</div>\n");
    }
    world(&mut html, sweep);
    html.push_str("</body></html>\n");
    html
}

fn algorithms(html: &mut String, sweep: &Sweep) {
    html.push_str("<table>");
    for algorithm in &sweep.algorithms {
        let _ = write!(html, "<tr><th>{}</th><td>{}</td></tr>", algorithm.name, algorithm.words);
    }
    html.push_str("</table>\n");
}

fn world(html: &mut String, sweep: &Sweep) {
    let _ = writeln!(
        html,
        "<h2>The world</h2><p>Servers: <code>{:?}</code>, seed <code>{}</code>.</p><table>",
        sweep.servers, sweep.seed
    );
    for (place, parameter) in PARAMETERS.iter().enumerate() {
        let is_axis = sweep.axes.iter().any(|axis| axis.place == place);
        let value =
            if is_axis { "as shown".to_owned() } else { sweep.values.at(place).to_string() };
        let _ = writeln!(
            html,
            "<tr><td><code>{}</code></td><td>{value}</td><td>{}</td></tr>",
            parameter.name, parameter.words
        );
    }
    html.push_str("</table>\n");
}
