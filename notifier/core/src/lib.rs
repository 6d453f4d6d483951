//! The deciding core of the notifier: pure, no clock, no input or output.
//!
//! ```text
//! notification.rs  a message to users: kind, severity, texts, and the key by which it is sent once
//! news.rs          which events are worth a message
//! named.rs         attempts that a scheduler has named, and how they stand
//! blocked.rs       drains that something has kept waiting for minutes
//! queues.rs        policies whose nodes are held, or do not fit into an opening
//! rollout.rs       attempts that belong together: one thread or one digest
//! desk.rs          events in, messages for targets out; what is kept over a restart
//! office.rs        desk and outboxes, which change in one step
//! outbox.rs        the messages of one target: order, pace, tries, and when to give up
//! answer.rs        what a target's answer means
//! config.rs        the file with targets and routes, as users write it
//! settings.rs      the same, checked
//! secret.rs        names of files with secrets
//! parse.rs         from the one to the other
//! mail.rs          the way of e-mails
//! shoutrrr.rs      the URLs by which kured names its targets
//! mail_url.rs      the URL by which kured names a mail server
//! url.rs           addresses of targets, which never show more than their host
//! template.rs      bodies of webhooks, with checked fields
//! form.rs          the request by which each kind of target takes a message
//! rehearsal.rs     a course of events by which operators see what each target gets
//! shown.rs         a message for reading
//! text.rs          the length of texts
//! ```
//!
//! No text that it makes for a log, a metric or a message holds a secret: it never has one.

pub mod answer;
mod blocked;
pub mod config;
pub mod desk;
#[cfg(test)]
mod desk_tests;
pub mod form;
#[cfg(test)]
mod form_tests;
pub mod mail;
pub mod mail_url;
mod named;
mod news;
pub mod notification;
pub mod office;
#[cfg(test)]
mod office_tests;
pub mod outbox;
#[cfg(test)]
mod outbox_tests;
#[cfg(test)]
mod owners_tests;
mod parse;
#[cfg(test)]
mod parse_tests;
mod queues;
#[cfg(test)]
mod queues_tests;
pub mod rehearsal;
pub mod rollout;
mod secret;
pub mod settings;
pub mod shoutrrr;
mod shown;
pub mod template;
mod text;
pub mod url;

pub use answer::{Answer, Fault};
pub use desk::State;
pub use form::{Draft, Letter, Post};
pub use mail::{Email, Mailing};
pub use notification::{Kind, Notification, Severity};
pub use office::{Office, Placed};
pub use outbox::{Ended, Next, Settled};
pub use rollout::RolloutId;
pub use settings::{ConfigError, Form, Secret, Settings, Style, Target};
pub use shown::shown;
pub use url::Url;
