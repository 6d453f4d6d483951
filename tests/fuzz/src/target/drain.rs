//! A list of Pod, PodDisruptionBudget and Namespace objects as JSON: what a drainer makes of them, and its forecast.

use bellwether_drainer_core::budget::{BudgetView, Budgets};
use bellwether_drainer_core::check::{Known, forecast};
use bellwether_drainer_core::namespace::{NamespaceOwners, NamespaceView};
use bellwether_drainer_core::{DaemonSetKinds, NodePod, PodView};
use bellwether_proto::{CheckDrain, DrainForecast, decode_body, encode};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::Value;

use crate::judge;

/// The node of the pods.
const NODE: &str = "n1";

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(objects) = serde_json::from_slice::<Vec<Value>>(bytes) else {
        return false;
    };
    let kinds = DaemonSetKinds::default();
    let (mut pods, mut budgets) = (Vec::new(), Budgets::default());
    let mut owners = NamespaceOwners::default();
    for object in objects {
        if object["kind"] == "PodDisruptionBudget" {
            let budget = serde_json::from_value::<PodDisruptionBudget>(object).ok();
            if let Some(view) = budget.as_ref().and_then(BudgetView::of) {
                budgets.insert(view);
            }
        } else if object["kind"] == "Namespace" {
            let namespace = serde_json::from_value::<Namespace>(object).ok();
            if let Some(view) = namespace.as_ref().and_then(NamespaceView::of) {
                owners.insert(view);
            }
        } else if let Ok(pod) = serde_json::from_value::<Pod>(object) {
            let view = PodView::of(&pod);
            pods.extend(view.and_then(|view| NodePod::on_node(&view, NODE, &kinds)));
        }
    }
    let question = CheckDrain {
        node: NODE.parse().expect("a name"),
        asked_at: Timestamp::UNIX_EPOCH,
        beside: Vec::new(),
    };
    let known = Known {
        budgets: &budgets,
        volumes: None,
        owners: &owners,
    };
    let forecast = forecast(&question, "drainer", &pods, &[], known);
    let staying = u64::from(forecast.pods_to_go) + u64::from(forecast.pods_staying);
    assert_eq!(usize::try_from(staying).ok(), Some(pods.len()), "a pod is lost");
    let sent: DrainForecast = decode_body(&encode(&forecast).payload).expect("a forecast is read by the scheduler");
    assert_eq!(sent.verdict, forecast.verdict);
    assert_eq!(
        sent.by_owner().keys().len(),
        forecast.by_owner().keys().len(),
        "an owner is lost"
    );
    judge::kept(&sent);
    !pods.is_empty()
}
