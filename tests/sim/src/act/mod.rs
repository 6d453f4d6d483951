//! What each part of the world does. Every file adds methods to [`crate::world::World`]; they call each other by name.

mod agents;
mod api;
mod command;
mod effect;
mod hosts;
mod jobs;
mod lead;
mod load;
mod mishap;
mod operator;
mod quiet;
mod reboot;
