//! What the agents of trials tried on the bus without the right to. Each is a user of its own, in the account of the agents.

/// Of these lines of the server's log, those about this user.
pub(super) fn violations(lines: &[String], user: &str) -> Vec<String> {
    let user = format!("/user:{user}\"");
    lines.iter().filter(|line| line.contains(&user)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::violations;

    #[test]
    fn a_violation_belongs_to_the_user_that_the_line_names() {
        let line = "[1] [ERR] 127.0.0.1:1 - cid:7 - \"v1\" - \"NODES/user:sentinel.c001\" - Publish Violation - Subject \"a.b\"";
        let lines = [line.to_owned()];
        assert_eq!(violations(&lines, "sentinel.c001"), [line]);
        assert!(violations(&lines, "sentinel.c00").is_empty());
    }
}
