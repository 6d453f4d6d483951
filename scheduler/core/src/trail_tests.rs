//! Stories of chains whose events wait, are published, and leave with their nodes.

use bellwether_proto::{AttemptId, Fact, Generation, NodeEvent, Phase};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::Node(node(name))
}

fn event(name: &str, second: i64) -> NodeEvent {
    NodeEvent {
        node: node(name),
        attempt: AttemptId::new(&"u".parse().unwrap(), Generation(1), at(0)),
        generation: Generation(1),
        at: at(second),
        source: "scheduler".to_owned(),
        fact: Fact::PhaseChanged {
            from: None,
            to: Phase::Draining,
            message: String::new(),
            link: None,
            cause: None,
            detail: None,
        },
    }
}

/// Stores an event of this node; its hash.
fn store(trail: &mut Trail, name: &str, second: i64) -> EventHash {
    let chain = trail.enter(owner(name), at(second), Some(event(name, second)));
    drop(trail.stored());
    chain.unwrap().hash
}

fn due(trail: &mut Trail) -> Option<(String, usize)> {
    due_at(trail, 100)
}

fn due_at(trail: &mut Trail, second: i64) -> Option<(String, usize)> {
    let Due { owner, chain, .. } = trail.next_due(at(second))?;
    let name = match owner {
        Owner::Fleet => "orders".to_owned(),
        Owner::Node(node) => node.to_string(),
    };
    Some((name, chain.unpublished.len()))
}

fn publish(trail: &mut Trail, name: &str, sequence: u64, hash: EventHash) {
    trail.published(&owner(name), Some(Newest { sequence, hash }), hash);
}

#[test]
fn an_event_is_due_only_once_its_record_is_stored() {
    let mut trail = Trail::default();
    let chain = trail.enter(owner("a"), at(1), Some(event("a", 1))).unwrap();
    assert_eq!((chain.sequence, due(&mut trail)), (1, None));
    assert_eq!(trail.stored(), None);
    assert_eq!(due(&mut trail), Some(("a".to_owned(), 1)));
    // A record that is stored without an event has the chain all the same.
    assert_eq!(trail.enter::<NodeEvent>(owner("a"), at(1), None), Some(chain));
    assert_eq!(trail.stored(), None);
    assert_eq!(due(&mut trail), Some(("a".to_owned(), 1)));
}

#[test]
fn an_event_that_is_published_while_the_next_one_is_stored_does_not_wait_again() {
    let mut trail = Trail::default();
    let first = store(&mut trail, "a", 1);
    let second = trail.enter(owner("a"), at(2), Some(event("a", 2))).unwrap();
    assert_eq!(second.unpublished.len(), 2, "the record has both");
    publish(&mut trail, "a", 7, first);
    assert_eq!(due(&mut trail), None);
    assert_eq!(trail.stored(), None);
    let due = trail.next_due(at(100)).unwrap();
    assert_eq!(due.chain.unpublished, second.unpublished[1..]);
    assert_eq!(
        due.newest,
        Some(Newest {
            sequence: 7,
            hash: first
        })
    );
}

#[test]
fn a_chain_whose_event_is_not_taken_waits_alone_and_for_its_own_time() {
    let mut trail = Trail::default();
    for name in ["a", "b", "c"] {
        store(&mut trail, name, 1);
    }
    let turn = |trail: &mut Trail, second| due_at(trail, second).map(|(name, _)| name);
    assert_eq!(turn(&mut trail, 100).as_deref(), Some("a"));
    assert_eq!(trail.next_retry(), None);
    trail.failed(&owner("a"), Some(at(110)));
    let turns: Vec<_> = (0..4).filter_map(|_| turn(&mut trail, 109)).collect();
    assert_eq!(
        (turns, trail.next_retry()),
        (["b", "c", "b", "c"].map(str::to_owned).to_vec(), Some(at(110)))
    );
    assert_eq!(turn(&mut trail, 110).as_deref(), Some("a"));
    trail.failed(&owner("a"), Some(at(130)));
    // Neither a new event of this chain nor one of another chain shortens its wait.
    let last = store(&mut trail, "a", 2);
    for name in ["b", "c"] {
        let hash = trail.chains[&owner(name)].chain.hash;
        publish(&mut trail, name, 7, hash);
    }
    assert_eq!((turn(&mut trail, 129), trail.failures(&owner("a"))), (None, 2));
    assert_eq!(turn(&mut trail, 130).as_deref(), Some("a"));
    publish(&mut trail, "a", 9, last);
    assert_eq!((trail.failures(&owner("a")), trail.next_retry()), (0, None));
}

/// A chain of three events whose record had no room for the newest.
fn without_room_for_the_newest() -> (StoredChain, EventHash) {
    let mut before = Trail::default();
    store(&mut before, "a", 1);
    store(&mut before, "a", 2);
    store(&mut before, "a", 3);
    let mut chain = before.chains[&owner("a")].chain.clone();
    chain.unpublished.pop();
    let newest = chain.newest_unpublished().unwrap();
    let (owner, at) = (owner("a"), at(3));
    (StoredChain { owner, chain, at }, newest)
}

#[test]
fn a_chain_whose_newest_event_had_no_room_is_due_no_more_once_the_stream_has_all_others() {
    let (stored, newest) = without_room_for_the_newest();
    let head = stored.chain.hash;
    let mut trail = Trail::new(vec![stored]);
    let due = trail.next_due(at(100)).unwrap();
    assert!(due.chain.lacking::<NodeEvent>(Some(newest)).bodies.is_empty());
    let found = Some(Newest {
        sequence: 7,
        hash: newest,
    });
    trail.published(&due.owner, found, head);
    assert!(!trail.has_progressed(&due), "a repetition would do the same again");
    trail.complete(&due, found);
    assert!(trail.has_progressed(&due));
    assert_eq!(trail.next_due(at(100)), None);
}

#[test]
fn what_is_older_than_an_event_that_had_no_room_is_not_published_after_it() {
    let (stored, _) = without_room_for_the_newest();
    let hash = stored.chain.hash;
    assert!(stored.chain.lacking::<NodeEvent>(Some(hash)).bodies.is_empty());
    let subject = stored.owner.subject();
    let mut trail = Trail::new(vec![stored]);
    trail.settle(None, &BTreeMap::from([(subject, Newest { sequence: 7, hash })]));
    assert_eq!(trail.next_due(at(100)), None);
}

#[test]
fn an_event_that_is_stored_while_others_are_published_still_waits() {
    let mut trail = Trail::default();
    let first = store(&mut trail, "a", 1);
    let due = trail.next_due(at(100)).unwrap();
    store(&mut trail, "a", 2);
    trail.complete(
        &due,
        Some(Newest {
            sequence: 7,
            hash: first,
        }),
    );
    assert!(trail.has_progressed(&due));
    assert_eq!(due_at(&mut trail, 100), Some(("a".to_owned(), 1)));
}

#[test]
fn after_a_failure_the_stream_is_looked_at_again() {
    let mut trail = Trail::default();
    let first = store(&mut trail, "a", 1);
    publish(&mut trail, "a", 7, first);
    store(&mut trail, "a", 2);
    assert!(trail.next_due(at(100)).unwrap().newest.is_some());
    trail.failed(&owner("a"), None);
    assert_eq!(
        (trail.next_due(at(100)).unwrap().newest, trail.failures(&owner("a"))),
        (None, 0)
    );
}

#[test]
fn one_look_settles_the_chains_whose_events_the_stream_has_or_would_have_lost_by_now() {
    let mut before = Trail::default();
    let mut stored = Vec::new();
    for (name, second) in [("has", 50), ("lacks", 50), ("old", 10), ("other", 50)] {
        let chain = before.enter(owner(name), at(second), Some(event(name, second)));
        stored.push(StoredChain {
            owner: owner(name),
            chain: chain.unwrap(),
            at: at(second),
        });
    }
    let hash = |index: usize| stored[index].chain.hash;
    let newest = |hash| Newest { sequence: 3, hash };
    let found = BTreeMap::from([
        (owner("has").subject(), newest(hash(0))),
        (owner("other").subject(), newest(EventHash::of(b"of another chain"))),
    ]);
    let mut trail = Trail::new(stored.clone());
    trail.settle(Some(at(20)), &found);
    let mut left = Vec::new();
    for _ in 0..2 {
        left.extend(due(&mut trail).map(|(name, _)| name));
    }
    assert_eq!(
        (left, trail.waiting.len()),
        (vec!["lacks".to_owned(), "other".to_owned()], 2)
    );
    // A stream without a limit of time has lost nothing.
    let mut trail = Trail::new(stored.clone());
    trail.settle(None, &found);
    assert!(trail.waiting.contains(&owner("old")));
}

#[test]
fn what_left_a_stream_before_its_first_message_does_not_wait_and_an_empty_stream_shows_nothing() {
    let age = Some(Duration::from_secs(5_000));
    for (max_age, kept_since, expected) in [
        (None, None, None),
        (age, None, Some(at(95_000))),
        // An hour before the first message, for the clocks may differ.
        (None, Some(at(90_000)), Some(at(86_400))),
        (age, Some(at(90_000)), Some(at(95_000))),
        (age, Some(at(99_000)), Some(at(95_400))),
        // Purged, and empty: what waits then was not in it.
        (None, Some(Timestamp::MAX), None),
        (age, Some(Timestamp::MAX), Some(at(95_000))),
    ] {
        assert_eq!(
            oldest_kept(at(100_000), max_age, kept_since),
            expected,
            "{max_age:?} {kept_since:?}"
        );
    }
}

#[test]
fn an_event_that_is_given_up_for_a_newer_one_is_named_by_its_number() {
    let mut trail = Trail::default();
    for second in 1..=8 {
        store(&mut trail, "a", second);
    }
    let given_up = |trail: &mut Trail, second| {
        drop(trail.enter(owner("a"), at(second), Some(event("a", second))));
        trail.stored()
    };
    let of = |sequence| {
        Some(GivenUp {
            owner: owner("a"),
            sequence,
        })
    };
    assert_eq!(given_up(&mut trail, 9), of(1));
    assert_eq!(given_up(&mut trail, 10), of(2));
    let hash = trail.chains[&owner("a")].chain.hash;
    publish(&mut trail, "a", 7, hash);
    assert_eq!(given_up(&mut trail, 11), None);
}

#[test]
fn a_record_with_an_event_that_waits_is_deleted_once_the_stream_has_the_event() {
    let mut trail = Trail::default();
    let last = store(&mut trail, "a", 1);
    assert!(!trail.leave(&node("a")));
    assert_eq!(trail.next_to_leave(), None);
    publish(&mut trail, "a", 7, last);
    assert_eq!(trail.next_to_leave(), Some(node("a")));
    assert_eq!(trail.next_to_leave(), None);
    // The next chain begins again.
    let next = trail.enter(owner("a"), at(2), Some(event("a", 2))).unwrap();
    assert_eq!(next.sequence, 1);
    assert_eq!(trail.stored(), None);
    publish(&mut trail, "a", 8, next.hash);
    assert!(trail.leave(&node("a")));
    assert_eq!(trail.heads(None).count(), 0);
}

#[test]
fn a_record_that_is_written_again_meanwhile_is_not_deleted() {
    let mut trail = Trail::default();
    store(&mut trail, "a", 1);
    assert!(!trail.leave(&node("a")));
    // A new Node of this name has begun an attempt: the chain continues.
    let last = store(&mut trail, "a", 2);
    publish(&mut trail, "a", 7, last);
    assert_eq!(trail.next_to_leave(), None);
    let heads: Vec<_> = trail
        .heads(Some(at(2)))
        .map(|head| (head.chain.sequence, head.has_left))
        .collect();
    assert_eq!(heads, [(2, false)]);
    assert!(trail.heads(Some(at(3))).all(|head| head.has_left));
}
