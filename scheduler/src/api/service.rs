//! The fleet for people, over gRPC: questions and orders go to the leading loop, the past comes from the stream.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use bellwether_chassis::{Bus, Watched};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::wire::fleet_service_server::{FleetService, FleetServiceServer};
use bellwether_proto::{Message as _, NodeEvent, NodeName, subject, wire};
use bellwether_scheduler_core::{Fleet, OrderError};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::api::reply::{self, LeaderInfo};
use crate::bus::wire as parse;
use crate::cluster::lease::LEASE;
use crate::message::{LeaderMessage, Reply, Request};

/// How many events of a node's past are told.
const EVENTS_MAX: usize = 100;

/// How long texts of people may be: they end in a record and in every status.
const TEXT_MAX: usize = 500;

/// Where people's letters go: to the leading loop, if this replica leads.
#[derive(Clone)]
pub(crate) struct ApiHandle {
    bus: Bus,
    leader: Arc<Mutex<Option<mpsc::Sender<LeaderMessage>>>>,
}

impl ApiHandle {
    pub(crate) fn new(bus: Bus) -> Self {
        Self {
            bus,
            leader: Arc::default(),
        }
    }

    pub(crate) fn open(&self, messages: mpsc::Sender<LeaderMessage>) {
        *self.leader.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(messages);
    }

    pub(crate) fn close(&self) {
        *self.leader.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    async fn send<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Status> {
        let leader = self
            .leader
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let Some(leader) = leader else {
            return Err(Status::unavailable(format!(
                "not the leader: the Lease {LEASE} names the one who leads"
            )));
        };
        let (reply, replied) = oneshot::channel();
        let lost = || {
            Status::unavailable(
                "the leader is loading its records anew, whether the order was stored is unknown: ask for the status",
            )
        };
        leader
            .send(LeaderMessage::Request(request(reply)))
            .await
            .map_err(|_| lost())?;
        replied.await.map_err(|_| lost())
    }
}

pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}: choose a free --api-address"))
}

pub(crate) async fn serve(listener: TcpListener, api: ApiHandle, stop: CancellationToken) -> anyhow::Result<()> {
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let serving = tonic::transport::Server::builder()
        .add_service(FleetServiceServer::new(api))
        .serve_with_incoming(incoming);
    // Watches never end by themselves, so a stop does not wait for them.
    tokio::select! {
        served = serving => served.context("serve the API"),
        () = stop.cancelled() => Ok(()),
    }
}

/// Lets the core decide on a person's order. What is returned sends the reply.
pub(crate) fn answer(
    fleet: &mut Fleet,
    request: Request,
    info: LeaderInfo,
    now: Timestamp,
) -> Box<dyn FnOnce() + Send> {
    // Who asked may have left; then nobody hears the answer, and nothing else depends on it.
    match request {
        Request::ListNodes(reply) => {
            let list = reply::list(fleet, info, now);
            Box::new(move || drop(reply.send(list)))
        }
        Request::ExplainNode(name, reply) => {
            let found = fleet.standings().find(|(node, _)| node.name == name);
            let status = found.map(|(node, standing)| reply::status(fleet, node, standing, now));
            let status = status.ok_or_else(|| refused(&OrderError::UnknownNode(name)));
            Box::new(move || drop(reply.send(status)))
        }
        Request::PauseFleet { by, reason, reply } => {
            fleet.handle_pause(by, reason, now);
            let running = fleet.attempts().filter(|attempt| !attempt.phase.is_ended());
            let response = wire::PauseFleetResponse {
                nodes_in_progress: running.map(|attempt| attempt.node.to_string()).collect(),
                control: fleet.control().map(bellwether_proto::FleetControl::to_wire),
            };
            Box::new(move || drop(reply.send(Ok(response))))
        }
        Request::ResumeFleet { by, reply } => {
            fleet.handle_resume(by, now);
            let control = fleet.control().map(bellwether_proto::FleetControl::to_wire);
            Box::new(move || drop(reply.send(Ok(wire::ResumeFleetResponse { control }))))
        }
        Request::CancelAttempt {
            node,
            by,
            reason,
            reply,
        } => {
            let outcome = fleet
                .handle_cancel(&node, &by, &reason, now)
                .map_err(|error| refused(&error));
            let response = outcome.map(|message| wire::CancelAttemptResponse {
                attempt: fleet.attempt(&node).map(bellwether_proto::Attempt::to_wire),
                message,
            });
            Box::new(move || drop(reply.send(response)))
        }
    }
}

fn refused(error: &OrderError) -> Status {
    match error {
        OrderError::UnknownNode(_) => Status::not_found(error.to_string()),
        OrderError::NoAttempt(_) | OrderError::TooLate { .. } => Status::failed_precondition(error.to_string()),
    }
}

fn node_name(text: &str) -> Reply<NodeName> {
    text.parse()
        .map_err(|error| Status::invalid_argument(format!("field node: {text:?} {error}")))
}

fn text(field: &str, text: String) -> Reply<String> {
    if text.chars().count() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(Status::invalid_argument(format!(
            "field {field}: one line of at most {TEXT_MAX} characters, please"
        )));
    }
    Ok(text)
}

fn who(by: String) -> Reply<String> {
    if by.is_empty() {
        return Err(Status::invalid_argument("field by: say who orders it"));
    }
    text("by", by)
}

#[tonic::async_trait]
impl FleetService for ApiHandle {
    async fn list_nodes(&self, _: tonic::Request<wire::ListNodesRequest>) -> Reply<Response<wire::ListNodesResponse>> {
        self.send(Request::ListNodes).await.map(Response::new)
    }

    async fn explain_node(
        &self,
        request: tonic::Request<wire::ExplainNodeRequest>,
    ) -> Reply<Response<wire::ExplainNodeResponse>> {
        let node = node_name(&request.into_inner().node)?;
        let status = self.send(|reply| Request::ExplainNode(node.clone(), reply)).await??;
        let events = past(&self.bus, &node)
            .await
            .map_err(|error| Status::unavailable(format!("read the past: {error:#}")))?;
        let events = events.iter().map(NodeEvent::to_wire).collect();
        Ok(Response::new(wire::ExplainNodeResponse {
            status: Some(status),
            events,
        }))
    }

    type WatchEventsStream = BoxStream<'static, Reply<wire::WatchEventsResponse>>;

    async fn watch_events(
        &self,
        request: tonic::Request<wire::WatchEventsRequest>,
    ) -> Reply<Response<Self::WatchEventsStream>> {
        let node = request.into_inner().node;
        let filter = match node.as_str() {
            "" => subject::ALL_EVENTS.to_owned(),
            node => subject::events_of(&node_name(node)?.token()),
        };
        let events = self.bus.follow_new(EVENTS_STREAM.name, filter).await;
        let events = events.map_err(|error| Status::unavailable(format!("watch the events: {error:#}")))?;
        let events = events.filter_map(|watched| {
            std::future::ready(match watched {
                Ok(Watched::Record(record)) => {
                    let event = parse::event(&record).ok().map(|event| event.to_wire());
                    event.map(|event| Ok(wire::WatchEventsResponse { event: Some(event) }))
                }
                Ok(Watched::CaughtUp) => None,
                Err(error) => Some(Err(Status::unavailable(format!("the watch ended: {error:#}")))),
            })
        });
        Ok(Response::new(events.boxed()))
    }

    async fn pause_fleet(
        &self,
        request: tonic::Request<wire::PauseFleetRequest>,
    ) -> Reply<Response<wire::PauseFleetResponse>> {
        let wire::PauseFleetRequest { by, reason } = request.into_inner();
        let (by, reason) = (who(by)?, text("reason", reason)?);
        self.send(|reply| Request::PauseFleet { by, reason, reply })
            .await?
            .map(Response::new)
    }

    async fn resume_fleet(
        &self,
        request: tonic::Request<wire::ResumeFleetRequest>,
    ) -> Reply<Response<wire::ResumeFleetResponse>> {
        let by = who(request.into_inner().by)?;
        self.send(|reply| Request::ResumeFleet { by, reply })
            .await?
            .map(Response::new)
    }

    async fn cancel_attempt(
        &self,
        request: tonic::Request<wire::CancelAttemptRequest>,
    ) -> Reply<Response<wire::CancelAttemptResponse>> {
        let wire::CancelAttemptRequest { node, by, reason } = request.into_inner();
        let (node, by, reason) = (node_name(&node)?, who(by)?, text("reason", reason)?);
        self.send(|reply| Request::CancelAttempt {
            node,
            by,
            reason,
            reply,
        })
        .await?
        .map(Response::new)
    }
}

/// A node's last events, oldest first.
async fn past(bus: &Bus, node: &NodeName) -> anyhow::Result<VecDeque<NodeEvent>> {
    let mut stored = bus
        .follow_all(EVENTS_STREAM.name, subject::events_of(&node.token()))
        .await?;
    let mut events = VecDeque::new();
    while let Some(watched) = stored.next().await {
        let Watched::Record(record) = watched? else { break };
        if let Ok(event) = parse::event(&record) {
            if events.len() == EVENTS_MAX {
                events.pop_front();
            }
            events.push_back(event);
        }
    }
    Ok(events)
}
