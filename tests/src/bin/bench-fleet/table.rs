//! The results: each figure beside its limit, as rows of a Markdown table.

use std::time::Duration;

/// The rows so far.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    subject: String,
    figure: String,
    limit: Option<String>,
    kept: bool,
}

impl Table {
    /// Adds a figure that has no limit.
    pub(crate) fn note(&mut self, subject: &str, figure: String) {
        self.add(Row {
            subject: subject.to_owned(),
            figure,
            limit: None,
            kept: true,
        });
    }

    /// Adds a time that has to be below its limit.
    pub(crate) fn time(&mut self, subject: &str, figure: Duration, limit: Duration) {
        self.add(Row {
            subject: subject.to_owned(),
            figure: seconds(figure),
            limit: Some(format!("< {}", seconds(limit))),
            kept: figure < limit,
        });
    }

    /// Adds a number that may be as large as its limit.
    pub(crate) fn at_most(&mut self, subject: &str, figure: f64, limit: f64, unit: &str) {
        self.add(Row {
            subject: subject.to_owned(),
            figure: format!("{figure:.2} {unit}"),
            limit: Some(format!("{limit} {unit}")),
            kept: figure <= limit,
        });
    }

    /// True before the first row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The subjects of the figures that are above their limits.
    pub(crate) fn missed(&self) -> Vec<&str> {
        let missed = self.rows.iter().filter(|row| !row.kept);
        missed.map(|row| row.subject.as_str()).collect()
    }

    /// All rows.
    pub(crate) fn markdown(&self) -> String {
        let mut text = "| figure | measured | limit | |\n| --- | --- | --- | --- |\n".to_owned();
        for row in &self.rows {
            let verdict = match (&row.limit, row.kept) {
                (None, _) => "",
                (Some(_), true) => "kept",
                (Some(_), false) => "**missed**",
            };
            let limit = row.limit.as_deref().unwrap_or("–");
            text.push_str(&format!("| {} | {} | {limit} | {verdict} |\n", row.subject, row.figure));
        }
        text
    }
}

/// A time as text: milliseconds below a second.
pub(crate) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Table;

    #[test]
    fn a_figure_at_its_limit_misses_a_limit_of_time_and_keeps_one_of_size() {
        let mut table = Table::default();
        let second = Duration::from_secs(1);
        table.time("at", second, second);
        table.time("below", Duration::from_millis(999), second);
        table.at_most("equal", 1.1, 1.1, "x");
        table.at_most("above", 1.2, 1.1, "x");
        table.note("free", "1 MiB".to_owned());
        assert_eq!(table.missed(), ["at", "above"]);
        assert!(table.markdown().contains("| below | 999 ms | < 1.00 s | kept |\n"));
    }
}
