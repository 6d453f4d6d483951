//! Schedulers for tests: the service without a fleet behind it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bellwether_proto::wire::fleet_service_server::{FleetService, FleetServiceServer};
use bellwether_proto::wire::read_history_response::Part;
use bellwether_proto::wire::{self, node_event::Fact};
use futures_util::Stream;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A scheduler with one node, or a standby.
struct Fake {
    leads: Arc<AtomicBool>,
}

impl Fake {
    fn lead(&self) -> Result<(), Status> {
        if self.leads.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(Status::unavailable("not the leader: scheduler-0 leads"))
        }
    }
}

#[tonic::async_trait]
impl FleetService for Fake {
    async fn list_nodes(
        &self,
        _: Request<wire::ListNodesRequest>,
    ) -> Result<Response<wire::ListNodesResponse>, Status> {
        self.lead()?;
        Ok(Response::new(wire::ListNodesResponse {
            nodes: vec![worker()],
            slots_total: 1,
            ..Default::default()
        }))
    }

    async fn explain_node(
        &self,
        request: Request<wire::ExplainNodeRequest>,
    ) -> Result<Response<wire::ExplainNodeResponse>, Status> {
        self.lead()?;
        if request.into_inner().node != worker().node {
            return Err(Status::not_found("no such node"));
        }
        Ok(Response::new(wire::ExplainNodeResponse {
            status: Some(worker()),
            events: vec![event()],
        }))
    }

    type WatchEventsStream = Pin<Box<dyn Stream<Item = Result<wire::WatchEventsResponse, Status>> + Send>>;

    /// One event, then the stream ends, as when the scheduler is replaced.
    async fn watch_events(
        &self,
        _: Request<wire::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        self.lead()?;
        let item = Ok(wire::WatchEventsResponse { event: Some(event()) });
        Ok(Response::new(Box::pin(tokio_stream::once(item))))
    }

    async fn pause_fleet(
        &self,
        request: Request<wire::PauseFleetRequest>,
    ) -> Result<Response<wire::PauseFleetResponse>, Status> {
        self.lead()?;
        let wire::PauseFleetRequest { by, reason } = request.into_inner();
        let control = Some(wire::FleetControl {
            paused: true,
            by,
            reason,
            since: None,
            orders: Vec::new(),
            event_chain: None,
        });
        Ok(Response::new(wire::PauseFleetResponse {
            control,
            nodes_in_progress: vec!["worker-9".to_owned()],
        }))
    }

    async fn resume_fleet(
        &self,
        _: Request<wire::ResumeFleetRequest>,
    ) -> Result<Response<wire::ResumeFleetResponse>, Status> {
        self.lead()?;
        Ok(Response::new(wire::ResumeFleetResponse { control: None }))
    }

    async fn give_order(
        &self,
        request: Request<wire::GiveOrderRequest>,
    ) -> Result<Response<wire::GiveOrderResponse>, Status> {
        self.lead()?;
        let request = request.into_inner();
        let order = wire::FleetOrder {
            kind: request.kind,
            scope: request.scope,
            subject: request.subject,
            by: request.by,
            reason: request.reason,
            ..Default::default()
        };
        let message = request.lasts.map_or_else(
            || "it lasts".to_owned(),
            |lasts| format!("it lasts {} seconds", lasts.seconds),
        );
        Ok(Response::new(wire::GiveOrderResponse {
            control: Some(wire::FleetControl {
                orders: vec![order],
                ..Default::default()
            }),
            message,
        }))
    }

    /// The names of the nodes state their orders; of others there are none.
    async fn end_order(
        &self,
        request: Request<wire::EndOrderRequest>,
    ) -> Result<Response<wire::EndOrderResponse>, Status> {
        self.lead()?;
        let request = request.into_inner();
        let is_hold = request.kind == i32::from(wire::OrderKind::Block);
        let ended = |message: &str| {
            Ok(Response::new(wire::EndOrderResponse {
                control: None,
                message: message.to_owned(),
            }))
        };
        match (request.subject.as_str(), is_hold) {
            ("held" | "annotated" | "older", true) => ended("and its annotation stands"),
            ("skipped", false) => ended(""),
            ("annotated", false) => Err(Status::failed_precondition("remove the annotation")),
            ("older", false) => Err(Status::invalid_argument("kind is none that this scheduler knows")),
            _ => Err(Status::not_found("there is no such order")),
        }
    }

    async fn cancel_attempt(
        &self,
        _: Request<wire::CancelAttemptRequest>,
    ) -> Result<Response<wire::CancelAttemptResponse>, Status> {
        self.lead()?;
        Err(Status::failed_precondition("nothing to cancel"))
    }

    /// The one node there is cannot be drained.
    async fn check_node_drain(
        &self,
        request: Request<wire::CheckNodeDrainRequest>,
    ) -> Result<Response<wire::CheckNodeDrainResponse>, Status> {
        self.lead()?;
        let node = request.into_inner().node;
        if node != worker().node {
            return Err(Status::not_found("no such node"));
        }
        let finding = wire::DrainFinding {
            kind: wire::DrainFindingKind::BudgetNeverAllows.into(),
            object: "PodDisruptionBudget shop/web".to_owned(),
            sentence: "PodDisruptionBudget shop/web never allows an eviction".to_owned(),
            namespace_owners: Vec::new(),
        };
        Ok(Response::new(wire::CheckNodeDrainResponse {
            forecast: Some(wire::DrainForecast {
                node,
                verdict: wire::DrainVerdict::Cannot.into(),
                findings: vec![finding],
                ..Default::default()
            }),
        }))
    }

    type ReadHistoryStream = Pin<Box<dyn Stream<Item = Result<wire::ReadHistoryResponse, Status>> + Send>>;

    /// A record names an event that the stream does not have. The history of `paged` has two pages; that of `old` is too long for
    /// a scheduler of a version before the pages.
    async fn read_history(
        &self,
        request: Request<wire::ReadHistoryRequest>,
    ) -> Result<Response<Self::ReadHistoryStream>, Status> {
        self.lead()?;
        let request = request.into_inner();
        let cut = |place| Part::Cut(wire::HistoryCut { place });
        let pages = match (request.node.as_str(), request.after_place) {
            ("paged", 0) => Some(vec![order(5), cut(5)]),
            ("paged", 5) => Some(vec![order(9)]),
            ("old", _) => Some(vec![order(5), cut(0)]),
            _ => None,
        };
        if let Some(parts) = pages {
            let parts = parts
                .into_iter()
                .map(|part| Ok(wire::ReadHistoryResponse { part: Some(part) }));
            return Ok(Response::new(Box::pin(tokio_stream::iter(parts))));
        }
        let head = wire::HistoryHead {
            node: worker().node,
            sequence: 7,
            hash: vec![7; 32],
            unpublished: Vec::new(),
            has_left: false,
        };
        let parts = [Part::Before(head.clone()), Part::After(head)];
        let parts = parts.map(|part| Ok(wire::ReadHistoryResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }
}

/// A skip of the node `paged`.
fn order(place: u64) -> Part {
    let at = jiff::Timestamp::from_second(60).unwrap();
    let given = bellwether_proto::FleetOrder {
        kind: bellwether_proto::OrderKind::Skip,
        scope: bellwether_proto::OrderScope::Node("paged".parse().unwrap()),
        by: "anna".to_owned(),
        reason: String::new(),
        since: at,
        until: None,
    };
    let event = bellwether_proto::OrderChanged {
        at,
        source: "scheduler 0.1.0".to_owned(),
        link: None,
        change: bellwether_proto::OrderChange::Given,
        by: "anna".to_owned(),
        reason: place.to_string(),
        given: Some(given),
        ended: Vec::new(),
        node: None,
    };
    Part::Event(wire::HistoryEvent {
        node: String::new(),
        place,
        stored_at: None,
        body: bellwether_proto::encode(&event).payload,
    })
}

fn worker() -> wire::NodeStatus {
    wire::NodeStatus {
        node: "worker-1".to_owned(),
        state: wire::NodeState::Idle.into(),
        ready: true,
        kernel_running: "6.1".to_owned(),
        ..Default::default()
    }
}

fn event() -> wire::NodeEvent {
    let fact = Fact::Cordoned(wire::NodeCordoned {});
    wire::NodeEvent {
        node: "worker-1".to_owned(),
        fact: Some(fact),
        ..Default::default()
    }
}

/// Schedulers; they end with the test.
#[derive(Default)]
pub(crate) struct Schedulers {
    leads: Vec<Arc<AtomicBool>>,
    tasks: JoinSet<Result<(), tonic::transport::Error>>,
}

impl Schedulers {
    /// Where a leader listens, and what keeps it running.
    pub(crate) async fn leader() -> (String, Self) {
        let mut all = Self::default();
        let address = all.start(true).await;
        (address.to_string(), all)
    }

    /// Starts one and returns where it listens.
    pub(crate) async fn start(&mut self, leads: bool) -> SocketAddr {
        let leads = Arc::new(AtomicBool::new(leads));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = FleetServiceServer::new(Fake {
            leads: Arc::clone(&leads),
        });
        let server = tonic::transport::Server::builder().add_service(service);
        self.tasks
            .spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        self.leads.push(leads);
        address
    }

    /// Lets all of them lead, or stand by.
    pub(crate) fn lead(&self, leads: bool) {
        for one in &self.leads {
            one.store(leads, Ordering::Relaxed);
        }
    }
}
