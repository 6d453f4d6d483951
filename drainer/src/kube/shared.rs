//! One watch of all objects of a kind for the whole service: each drain looks at what the watch shows.

use std::fmt::Debug;
use std::time::Duration;

use bellwether_chassis::{Backoff, Chassis, clock};
use bellwether_drainer_core::{ApiFault, ForbiddenGrace, Looked, Unseen, Watched};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::watch;

use super::client::WATCH_SECONDS;
use super::watch::{trouble, view};

/// Longest wait before the objects are listed again after a fault.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// All objects of a kind, as views.
pub(crate) trait Collection: Default + Send + Sync + 'static {
    /// The object.
    type Object: Resource<DynamicType: Default> + Clone + DeserializeOwned + Debug + Send + 'static;
    /// Its view: the fields that matter.
    type View: Send;
    /// What the objects are called in sentences, in the plural and with a capital letter.
    const NAME: &'static str;

    /// The view of an object; none if the object lacks its identity.
    fn view(object: &Self::Object) -> Option<Self::View>;
    /// While the watch fails, the objects count as they were: nothing is decided by them.
    const STAY: bool = false;

    /// Adds an object, in place of the one with its identity. False: that changes nothing.
    fn insert(&mut self, view: Self::View) -> bool;
    /// Removes an object, given in its last state. False: that changes nothing.
    fn remove(&mut self, view: &Self::View) -> bool;
}

/// The objects as they are now; or why they are not known.
pub(crate) type Shared<C> = watch::Receiver<Looked<C>>;

/// Watches until the service stops, under this name of a task.
pub(crate) fn watched<C: Collection>(chassis: &Chassis, client: Client, task: &'static str) -> Shared<C> {
    let (sender, receiver) = watch::channel(Err(Unseen::passing(format!("{} have not been listed yet", C::NAME))));
    chassis.spawn(task, watch_all::<C>(chassis.clone(), client, sender));
    receiver
}

async fn watch_all<C: Collection>(
    chassis: Chassis,
    client: Client,
    known: watch::Sender<Looked<C>>,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::up_to(RETRY_DELAY_MAX);
    let mut forbidden = ForbiddenGrace::default();
    loop {
        let mut listing = None;
        let config = Config::default().timeout(WATCH_SECONDS);
        let events = watcher(Api::<C::Object>::all(client.clone()), config);
        let mut events = events.take_until(chassis.stop.cancelled()).boxed();
        let fault = loop {
            match next_burst::<C>(&mut events).await {
                Burst::Events(events) => {
                    // A list that begins is no answer of the API server yet.
                    let has_changed = known.send_if_modified(|known| collect(events, known, &mut listing));
                    if has_changed {
                        backoff.reset();
                        forbidden.reset(&());
                    }
                }
                Burst::Fault(fault) => break fault,
                Burst::Stopped => return Ok(()),
            }
        };
        // A watch that works again shows nothing as long as no object changes, so only a new list ends the fault.
        let unseen = unseen(clock::now(), C::NAME, &fault, &mut forbidden);
        tracing::warn!(error = %fault, "{} cannot be watched, listing them again", C::NAME);
        known.send_if_modified(|known| {
            let is_over = !(C::STAY && known.is_ok());
            if is_over {
                *known = Err(unseen);
            }
            is_over
        });
        if !chassis.sleep(backoff.after_failure()).await {
            return Ok(());
        }
    }
}

/// Why the objects are not known after this fault.
fn unseen(now: Timestamp, objects: &str, fault: &ApiFault, forbidden: &mut ForbiddenGrace<()>) -> Unseen {
    let lasts = match fault {
        ApiFault::Forbidden(_) => forbidden.is_over(now, ()),
        ApiFault::NotFound | ApiFault::Conflict(_) | ApiFault::Unavailable(_) => {
            forbidden.reset(&());
            // A list that is not found is of objects that this API server does not serve.
            matches!(fault, ApiFault::NotFound)
        }
    };
    let reason = format!("{objects} cannot be watched: {fault}");
    Unseen { reason, lasts }
}

/// What a watch has shown at once.
enum Burst<V> {
    Events(Vec<Watched<V>>),
    Fault(ApiFault),
    Stopped,
}

/// Takes in all events that are there together, so that they are one change for each drain.
async fn next_burst<C: Collection>(events: &mut BoxStream<'_, watcher::Result<Event<C::Object>>>) -> Burst<C::View> {
    let Some(mut event) = events.next().await else {
        return Burst::Stopped;
    };
    let mut burst = Vec::new();
    loop {
        match event.map_err(trouble) {
            Ok(event) => burst.extend(view(event, C::view)),
            Err(fault) => return Burst::Fault(fault),
        }
        match events.next().now_or_never().flatten() {
            Some(next) => event = next,
            None => return Burst::Events(burst),
        }
    }
}

/// Takes in events. `listing` is a list that has begun and not ended. True if the known objects changed.
fn collect<C: Collection>(events: Vec<Watched<C::View>>, known: &mut Looked<C>, listing: &mut Option<C>) -> bool {
    let mut has_changed = false;
    for event in events {
        match event {
            Watched::ListStarted => *listing = Some(C::default()),
            Watched::Listed(view) => {
                listing.get_or_insert_default().insert(view);
            }
            Watched::ListEnded => {
                *known = Ok(listing.take().unwrap_or_default());
                has_changed = true;
            }
            // Before the first whole list there is nothing to change: a watch begins after it.
            Watched::Changed(view) => {
                if let Ok(known) = known {
                    has_changed |= known.insert(view);
                }
            }
            Watched::Deleted(view) => {
                if let Ok(known) = known {
                    has_changed |= known.remove(&view);
                }
            }
        }
    }
    has_changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_drainer_core::volume::{VolumeView, Volumes};
    use k8s_openapi::api::core::v1::PersistentVolume;
    use serde_json::json;

    #[test]
    fn objects_are_known_once_the_list_is_whole_and_a_new_list_replaces_them_only_at_its_end() {
        let mut known: Looked<Volumes> = Err(Unseen::passing("not listed"));
        let mut listing = None;
        let mut hear = |event| collect(vec![event], &mut known, &mut listing).then(|| format!("{known:?}"));
        assert_eq!(hear(Watched::ListStarted), None);
        assert_eq!(hear(Watched::Listed(volume("web"))), None);
        let listed = hear(Watched::ListEnded).unwrap();
        assert!(listed.contains("web"), "{listed}");
        let both = hear(Watched::Changed(volume("api"))).unwrap();
        assert!(both.contains("web") && both.contains("api"), "{both}");
        let one = hear(Watched::Deleted(volume("web"))).unwrap();
        assert!(!one.contains("web") && one.contains("api"), "{one}");
        assert_eq!(hear(Watched::ListStarted), None);
        let none = hear(Watched::ListEnded).unwrap();
        assert!(!none.contains("api"), "{none}");
    }

    #[test]
    fn a_missing_right_lasts_after_a_minute_and_a_kind_that_is_not_served_at_once() {
        let mut forbidden = ForbiddenGrace::default();
        let mut lasts = |second, fault| {
            let now = Timestamp::from_second(second).unwrap();
            unseen(now, "VolumeAttachments", &fault, &mut forbidden).lasts
        };
        let no = || ApiFault::Forbidden("no".to_owned());
        assert!(!lasts(0, no()));
        assert!(!lasts(50, no()));
        assert!(lasts(61, no()));
        assert!(!lasts(62, ApiFault::Unavailable("down".to_owned())));
        assert!(!lasts(63, no()), "another minute");
        assert!(lasts(64, ApiFault::NotFound));
    }

    fn volume(name: &str) -> VolumeView {
        let volume: PersistentVolume = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        VolumeView::of(&volume).unwrap()
    }
}
