//! The atlas of locks: that its figures are what they say, that an interrupted sweep goes on, and
//! that its pages can be read.

use orrery_sim::locks::atlas::{
    Axis, Point, Sweep, Values, page, picture, read_table, write_head, write_point,
};
use orrery_sim::locks::{Servers, algorithm};
use std::sync::Mutex;

fn sweep(x: &str, y: &str, algorithms: &[&str], acquisitions: u64) -> Sweep {
    Sweep {
        axes: [Axis::read(x).expect("an axis"), Axis::read(y).expect("an axis")],
        algorithms: algorithms.iter().map(|name| algorithm(name).expect("there")).collect(),
        values: Values::default(),
        servers: Servers::IdealWall,
        seed: 1,
        acquisitions,
    }
}

fn run(sweep: &Sweep) -> Vec<Point> {
    let points = Mutex::new(Vec::new());
    sweep.run(&sweep.missing(&[]), &|point| points.lock().unwrap().push(point));
    let mut points = points.into_inner().unwrap();
    points.sort_unstable_by_key(|point| (point.algorithm, point.at[1], point.at[0]));
    points
}

fn at(points: &[Point], algorithm: usize, x: u64, y: u64) -> &Point {
    let found = points.iter().find(|point| (point.algorithm, point.at) == (algorithm, [x, y]));
    found.expect("it was measured")
}

#[test]
fn a_world_without_faults_breaks_nothing_and_clock_steps_and_pauses_do() {
    let sweep = sweep("clock-step=0,5,1000", "pause=0,1500", &["redlock", "fenced", "naive"], 2000);
    let points = run(&sweep);
    for name in ["belief", "grants", "stale_writes", "lost_updates", "late_losses", "numbers"] {
        for algorithm in 0..3 {
            assert_eq!(at(&points, algorithm, 0, 0).figure(name), 0, "{name} of {algorithm}");
        }
    }
    // A hundredth of the time and 2 ms are set aside: 5 ms are no harm.
    assert_eq!(at(&points, 0, 5, 0).figure("late_losses"), 0);
    let stepped = at(&points, 0, 1000, 0);
    assert!(stepped.figure("belief") > 0 && stepped.figure("late_losses") > 0, "{stepped:?}");
    // A holder that is paused writes late, unless its number is looked at.
    assert!(at(&points, 0, 0, 1500).figure("lost_updates") > 0);
    assert_eq!(at(&points, 1, 0, 1500).figure("lost_updates"), 0);
    assert!(at(&points, 2, 0, 1500).figure("belief") > 0, "it goes by no deadline");
    for point in &points {
        assert!(point.figure("acquisitions") >= 2000, "{point:?}");
        assert!(point.figure("acquire_p50_us") <= point.figure("acquire_p99_us"));
    }
}

#[test]
fn the_worlds_of_a_point_are_different_ones() {
    // A world is a thousand acquisitions.
    let figures = |acquisitions| {
        let sweep = sweep("clock-step=1000", "pause=1500", &["redlock"], acquisitions);
        let points = run(&sweep);
        let names = ["refusals", "belief", "lost_updates", "late_losses"];
        names.map(|name| at(&points, 0, 1000, 1500).figure(name))
    };
    let (one, two) = (figures(1000), figures(2000));
    assert_ne!(one.map(|figure| 2 * figure), two, "the second is not the first again");
}

#[test]
fn crashes_and_forgetful_servers_are_measured_and_do_not_mix_up_lives() {
    let mut sweep = sweep("crash-every=0,3000", "forget-every=0,2000", &["fenced"], 1000);
    sweep.values = sweep.values.with(Values::find("pause-every").unwrap(), 0).unwrap();
    let points = run(&sweep);
    assert_eq!(at(&points, 0, 0, 0).figure("recovery_max_us"), 0);
    let crashed = at(&points, 0, 3000, 0);
    // Nobody waits longer for one that is gone than its time to live, and for a retry.
    assert!((300_000..2_000_000).contains(&crashed.figure("recovery_max_us")), "{crashed:?}");
    assert_eq!(crashed.figure("belief") + crashed.figure("lost_updates"), 0);
}

#[test]
fn the_same_sweep_has_the_same_figures_and_goes_on_where_it_was() {
    let sweep = sweep("clock-step=0,100", "pause=0,1500", &["redlock", "fenced"], 300);
    let points = run(&sweep);
    assert_eq!(points, run(&sweep));
    let lines: Vec<String> = points.iter().map(|point| write_point(&sweep, point)).collect();
    let whole = write_head(&sweep) + &lines.concat();
    assert_eq!(read_table(&sweep, &whole), Ok(points.clone()));
    assert!(sweep.missing(&points).is_empty());
    // The last line was cut off.
    let part = &whole[..whole.len() - 3];
    let done = read_table(&sweep, part).expect("the rest is good");
    let missing = sweep.missing(&done);
    assert_eq!(missing, [(1, [100, 1500])]);
    let again = Mutex::new(None);
    sweep.run(&missing, &|point| *again.lock().unwrap() = Some(point));
    assert_eq!(again.into_inner().unwrap().as_ref(), points.last());
    // Another seed is another sweep, and so is a line that is none.
    let other = Sweep { seed: 2, ..sweep.clone() };
    assert!(read_table(&other, &whole).unwrap_err().contains("other settings"));
    let damaged = whole.replacen("redlock,0,0,", "redlock,0,x,", 1);
    assert_eq!(read_table(&sweep, &damaged), Err("line 3 is no point".to_owned()));
}

#[test]
fn axes_are_refused_with_the_reason() {
    for (text, expected) in [
        ("pause", "is not like"),
        ("color=1", "there is no parameter \"color\"; there are ttl, nodes"),
        ("pause=", "is not like"),
        ("pause=5,5", "different and in order"),
        ("ttl=1", "ttl is 4 to"),
        ("pause=1,-1", "is not like"),
    ] {
        let why = Axis::read(text).unwrap_err();
        assert!(why.contains(expected), "{text}: {why}");
    }
    let mut bad = sweep("ttl=4,1000", "pause=0", &["redlock"], 1);
    assert_eq!(bad.problem(), None);
    bad.values = bad.values.with(Values::find("nodes").unwrap(), 64).unwrap();
    assert_eq!(bad.problem(), None);
}

#[test]
fn pictures_and_pages_hold_all_cells_and_nothing_from_elsewhere() {
    let sweep = sweep("clock-step=0,1000", "pause=0,1500", &["redlock", "fenced"], 200);
    let points = run(&sweep);
    let svg = picture(&sweep, &points, 0, "belief");
    assert_eq!(svg.matches("<title>").count(), 4, "one a cell");
    let html = page(&sweep, &points);
    for word in ["redlock", "fenced", "clock-step", "95 %", "Lost updates"] {
        assert!(html.contains(word), "{word}");
    }
    for text in [&svg, &html] {
        assert_eq!(text.matches("<svg").count(), text.matches("</svg>").count());
        assert_eq!(text.matches("<g>").count(), text.matches("</g>").count());
        let links = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!links.contains("http") && !links.contains("<script"), "it needs nothing else");
    }
    assert_eq!(html.matches("<svg").count(), 11 * 2, "each measure and algorithm");
}
