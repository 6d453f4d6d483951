//! Tables for spreadsheets, by RFC 4180 with line feeds.

/// What makes a spreadsheet take a text for a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A table with these columns.
pub(crate) fn csv<const COLUMNS: usize>(
    header: &[&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let mut text = header.join(",").to_lowercase().replace(' ', "_");
    text.push('\n');
    text.push_str(&csv_rows(rows));
    text
}

/// Further rows of such a table.
pub(super) fn csv_rows<const COLUMNS: usize>(rows: impl Iterator<Item = [String; COLUMNS]>) -> String {
    let mut text = String::new();
    for row in rows {
        text.push_str(&row.map(|cell| field(&cell)).join(","));
        text.push('\n');
    }
    text
}

/// Texts of hosts and operators are no formulas: such a text gets an apostrophe, as spreadsheets write it.
fn field(text: &str) -> String {
    let text = if text.starts_with(FORMULA) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_quotes_and_lines_are_quoted_and_formulas_are_texts() {
        let rows = [
            ["a,b".to_owned(), "a \"no\"\n".to_owned()],
            ["=1+1".to_owned(), "-".to_owned()],
        ];
        let text = csv(&["NODE", "LONG NAME"], rows.into_iter());
        assert_eq!(text, "node,long_name\n\"a,b\",\"a \"\"no\"\"\n\"\n'=1+1,'-\n");
    }
}
