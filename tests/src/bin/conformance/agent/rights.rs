//! The users of the NATS server: one for each agent that a trial may start, with the rights of its role and no others.

use std::fmt::Write as _;

use bellwether_proto::permission::{Permissions, Role};

/// The user of the rig, who may do everything; also the user of each connection without a name.
const RIG: &str = "rig";

/// Of no worth: the server listens on loopback, for as long as the trials last.
pub(super) const PASSWORD: &str = "conformance";

/// The configuration of the server: the nodes are those of these tokens.
pub(super) fn config(role: Role, tokens: impl Iterator<Item = String>) -> String {
    let mut users = format!("    {{ user: \"{RIG}\", password: \"{PASSWORD}\" }}\n");
    for token in tokens {
        let Permissions { publish, subscribe } = role.permissions(&token);
        let (publish, subscribe) = (quoted(&publish), quoted(&subscribe));
        // Writing to a text does not fail.
        writeln!(
            users,
            "    {{ user: \"{token}\", password: \"{PASSWORD}\", permissions: {{ publish: {{ allow: [{publish}] }}, \
             subscribe: {{ allow: [{subscribe}] }} }} }}"
        )
        .ok();
    }
    format!("no_auth_user: \"{RIG}\"\nauthorization {{\n  users = [\n{users}  ]\n}}\n")
}

fn quoted(subjects: &[String]) -> String {
    let quoted: Vec<String> = subjects.iter().map(|subject| format!("\"{subject}\"")).collect();
    quoted.join(", ")
}

/// The lines of the server's log about what the user of this token tried without the right to.
pub(super) fn violations(log: &str, token: &str) -> Vec<String> {
    let user = format!("\"{token}\"");
    let of_user = |line: &&str| line.contains("Violation") && line.contains(&user);
    log.lines().filter(of_user).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::violations;

    #[test]
    fn a_violation_belongs_to_the_user_that_the_line_names() {
        let line = "[1] [ERR] 127.0.0.1:1 - cid:7 - \"v1\" - Publish Violation - User \"c001_conf\", Subject \"a.b\"";
        let log = format!("{line}\n[1] [INF] Server is ready\n");
        assert_eq!(violations(&log, "c001_conf"), [line]);
        assert!(violations(&log, "c00").is_empty());
    }
}
