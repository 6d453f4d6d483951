//! Problems with codes beside versions before the codes: `before-codes` holds what the last commit
//! before them wrote, in the form of `previous`. It stays until no supported version lacks the codes.

use std::collections::BTreeSet;
use std::fs;

use bellwether_proto::{HostReport, Message, Problem, ProblemCode, RebooterReport, wire};
use prost::Message as _;

use crate::file::File;
use crate::{pool, root, samples, values};

/// The fields of a report that a reader before the codes knows and decides by.
#[derive(Clone, PartialEq, prost::Message)]
struct OldHostReport {
    #[prost(string, tag = "6")]
    probe_error: String,
}

/// As [`OldHostReport`].
#[derive(Clone, PartialEq, prost::Message)]
struct OldRebooterReport {
    #[prost(string, tag = "6")]
    problem: String,
}

fn stored(name: &str) -> File {
    let path = root().join("tests/golden/before-codes").join(format!("{name}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap()
}

fn read<M: Message>(name: &str) -> M {
    let file = stored(name);
    let header = |name: &'static str| file.headers.iter().find(|(key, _)| key == name);
    bellwether_proto::decode(|name| header(name).map(|(_, value)| value.as_str()), &file.body).unwrap()
}

#[test]
fn a_problem_written_before_the_codes_keeps_its_message_and_has_no_code() {
    let host: HostReport = read("host-report-blind");
    assert_eq!(host, samples::blind(ProblemCode::Unclassified));
    let rebooter: RebooterReport = read("rebooter-report-unable");
    assert_eq!(rebooter, samples::unable(ProblemCode::Unclassified));

    let list = wire::ListNodesResponse::decode(stored("list-nodes-response").body.as_slice()).unwrap();
    let agents = list.nodes.iter().flat_map(|node| [&node.sentinel, &node.rebooter]);
    let problems: Vec<_> = agents
        .flatten()
        .map(|agent| Problem::from_wire(agent.classified_problem.clone(), agent.problem.clone()))
        .collect();
    assert_eq!(problems, vec![Some(Problem::unclassified("access denied")); 2]);
}

#[test]
fn a_problem_with_a_code_is_a_problem_to_readers_before_the_codes() {
    for code in ProblemCode::ALL.iter().copied().chain([ProblemCode::Unknown(9999)]) {
        let body = samples::blind(code).to_wire().encode_to_vec();
        let old = OldHostReport::decode(body.as_slice()).unwrap();
        assert_eq!(old.probe_error, "permission denied", "{code}");
        let body = samples::unable(code).to_wire().encode_to_vec();
        let old = OldRebooterReport::decode(body.as_slice()).unwrap();
        assert_eq!(old.problem, "access denied", "{code}");
    }
    // What they know of the nodes in the answer of the API is the same.
    let mut list = samples::list_nodes_response_today();
    for node in &mut list.nodes {
        for agent in [&mut node.sentinel, &mut node.rebooter].into_iter().flatten() {
            assert!(agent.classified_problem.take().is_some());
        }
        // Of a later version.
        assert!(node.expected_start.take().is_some() && std::mem::take(&mut node.does_not_fit));
        assert!(!std::mem::take(&mut node.probes).is_empty() && node.boot.take().is_some());
    }
    let old = wire::ListNodesResponse::decode(stored("list-nodes-response").body.as_slice()).unwrap();
    assert_eq!(list.nodes, old.nodes);
}

#[test]
fn every_code_of_the_contract_has_its_word_in_the_code_and_no_other_has() {
    let today = pool(&root());
    let words = |kind: &str| -> BTreeSet<String> { values(&today, kind).into_iter().map(|(_, word)| word).collect() };
    for (number, word) in values(&today, "ProblemCode") {
        assert_eq!(ProblemCode::from_wire(number).as_str(), word);
    }
    let known: BTreeSet<String> = ProblemCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(words("ProblemCode"), known);
}

#[cfg(feature = "grpc")]
#[test]
fn every_refusal_of_the_contract_has_its_word_in_the_code_and_no_other_has() {
    use bellwether_proto::RefusalCode;
    let contract: BTreeSet<(i32, String)> = values(&pool(&root()), "RefusalCode").into_iter().collect();
    let code = RefusalCode::ALL.map(|code| (code.to_wire().into(), code.as_str().to_owned()));
    assert_eq!(contract, code.into());
}
