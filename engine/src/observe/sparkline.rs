//! A graph of numbers as lines of characters, as LATENCY GRAPH shows it.

/// Rows of the graph itself.
const ROWS: usize = 4;
/// Columns of a line; the graph goes on below it.
const COLUMNS: usize = 80;
/// The tip of a column, by height within its row.
const TIPS: [u8; 3] = *b"_o#";

/// Draws columns for the values, with a label below each.
pub(crate) fn draw(columns: &[(u64, String)]) -> String {
    let values = || columns.iter().map(|&(value, _)| value);
    let (min, max) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let range = (max - min).max(1) as f64;
    let steps = ROWS * TIPS.len();
    let step = |value: u64| (((value - min) as f64 * steps as f64 / range) as usize).min(steps - 1);
    let mut text = String::new();
    for (index, part) in columns.chunks(COLUMNS).enumerate() {
        if index > 0 {
            text.push('\n');
        }
        for row in (0..ROWS).rev() {
            let base = row * TIPS.len();
            text.extend(part.iter().map(|&(value, _)| match step(value).checked_sub(base) {
                None => ' ',
                Some(height) => TIPS.get(height).map_or('|', |&tip| char::from(tip)),
            }));
            text.push('\n');
        }
        text.push_str(&" ".repeat(part.len()));
        text.push('\n');
        let longest = part.iter().map(|(_, label)| label.len()).max().unwrap_or(0);
        for place in 0..longest {
            text.extend(part.iter().map(|(_, label)| label.chars().nth(place).unwrap_or(' ')));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn columns_rise_with_their_values() {
        let columns: Vec<_> = [(0, "9s"), (50, "8s"), (100, "10m")]
            .map(|(value, label)| (value, label.to_owned()))
            .to_vec();
        assert_eq!(draw(&columns), "  #\n _|\n ||\n_||\n   \n981\nss0\n  m\n");
        assert_eq!(draw(&[]), "");
        let flat: Vec<_> = (0..81).map(|_| (7, String::new())).collect();
        assert_eq!(draw(&flat).lines().filter(|line| line.starts_with('_')).count(), 2);
    }
}
