//! The spans of the parts of a drain: written when each is over, below the span of the command.

use bellwether_chassis::traces::{self, FinishedSpan};
use bellwether_drainer_core::plan::passage::{Passage, PassageOf};
use bellwether_proto::{BudgetNumbers, NodeName, attribute, span};

/// The span of this part, if the present span is traced and sampled.
pub(crate) fn write(node: &NodeName, passage: Passage) {
    let Some(parent) = traces::current().filter(|parent| parent.sampled) else {
        return;
    };
    let Passage {
        wave,
        began,
        ended,
        of,
        is_done,
    } = passage;
    let mut attributes = vec![
        (attribute::NODE, node.to_string()),
        (attribute::WAVE, wave.as_str().to_owned()),
    ];
    let name = match of {
        PassageOf::Wave(gone) => {
            attributes.push((attribute::PODS_GONE, gone.to_string()));
            span::DRAIN_WAVE
        }
        PassageOf::Pod {
            namespace,
            name,
            blocker,
            budget,
        } => {
            attributes.push((attribute::NAMESPACE, namespace));
            attributes.push((attribute::POD, name));
            attributes.push((attribute::BLOCKER, blocker.as_str().to_owned()));
            attributes.extend(budget.into_iter().flat_map(numbers));
            span::DRAIN_POD
        }
    };
    FinishedSpan {
        name: name.into(),
        trace_id: parent.trace_id,
        span_id: None,
        parent: Some(parent.span_id),
        start: began,
        end: ended,
        attributes,
        error: (!is_done).then(|| "still there when the drain ended".to_owned()),
    }
    .write();
}

fn numbers(budget: BudgetNumbers) -> [(&'static str, String); 4] {
    [
        (attribute::BUDGET, budget.name),
        (attribute::BUDGET_HEALTHY, budget.healthy.to_string()),
        (attribute::BUDGET_DESIRED, budget.desired.to_string()),
        (attribute::BUDGET_EXPECTED, budget.expected.to_string()),
    ]
}
