//! The messages of one target, one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_chassis::clock;
use bellwether_notifier_core::{Answer, Draft, Ended, Fault, Next, Notification, Settled, Target, form};

use crate::error::SendError;
use crate::http;
use crate::inbox::Notifier;
use crate::post::Post;
use crate::{secret, smtp};

/// Sends the messages of the target at this place until the service stops. A message that is under way at the stop is
/// waited for, since its target may have taken it.
pub(crate) async fn serve(notifier: Arc<Notifier>, place: usize) -> anyhow::Result<()> {
    let stop = notifier.chassis.stop.clone();
    let (Some(target), Some(post)) = (notifier.settings.targets.get(place), notifier.posts.get(place)) else {
        return Ok(());
    };
    let mut reported = BTreeMap::new();
    while !stop.is_cancelled() {
        let (next, aged) = notifier.office().next(place, clock::now());
        if !aged.is_empty() {
            end(&notifier, (place, target, post), aged).await;
        }
        match next {
            Next::Idle => tokio::select! {
                () = post.changed() => (),
                () = stop.cancelled() => (),
            },
            Next::Wait(until) => {
                notifier.chassis.sleep(clock::until(until)).await;
            }
            Next::Send {
                notification,
                recipient,
            } => {
                let resolved = secret::resolved(target).await;
                let recipients = resolved.as_ref().map(|it| it.recipients());
                // The message may have another recipient before it than the one that the office named.
                if recipients.is_ok_and(|it| notifier.office().set_recipients(place, it)) {
                    continue;
                }
                let answer = match &resolved {
                    Ok(target) => try_once(&notifier, (place, target), &notification, recipient).await,
                    Err(error) => failed(error),
                };
                let resolved = resolved.as_deref().unwrap_or(target);
                report(&notifier, (resolved, recipient), &answer, &mut reported);
                let settled = notifier
                    .office()
                    .handle_answer(place, &notification, &answer.0, clock::now());
                end(&notifier, (place, target, post), settled).await;
            }
        }
    }
    Ok(())
}

/// The answer to a message, and what was found if there is none.
async fn try_once(
    notifier: &Notifier,
    (place, target): (usize, &Target),
    notification: &Notification,
    recipient: usize,
) -> (Answer, Option<String>) {
    let thread = notifier.office().thread(place, notification).map(str::to_owned);
    let draft = form::draft(target, notification, thread.as_deref());
    send_once(target, draft, thread.is_some(), recipient).await
}

/// The answer of a target ([`secret::resolved`]) to one message, and what was found.
pub(crate) async fn send_once(
    target: &Target,
    draft: Draft,
    in_thread: bool,
    recipient: usize,
) -> (Answer, Option<String>) {
    let post = match draft {
        Draft::Post(post) => post,
        Draft::Letter(letter) => {
            return match smtp::send(target, &letter, recipient).await {
                Ok(code) => (Answer::of_smtp(code), Some(format!("SMTP reply {code}"))),
                Err(error) => failed(&error),
            };
        }
    };
    match http::send(target, &post).await {
        Ok(reply) => {
            let retry_after = reply.retry_after.as_deref();
            let answer = Answer::of_http(
                &target.form,
                in_thread,
                reply.status,
                retry_after,
                &reply.body,
                clock::now(),
            );
            (answer, Some(format!("HTTP status {}", reply.status)))
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &SendError) -> (Answer, Option<String>) {
    (Answer::failed(error.fault), Some(error.detail.clone()))
}

/// Counts, and logs a fault once until it is another one or gone; a refusal once for each recipient.
fn report(
    notifier: &Notifier,
    (target, recipient): (&Target, usize),
    (answer, found): &(Answer, Option<String>),
    reported: &mut BTreeMap<Option<usize>, Fault>,
) {
    let name = target.name.as_str();
    let (fault, refused) = match answer {
        Answer::Refused(fault) => (*fault, Some(recipient)),
        Answer::Failed { fault, .. } => (*fault, None),
        Answer::Delivered { .. } | Answer::ThreadGone => {
            let gone = [None, Some(recipient)].map(|it| reported.remove(&it));
            if gone.iter().any(Option::is_some) {
                tracing::info!(notify_target = name, "Target takes messages again");
            }
            return;
        }
    };
    notifier.metrics.failed(name, fault);
    if reported.insert(refused, fault) != Some(fault) {
        tracing::warn!(
            notify_target = name,
            recipient = target.recipient_field(recipient),
            code = fault.as_str(),
            found = found.as_deref().unwrap_or_default(),
            remedy = fault.remedy(),
            "Target has not taken a message"
        );
    }
}

/// Keeps what is settled, and lets its events continue.
async fn end(notifier: &Notifier, (place, target, post): (usize, &Target, &Post), settled: Vec<Settled>) {
    // Before an event is acknowledged, and before the next message, which may belong to this thread.
    notifier.save().await;
    notifier.metrics.waiting(&target.name, notifier.office().waiting(place));
    for Settled { notification, ended } in settled {
        post.release(&notification.key());
        let fault = match ended {
            Ended::Delivered => {
                notifier.metrics.delivered(&target.name);
                continue;
            }
            Ended::Refused(fault) | Ended::GaveUp(fault) => fault,
        };
        notifier.metrics.dropped(&target.name, fault);
        tracing::warn!(
            notify_target = target.name,
            code = fault.as_str(),
            kind = notification.kind.as_str(),
            summary = notification.summary,
            detail = notification.detail,
            key = notification.key(),
            "Message given up"
        );
    }
}
