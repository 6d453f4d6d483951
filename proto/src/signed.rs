//! Which messages are signed where they are stored, as types: no reader decodes a signed one without keys.

use crate::attempt::Attempt;
use crate::check::{CheckDrain, DrainForecast};
use crate::command::{DrainNode, TaintNode, UncordonNode};
use crate::event::NodeEvent;
use crate::fleet::FleetControl;
use crate::fleet_event::FleetEvent;
use crate::host::{HostReport, RebooterReport};
use crate::message::Message;
use crate::order_event::OrderChanged;

/// A message whose record is signed. Readers take it only with the keys that verify it.
pub trait Signed: Message {}

/// A message that carries no signature: what permits it is its subject, in the rights of its writer.
pub trait Unsigned: Message {}

impl Signed for Attempt {}
impl Signed for FleetControl {}
impl Unsigned for HostReport {}
impl Unsigned for RebooterReport {}
impl Unsigned for DrainNode {}
impl Unsigned for UncordonNode {}
impl Unsigned for TaintNode {}
impl Unsigned for CheckDrain {}
impl Unsigned for DrainForecast {}
impl Unsigned for NodeEvent {}
impl Unsigned for FleetEvent {}
impl Unsigned for OrderChanged {}
