//! The gRPC service: receives requests and sends responses. It decides nothing and knows no core.
//!
//! Requests about the present go to the leading loop; events come from their stream.

use std::net::SocketAddr;

use anyhow::Context as _;
use bellwether_chassis::{Bus, clock};
use bellwether_proto::wire::fleet_service_server::{FleetService, FleetServiceServer};
use bellwether_proto::{CheckDrain, Message as _, NodeEvent, wire};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::api::handle::ApiHandle;
use crate::api::history;
use crate::api::request::{ended_order, history_query, node_name, operator, order, reason};
use crate::bus::event;
use crate::error::Refusal;
use crate::message::Request;
use crate::readings::drain;

/// The service, as gRPC calls it.
struct Service {
    handle: ApiHandle,
    bus: Bus,
}

pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}: choose a free --api-address"))
}

/// Serves until the service has to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    handle: ApiHandle,
    bus: Bus,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let serving = tonic::transport::Server::builder()
        .add_service(FleetServiceServer::new(Service { handle, bus }))
        .serve_with_incoming(incoming);
    // Watches of events never end by themselves, so a stop does not wait for them.
    tokio::select! {
        served = serving => served.context("serve the API"),
        () = stop.cancelled() => Ok(()),
    }
}

#[tonic::async_trait]
impl FleetService for Service {
    async fn list_nodes(
        &self,
        _: tonic::Request<wire::ListNodesRequest>,
    ) -> Result<Response<wire::ListNodesResponse>, Status> {
        Ok(Response::new(self.handle.send(Request::ListNodes).await?))
    }

    async fn explain_node(
        &self,
        request: tonic::Request<wire::ExplainNodeRequest>,
    ) -> Result<Response<wire::ExplainNodeResponse>, Status> {
        let node = node_name(&request.into_inner().node)?;
        let status = self
            .handle
            .send(|reply| Request::ExplainNode(node.clone(), reply))
            .await?;
        let events = event::past(&self.bus, &node).await;
        let events = events.map_err(|error| Refusal::events(&error))?;
        Ok(Response::new(wire::ExplainNodeResponse {
            status: Some(status),
            events: events.iter().map(NodeEvent::to_wire).collect(),
        }))
    }

    type WatchEventsStream = BoxStream<'static, Result<wire::WatchEventsResponse, Status>>;

    async fn watch_events(
        &self,
        request: tonic::Request<wire::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let node = request.into_inner().node;
        let node = (!node.is_empty()).then(|| node_name(&node)).transpose()?;
        let events = event::follow(&self.bus, node.as_ref()).await;
        let events = events.map_err(|error| Refusal::events(&error))?;
        let responses = events.map(|event| match event {
            Ok(event) => Ok(wire::WatchEventsResponse {
                event: Some(event.to_wire()),
            }),
            Err(error) => Err(Refusal::events(&error).into()),
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn pause_fleet(
        &self,
        request: tonic::Request<wire::PauseFleetRequest>,
    ) -> Result<Response<wire::PauseFleetResponse>, Status> {
        let request = request.into_inner();
        let (by, reason) = (operator(request.by)?, reason(request.reason)?);
        let paused = self
            .handle
            .send(|reply| Request::PauseFleet { by, reason, reply })
            .await?;
        Ok(Response::new(paused))
    }

    async fn resume_fleet(
        &self,
        request: tonic::Request<wire::ResumeFleetRequest>,
    ) -> Result<Response<wire::ResumeFleetResponse>, Status> {
        let by = operator(request.into_inner().by)?;
        let resumed = self.handle.send(|reply| Request::ResumeFleet { by, reply }).await?;
        Ok(Response::new(resumed))
    }

    async fn give_order(
        &self,
        request: tonic::Request<wire::GiveOrderRequest>,
    ) -> Result<Response<wire::GiveOrderResponse>, Status> {
        let order = order(request.into_inner(), clock::now())?;
        let given = self.handle.send(|reply| Request::GiveOrder(order, reply)).await?;
        Ok(Response::new(given))
    }

    async fn end_order(
        &self,
        request: tonic::Request<wire::EndOrderRequest>,
    ) -> Result<Response<wire::EndOrderResponse>, Status> {
        let order = ended_order(request.into_inner(), clock::now())?;
        let ended = self.handle.send(|reply| Request::EndOrder(order, reply)).await?;
        Ok(Response::new(ended))
    }

    async fn cancel_attempt(
        &self,
        request: tonic::Request<wire::CancelAttemptRequest>,
    ) -> Result<Response<wire::CancelAttemptResponse>, Status> {
        let request = request.into_inner();
        let node = node_name(&request.node)?;
        let (by, reason) = (operator(request.by)?, reason(request.reason)?);
        let order = |reply| Request::CancelAttempt {
            node,
            by,
            reason,
            reply,
        };
        Ok(Response::new(self.handle.send(order).await?))
    }

    async fn check_node_drain(
        &self,
        request: tonic::Request<wire::CheckNodeDrainRequest>,
    ) -> Result<Response<wire::CheckNodeDrainResponse>, Status> {
        let node = node_name(&request.into_inner().node)?;
        let beside = self
            .handle
            .send(|reply| Request::NodesBeside(node.clone(), reply))
            .await?;
        let question = CheckDrain {
            node,
            asked_at: clock::now(),
            beside,
        };
        let forecast = drain::ask(&self.bus, &question).await;
        let outcome = drain::outcome_of(&forecast);
        let checked = |reply| Request::DrainChecked {
            question,
            outcome,
            reply,
        };
        self.handle.send(checked).await?;
        Ok(Response::new(wire::CheckNodeDrainResponse {
            forecast: Some(forecast.to_wire()),
        }))
    }

    type ReadHistoryStream = BoxStream<'static, Result<wire::ReadHistoryResponse, Status>>;

    async fn read_history(
        &self,
        request: tonic::Request<wire::ReadHistoryRequest>,
    ) -> Result<Response<Self::ReadHistoryStream>, Status> {
        let query = history_query(&request.into_inner())?;
        let read = history::read(self.handle.clone(), &self.bus, query).await?;
        Ok(Response::new(read))
    }
}
