//! Hints that the sentinel file may have changed, from a watch on its directory.
//!
//! Owned by `run.rs`. A hint means only "look again": hints may come for nothing and may be
//! lost, which the slow rescan makes up for. The file itself is never watched, since it is
//! mostly not there.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use bellwether_chassis::Retry;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long to wait after a hint: a package manager touches both files several times.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How many events are taken in one go: other tasks of the loop's thread have their turn between.
const AT_ONCE_MAX: usize = 64;

/// Room for some dozens of events; one with the longest name takes 272 bytes.
const EVENT_BYTES: usize = 2048;

/// Where the hints of all watches go.
pub(crate) type HintSender = mpsc::Sender<()>;

/// The hints of all watches.
#[derive(Debug)]
pub(crate) struct Hints {
    receiver: mpsc::Receiver<()>,
    /// A hint has come and is not handed out yet.
    pending: bool,
}

/// The two ends. One place: more hints than one say nothing that one does not.
pub(crate) fn hints() -> (HintSender, Hints) {
    let (sender, receiver) = mpsc::channel(1);
    let pending = false;
    (sender, Hints { receiver, pending })
}

impl Hints {
    /// Waits for a hint, and a little longer for those that come with it. One that was not waited for to its end is kept.
    pub(crate) async fn next(&mut self) {
        if !self.pending && self.receiver.recv().await.is_none() {
            // All watches are gone, which the rescan makes up for.
            std::future::pending::<()>().await;
        }
        self.pending = true;
        tokio::time::sleep(DEBOUNCE).await;
        while self.receiver.try_recv().is_ok() {}
        self.pending = false;
    }
}

/// The watch on one directory.
#[derive(Debug)]
pub(crate) struct Watch {
    sender: HintSender,
    /// The task makes hints of events until it is dropped.
    watched: Option<(Directory, JoinSet<()>)>,
    retry: Retry,
}

/// Tells a directory from another one that took its place, which inotify would not notice.
#[derive(Debug, PartialEq, Eq)]
struct Directory {
    path: PathBuf,
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

impl Watch {
    pub(crate) fn new(sender: HintSender) -> Self {
        Self {
            sender,
            watched: None,
            retry: Retry::new("watch the sentinel file's directory"),
        }
    }

    /// Makes sure that the directory of this file is watched. If that fails, the rescan has to do. The caller is on a thread of
    /// the runtime.
    pub(crate) fn ensure(&mut self, file: &Path) {
        let Some(directory) = file.parent().and_then(directory) else {
            // Not there, which the probe reports.
            self.watched = None;
            return;
        };
        if let Some((watched, task)) = &mut self.watched
            && *watched == directory
            && task.try_join_next().is_none()
        {
            return;
        }
        self.watched = None;
        match watch(&directory.path, file, self.sender.clone()) {
            Ok(task) => {
                self.retry.worked();
                tracing::debug!(directory = %directory.path.display(), "Directory is watched");
                self.watched = Some((directory, task));
            }
            Err(error) => {
                self.retry.failed(&error);
            }
        }
    }
}

fn directory(path: &Path) -> Option<Directory> {
    let meta = fs::metadata(path).ok()?;
    Some(Directory {
        path: path.to_owned(),
        device: meta.dev(),
        inode: meta.ino(),
        created: meta.created().ok(),
    })
}

/// Watches a directory until the result is dropped.
fn watch(directory: &Path, file: &Path, hints: HintSender) -> io::Result<JoinSet<()>> {
    let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(&inotify, directory, changes())?;
    let name = file.file_name().unwrap_or_default().to_owned();
    let mut task = JoinSet::new();
    task.spawn(async move {
        if let Err(error) = pass_on(inotify, &name, &hints).await {
            // The rescan has to do.
            tracing::debug!(%error, "Directory is not watched any more");
        }
    });
    Ok(task)
}

/// What is a hint. Not that a file was opened or read: our own look does, and taken as a hint, it would never end.
fn changes() -> WatchFlags {
    WatchFlags::ONLYDIR
        | WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
}

/// Makes hints of events, on the thread of the loop.
async fn pass_on(inotify: OwnedFd, name: &OsStr, hints: &HintSender) -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "it is unsound for a descriptor that may be closed meanwhile, which this one is not; the other way is unsafe code"
    )]
    let inotify = AsyncFd::with_interest(inotify, Interest::READABLE)?;
    loop {
        let mut ready = inotify.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut events = inotify::Reader::new(inotify.get_ref(), &mut buffer);
        let mut taken = 0;
        // Events that were read and not taken would be lost with the reader.
        while taken < AT_ONCE_MAX || !events.is_buffer_empty() {
            taken += 1;
            match events.next() {
                Ok(event) => {
                    if is_hint(&event, name) {
                        // Full: a hint is waiting already.
                        hints.try_send(()).ok();
                    }
                    if event.events().contains(ReadFlags::IGNORED) {
                        // The directory is gone, and the watch with it.
                        return Ok(());
                    }
                }
                Err(Errno::WOULDBLOCK) => {
                    ready.clear_ready();
                    break;
                }
                Err(Errno::INTR) => (),
                Err(error) => return Err(error.into()),
            }
        }
        tokio::task::yield_now().await;
    }
}

/// True unless the event is about another file. One without a name is about the directory itself, or about lost events.
fn is_hint(event: &inotify::Event<'_>, name: &OsStr) -> bool {
    let Some(found) = event.file_name() else { return true };
    let found = OsStr::from_bytes(found.to_bytes());
    found == name || is_list(found, name)
}

fn is_list(found: &OsStr, name: &OsStr) -> bool {
    let mut list = name.to_owned();
    list.push(".pkgs");
    found == list
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A directory that is watched, its sentinel file, which is not there, and the hints.
    fn watched() -> (tempfile::TempDir, PathBuf, Watch, Hints) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("reboot-required");
        let (sender, hints) = hints();
        let mut watch = Watch::new(sender);
        watch.ensure(&file);
        (directory, file, watch, hints)
    }

    #[tokio::test]
    async fn writing_and_removing_are_hints_and_reading_is_none() {
        let (directory, file, _watch, mut hints) = watched();
        fs::write(&file, "x").unwrap();
        tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
        fs::read(&file).unwrap();
        fs::write(directory.path().join("other"), "x").unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(300), hints.next())
                .await
                .is_err()
        );
        fs::remove_file(&file).unwrap();
        tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
    }

    #[tokio::test]
    async fn no_event_is_lost_among_many_others() {
        let (directory, file, _watch, mut hints) = watched();
        // With names of this length the event of the file is read together with the 64th of others, and behind that one.
        for before in [0, 63, 70, 80, 100] {
            // None of the loop's tasks has its turn in this round, so the events come together.
            for other in 0..before {
                fs::create_dir(directory.path().join(format!("another-directory-{other}"))).unwrap();
            }
            fs::create_dir(&file).unwrap();
            tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
            fs::remove_dir(&file).unwrap();
            for other in 0..before {
                fs::remove_dir(directory.path().join(format!("another-directory-{other}"))).unwrap();
            }
            tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn events_that_the_kernel_has_lost_are_a_hint() {
        let (directory, file, _watch, mut hints) = watched();
        let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let events = queue.trim().parse::<usize>().unwrap();
        // None of the loop's tasks has its turn in this round. Each other file is two events, which are no hints.
        let other = directory.path().join("other");
        for _ in 0..=events / 2 {
            fs::create_dir(&other).unwrap();
            fs::remove_dir(&other).unwrap();
        }
        fs::write(&file, "x").unwrap();
        tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
    }

    #[tokio::test]
    async fn a_directory_that_is_exchanged_for_another_one_is_a_hint_and_the_new_one_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let file = path("run/reboot-required");
        let (sender, mut hints) = hints();
        let mut watch = Watch::new(sender);
        fs::create_dir(path("run")).unwrap();
        watch.ensure(&file);
        fs::create_dir(path("new")).unwrap();
        fs::rename(path("run"), path("old")).unwrap();
        fs::rename(path("new"), path("run")).unwrap();
        tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
        // The look after that hint.
        watch.ensure(&file);
        fs::write(path("old/reboot-required"), "x").unwrap();
        let of_old = tokio::time::timeout(Duration::from_millis(300), hints.next()).await;
        assert!(of_old.is_err(), "the old one is watched");
        fs::write(&file, "x").unwrap();
        tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
    }

    #[tokio::test]
    async fn a_hint_that_was_not_waited_for_to_its_end_is_not_lost() {
        let (sender, mut hints) = hints();
        sender.try_send(()).unwrap();
        // Polled once, so that it is taken and the wait for others has begun.
        let once = std::future::poll_fn(|context| {
            let next = std::pin::pin!(hints.next());
            std::task::Poll::Ready(next.poll(context).is_pending())
        });
        assert!(once.await);
        tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
        assert!(tokio::time::timeout(DEBOUNCE * 2, hints.next()).await.is_err());
    }

    #[tokio::test]
    async fn a_directory_that_comes_late_or_anew_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("run/reboot-required");
        let (sender, mut hints) = hints();
        let mut watch = Watch::new(sender);
        watch.ensure(&file);
        for _ in 0..2 {
            fs::create_dir(root.path().join("run")).unwrap();
            watch.ensure(&file);
            fs::write(&file, "x").unwrap();
            tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
            fs::remove_dir_all(root.path().join("run")).unwrap();
            // So that no hint of the next round is one of this removal.
            tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
        }
    }
}
