//! The spans of the parts of a drain: written when each is over, below the span of the phase, since that of the command is
//! lost with a drainer that dies.

use bellwether_chassis::traces::{AttributeValue, FinishedSpan};
use bellwether_drainer_core::plan::passage::{Passage, PassageOf};
use bellwether_proto::{BudgetNumbers, NodeName, TraceParent, attribute, span};

/// The span of this part, unless the attempt is not sampled.
pub(crate) fn write(parent: TraceParent, node: &NodeName, passage: Passage) {
    if !parent.sampled {
        return;
    }
    let Passage {
        wave,
        began,
        ended,
        of,
        is_done,
    } = passage;
    let mut attributes = vec![
        (attribute::NODE, node.to_string().into()),
        (attribute::WAVE, wave.as_str().into()),
    ];
    let name = match of {
        PassageOf::Wave(gone) => {
            attributes.push((attribute::PODS_GONE, i64::from(gone).into()));
            span::DRAIN_WAVE
        }
        PassageOf::Pod {
            namespace,
            name,
            blocker,
            budget,
        } => {
            attributes.push((attribute::NAMESPACE, namespace.into()));
            attributes.push((attribute::POD, name.into()));
            attributes.push((attribute::BLOCKER, blocker.as_str().into()));
            attributes.extend(budget.into_iter().flat_map(numbers));
            span::DRAIN_POD
        }
    };
    FinishedSpan {
        name: name.into(),
        trace_id: parent.trace_id,
        span_id: None,
        parent: Some(parent.span_id),
        is_parent_remote: true,
        start: began,
        end: ended,
        attributes,
        events: Vec::new(),
        links: Vec::new(),
        error: (!is_done).then(|| "still there when the drain ended".to_owned()),
    }
    .write();
}

fn numbers(budget: BudgetNumbers) -> [(&'static str, AttributeValue); 4] {
    let BudgetNumbers {
        name,
        healthy,
        desired,
        expected,
        ..
    } = budget;
    [
        (attribute::BUDGET, name.into()),
        (attribute::BUDGET_HEALTHY, i64::from(healthy).into()),
        (attribute::BUDGET_DESIRED, i64::from(desired).into()),
        (attribute::BUDGET_EXPECTED, i64::from(expected).into()),
    ]
}
