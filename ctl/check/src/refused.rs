//! What helps when something could not be looked at: kubectl was refused, or there was no answer.

/// What helps against what kubectl complained of; `rights` is what helps whoever lacks them.
pub(crate) fn remedy(trouble: &str, rights: &str) -> String {
    // As the API server begins its refusals, also within words of others.
    if trouble.contains("Forbidden") || trouble.contains("is forbidden") {
        rights.to_owned()
    } else {
        "try again; if it stays, see whether the API server is well: kubectl get --raw '/readyz?verbose'".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_help_only_against_a_refusal() {
        let forbidden = "Error from server (Forbidden): nodes is forbidden: User \"anna\" cannot list resource";
        assert_eq!(remedy(forbidden, "bind them"), "bind them");
        for other in [
            "kubectl gave no answer within 60s",
            "Unable to connect to the server: EOF",
        ] {
            assert!(remedy(other, "bind them").starts_with("try again"), "{other}");
        }
    }
}
