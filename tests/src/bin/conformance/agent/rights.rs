//! What the agents of trials tried on the bus without the right to. Each is a user of its own, in the account of the agents.

/// The lines of the server's log about what this user tried without the right to.
pub(super) fn violations(log: &str, user: &str) -> Vec<String> {
    let user = format!("/user:{user}\"");
    let of_user = |line: &&str| line.contains("Violation") && line.contains(&user);
    log.lines().filter(of_user).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::violations;

    #[test]
    fn a_violation_belongs_to_the_user_that_the_line_names() {
        let line = "[1] [ERR] 127.0.0.1:1 - cid:7 - \"v1\" - \"NODES/user:sentinel.c001\" - Publish Violation - Subject \"a.b\"";
        let log = format!("{line}\n[1] [INF] Server is ready\n");
        assert_eq!(violations(&log, "sentinel.c001"), [line]);
        assert!(violations(&log, "sentinel.c00").is_empty());
    }
}
