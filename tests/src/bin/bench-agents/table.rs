//! The results as a Markdown table: a row for each figure, with the sum of both agents beside its limit.

use std::fmt::Write as _;

/// Which way a figure is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// Millions of bytes, from bytes.
    Megabytes,
    /// MiB, from KiB.
    Mebibytes,
    /// Seconds.
    Seconds,
    /// A whole number.
    Count,
    /// Thousands of bytes, from bytes.
    Kilobytes,
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Self::Megabytes => format!("{:.2} MB", value / 1e6),
            Self::Mebibytes => format!("{:.2} MiB", value / 1024.0),
            Self::Seconds => format!("{value:.2} s"),
            Self::Count => format!("{value:.0}"),
            Self::Kilobytes => format!("{:.0} kB", value / 1e3),
        }
    }
}

/// The rows so far. The first two columns are the agents', further ones those of other processes.
#[derive(Debug)]
pub(crate) struct Table {
    others: Vec<String>,
    rows: String,
    missed: Vec<String>,
}

impl Table {
    /// A table with a column for each of these processes behind those of the agents.
    pub(crate) fn new(others: Vec<String>) -> Self {
        Self {
            others,
            rows: String::new(),
            missed: Vec::new(),
        }
    }

    /// Adds a figure: of both agents, and then of the others, none where it is not known. Both agents together may have as
    /// much as the limit.
    pub(crate) fn add(&mut self, subject: &str, unit: Unit, limit: Option<f64>, values: &[Option<f64>]) {
        let text = |value: &Option<f64>| value.map_or_else(|| "–".to_owned(), |value| unit.text(value));
        let (agents, others) = values.split_at(values.len().min(2));
        let both: f64 = agents.iter().flatten().sum();
        let limited = match limit {
            None => "– | –".to_owned(),
            Some(limit) => {
                let kept = both <= limit;
                if !kept {
                    self.missed.push(subject.to_owned());
                }
                let verdict = if kept { "kept" } else { "**missed**" };
                format!("{} | {:.2} x, {verdict}", unit.text(limit), both / limit)
            }
        };
        let cells: Vec<String> = agents.iter().map(text).collect();
        let cells = cells.join(" | ");
        // Writing to a text does not fail.
        write!(self.rows, "| {subject} | {cells} | {} | {limited} |", unit.text(both)).ok();
        for other in others {
            write!(self.rows, " {} |", text(other)).ok();
        }
        self.rows.push('\n');
    }

    /// The subjects of the figures that are above their limits.
    pub(crate) fn missed(&self) -> &[String] {
        &self.missed
    }

    /// All rows.
    pub(crate) fn markdown(&self) -> String {
        let names: String = self.others.iter().map(|name| format!(" {name} |")).collect();
        let lines = " --- |".repeat(6 + self.others.len());
        format!(
            "| figure | sentinel | rebooter | both | limit | both beside the limit |{names}\n|{lines}\n{}",
            self.rows
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, Unit};

    #[test]
    fn both_agents_together_count_and_other_processes_have_no_limit() {
        let mut table = Table::new(vec!["other".to_owned()]);
        table.add("at", Unit::Count, Some(3.0), &[Some(1.0), Some(2.0), Some(9.0)]);
        table.add(
            "above",
            Unit::Mebibytes,
            Some(1024.0),
            &[Some(1024.0), Some(512.0), None],
        );
        table.add("free", Unit::Kilobytes, None, &[Some(1500.0), None, None]);
        assert_eq!(table.missed(), ["above"]);
        let text = table.markdown();
        assert!(text.contains("| at | 1 | 2 | 3 | 3 | 1.00 x, kept | 9 |\n"), "{text}");
        assert!(
            text.contains("| above | 1.00 MiB | 0.50 MiB | 1.50 MiB | 1.00 MiB | 1.50 x, **missed** | – |\n"),
            "{text}"
        );
        assert!(text.contains("| free | 2 kB | – | 2 kB | – | – | – |\n"), "{text}");
        let columns = |line: &str| line.matches('|').count();
        assert!(text.lines().all(|line| columns(line) == 8), "{text}");
    }
}
