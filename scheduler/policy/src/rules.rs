//! What the API server checks of a policy beside types and lengths, as rules of its schema.
//!
//! Times, days, zones and crontabs are beyond such rules: the scheduler checks them, and `kubectl reboots policy check`
//! does before the policy is applied.

/// A duration as Kubernetes writes one.
pub(crate) const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(s|m|h))+$";

/// A file below the folder of secrets. No part of the path begins with a dot, so no path leads out of the folder.
pub(crate) const SECRET_FILE: &str = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$";

/// One rule that the API server checks.
#[derive(serde::Serialize)]
pub(crate) struct Rule {
    rule: &'static str,
    message: &'static str,
}

pub(crate) const RULES_OF_EXPRESSION: [Rule; 2] = [
    Rule {
        rule: "self.operator in ['Exists', 'DoesNotExist'] || (has(self.values) && size(self.values) > 0)",
        message: "values: In and NotIn need at least one value",
    },
    Rule {
        rule: "self.operator in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
        message: "values: Exists and DoesNotExist take no value; leave values out",
    },
];

pub(crate) const RULES_OF_WINDOW: [Rule; 3] = [
    Rule {
        rule: "has(self.days) || has(self.start) || has(self.end) ? !has(self.cron) && !has(self.duration) : has(self.cron)",
        message: "write either days, start and end, or cron and duration",
    },
    Rule {
        rule: "has(self.cron) == has(self.duration)",
        message: "cron and duration go together; write both, or neither",
    },
    Rule {
        rule: "has(self.days) == has(self.start) && has(self.start) == has(self.end)",
        message: "days, start and end go together; write all three, or none",
    },
];

pub(crate) const RULES_OF_BUDGET: [Rule; 1] = [Rule {
    rule: "has(self.maxUnavailable) || (has(self.topology) && size(self.topology) > 0) || has(self.rampUp)",
    message: "write maxUnavailable, topology or rampUp",
}];

pub(crate) const RULES_OF_TOPOLOGY: [Rule; 1] = [Rule {
    rule: "has(self.maxUnavailable) || has(self.maxDomains)",
    message: "write maxUnavailable, maxDomains or both",
}];

/// Of a number of nodes, or a share of them.
pub(crate) const AMOUNT: Rule = Rule {
    rule: "type(self) == int ? int(self) >= 1 : string(self).matches('^([1-9][0-9]?|100)%$')",
    message: "write a number from 1 on, or a share from 1% to 100%",
};

pub(crate) const RULES_OF_PROMETHEUS: [Rule; 2] = [
    Rule {
        rule: "has(self.alerts) != has(self.query)",
        message: "write either alerts or query",
    },
    Rule {
        rule: "!has(self.bearerTokenFile) || !has(self.basicAuth)",
        message: "write bearerTokenFile or basicAuth, not both",
    },
];
