//! Requests for the pods of a node.

use bellwether_drainer_core::{ApiFault, PodView};
use bellwether_proto::NodeName;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, ObjectList};
use kube::{Api, Client};

use super::request::call;

/// Pods of one page: more than a node has by default, so that one request is the rule.
const PAGE: u32 = 500;
/// Pages of one list: ten times as many pods as any kubelet runs. An API server that never ends a list has no answer.
const PAGES_MAX: u32 = 20;

/// The field selector of a node's pods.
pub(super) fn on_node(node: &NodeName) -> String {
    format!("spec.nodeName={node}")
}

/// Lists the pods of the node with a consistent read.
pub(crate) async fn list(client: Client, node: &NodeName) -> Result<Vec<PodView>, ApiFault> {
    let pods: Api<Pod> = Api::all(client);
    // Without a resource version the API server reads the first page from a quorum, and the others at its revision.
    let first = ListParams::default().fields(&on_node(node)).limit(PAGE);
    let page = |params| {
        let pods = pods.clone();
        async move { call(pods.list(&params)).await }
    };
    all_pages(first, page).await
}

/// The pods of all pages, which `list` gets one by one.
async fn all_pages<F>(first: ListParams, mut list: impl FnMut(ListParams) -> F) -> Result<Vec<PodView>, ApiFault>
where
    F: Future<Output = Result<ObjectList<Pod>, ApiFault>>,
{
    let mut params = first;
    let mut views = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = list(params.clone()).await?;
        views.extend(page.items.iter().filter_map(PodView::of));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            None => return Ok(views),
            Some(token) => params = params.continue_token(&token),
        }
    }
    let pods_max = PAGE.saturating_mul(PAGES_MAX);
    Err(ApiFault::Unavailable(format!(
        "the list of the node's pods does not end after {pods_max} pods"
    )))
}

/// Lists the pods of the node as the API server's cache has them, which may be a moment behind: costs no read of etcd.
pub(crate) async fn list_cached(client: Client, node: &NodeName) -> Result<Vec<PodView>, ApiFault> {
    let pods: Api<Pod> = Api::all(client);
    let params = ListParams::default().match_any().fields(&on_node(node));
    let list = call(pods.list(&params)).await?;
    Ok(list.items.iter().filter_map(PodView::of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use serde_json::json;
    use std::future::ready;

    #[test]
    fn a_list_has_the_pods_of_all_its_pages_each_asked_for_by_the_token_of_the_one_before() {
        let mut asked = Vec::new();
        let first = ListParams::default().fields("spec.nodeName=n1").limit(PAGE);
        let pods = all_pages(first, |params: ListParams| {
            let token = params.continue_token.clone();
            asked.push((params.field_selector, params.limit, token.clone()));
            ready(Ok(match token.as_deref() {
                None => page(&["a", "b"], Some("two")),
                Some("two") => page(&["c"], Some("three")),
                // As some API servers end a list.
                Some(_) => page(&["d"], Some("")),
            }))
        });
        let pods = pods.now_or_never().unwrap().unwrap();
        let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        let page = |token: Option<&str>| (Some("spec.nodeName=n1".to_owned()), Some(500), token.map(str::to_owned));
        assert_eq!(asked, [page(None), page(Some("two")), page(Some("three"))]);
    }

    #[test]
    fn a_page_that_fails_fails_the_list_and_one_without_an_end_is_no_list() {
        let gone = ApiFault::Unavailable("the token is too old".to_owned());
        let half = all_pages(ListParams::default(), |params: ListParams| {
            ready(match params.continue_token {
                None => Ok(page(&["a"], Some("two"))),
                Some(_) => Err(gone.clone()),
            })
        });
        assert_eq!(
            half.now_or_never().unwrap(),
            Err(gone.clone()),
            "half of the pods are no answer"
        );
        let mut pages = 0;
        let endless = all_pages(ListParams::default(), |_| {
            pages += 1;
            ready(Ok(page(&["a"], Some("more"))))
        });
        let fault = endless.now_or_never().unwrap().unwrap_err().to_string();
        assert!(fault.contains("does not end after 10000 pods"), "{fault}");
        assert_eq!(pages, PAGES_MAX);
    }

    fn page(names: &[&str], token: Option<&str>) -> ObjectList<Pod> {
        let pod = |name: &&str| {
            json!({
                "metadata": { "name": name, "namespace": "shop", "uid": name },
                "spec": { "nodeName": "n1", "containers": [] },
            })
        };
        let pods: Vec<_> = names.iter().map(pod).collect();
        let list = json!({
            "apiVersion": "v1", "kind": "PodList",
            "metadata": { "resourceVersion": "1", "continue": token },
            "items": pods,
        });
        serde_json::from_value(list).unwrap()
    }
}
