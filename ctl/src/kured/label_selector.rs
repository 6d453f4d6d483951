//! Label selectors as kubectl and kured take them in one text, such as `app=ci,tier in (a, b),!debug`.

use bellwether_policy::{LabelExpression, LabelSelector};

/// Reads a selector; none if it is empty, or not one that a policy can express.
pub(crate) fn parse(text: &str) -> Option<LabelSelector> {
    let mut selector = LabelSelector::default();
    for condition in conditions(text) {
        let condition = condition.trim();
        if let Some((key, value)) = equality(condition) {
            if selector.match_labels.insert(key.to_owned(), value.to_owned()).is_some() {
                return None;
            }
        } else {
            selector.match_expressions.push(expression(condition)?);
        }
    }
    Some(selector)
}

/// The parts between commas, but not between those in parentheses.
fn conditions(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let is_separator = |letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    };
    text.split(is_separator).collect()
}

/// `key=value` and `key==value`.
fn equality(condition: &str) -> Option<(&str, &str)> {
    let (key, value) = condition.split_once('=')?;
    if key.ends_with('!') || key.contains(['<', '>']) {
        return None;
    }
    let (key, value) = (key.trim(), value.strip_prefix('=').unwrap_or(value).trim());
    is_word(key).then_some((key, value))
}

/// All other conditions.
fn expression(condition: &str) -> Option<LabelExpression> {
    let of = |key: &str, operator: &str, values: Vec<String>| {
        is_word(key.trim()).then(|| LabelExpression {
            key: key.trim().to_owned(),
            operator: operator.to_owned(),
            values,
        })
    };
    if let Some((key, value)) = condition.split_once("!=") {
        return of(key, "NotIn", vec![value.trim().to_owned()]);
    }
    if let Some((head, values)) = condition.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => of(key, "In", values),
            "notin" => of(key, "NotIn", values),
            _ => None,
        };
    }
    match condition.strip_prefix('!') {
        Some(key) => of(key, "DoesNotExist", Vec::new()),
        None => of(condition, "Exists", Vec::new()),
    }
}

/// A key: letters, digits and some signs.
fn is_word(key: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-' | '/');
    !key.is_empty() && key.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let selector = parse(text)?;
        let labels = selector
            .match_labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let expressions = selector.match_expressions.iter().map(|it| {
            format!("{} {} {}", it.key, it.operator, it.values.join("|"))
                .trim_end()
                .to_owned()
        });
        Some(labels.chain(expressions).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn every_kind_of_condition_is_read() {
        for (text, expected) in [
            ("app=ci", "app=ci"),
            ("app==ci, a.b/c = d", "a.b/c=d; app=ci"),
            ("app=", "app="),
            ("tier in (a, b),env notin (x)", "tier In a|b; env NotIn x"),
            ("app!=ci", "app NotIn ci"),
            ("batch,!debug", "batch Exists; debug DoesNotExist"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "a=1,a=2", "cores>4", "a b", "a like (b)", "a=1,,b=2", "(a)"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
