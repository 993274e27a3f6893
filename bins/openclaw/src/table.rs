//! Rows for people: aligned columns without frames, and how long ago something was.

use comfy_table::{Table, presets};

use crate::screen;

/// Returns rows in aligned columns, each cell on one line.
pub(crate) fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = bare();
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| match cell.as_str() {
            "" => "-".into(),
            text => screen::line(text),
        }));
    }
    finish(&mut table)
}

/// Returns facts with their names in front; facts without a value are left out.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let mut table = bare();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([format!("{name}:"), screen::line(value).into_owned()]);
    }
    finish(&mut table)
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn finish(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// Returns how long before `now` something was, in its largest unit: `3m ago`.
pub(crate) fn ago(at: Option<&prost_types::Timestamp>, now: jiff::Timestamp) -> String {
    let Some(at) = at else { return String::new() };
    let seconds = now.as_second().saturating_sub(at.seconds);
    let length = seconds.unsigned_abs();
    let text = match length {
        0..120 => format!("{length}s"),
        120..7200 => format!("{}m", length / 60),
        7200..172_800 => format!("{}h", length / 3600),
        _ => format!("{}d", length / 86_400),
    };
    if seconds < 0 { format!("in {text}") } else { format!("{text} ago") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn rows_are_aligned_and_harmless() {
        let rows = [["main", "a\u{1b}[2J\nb"], ["a-long-name", ""], ["漢字", "x"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        expect![[r#"
            NAME         LABEL
            main         a\u{1b}[2J\nb
            a-long-name  -
            漢字         x
        "#]]
        .assert_eq(&columns(&["NAME", "LABEL"], rows));
    }

    #[test]
    fn facts_without_value_are_left_out() {
        let known = [("version", "0.1.0".to_owned()), ("model", String::new())];
        assert_eq!(facts(&known), "version:  0.1.0\n");
    }

    #[test]
    fn ages() {
        let now = jiff::Timestamp::from_second(1_000_000).unwrap();
        for (seconds, expected) in [
            (1_000_000, "0s ago"),
            (999_881, "119s ago"),
            (999_880, "2m ago"),
            (992_800, "2h ago"),
            (827_200, "2d ago"),
            (1_000_300, "in 5m"),
        ] {
            let at = prost_types::Timestamp { seconds, nanos: 0 };
            assert_eq!(ago(Some(&at), now), expected);
        }
        assert_eq!(ago(None, now), "");
    }
}
