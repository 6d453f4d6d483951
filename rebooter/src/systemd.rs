//! What systemd of the host shows of its boot, read over the host's system bus.
//!
//! The rebooter reads it, since it has the bus: the sentinel has none, and gets no further right for this. Reading needs no
//! right but the connection. A host that does not answer shows nothing, which is no problem: its reboot does not depend on it.

use std::path::PathBuf;
use std::time::Duration;

use bellwether_proto::{BootReport, ShutdownDelay};
use bellwether_rebooter_core::boot::{self, Moments};
use tokio::net::UnixStream;
use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

/// All questions together; a local bus that takes longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A program on the bus, and the object that it is managed by.
#[derive(Clone, Copy)]
struct Place {
    service: &'static str,
    object: &'static str,
    manager: &'static str,
}

const SYSTEMD: Place = Place {
    service: "org.freedesktop.systemd1",
    object: "/org/freedesktop/systemd1",
    manager: "org.freedesktop.systemd1.Manager",
};

const LOGIND: Place = Place {
    service: "org.freedesktop.login1",
    object: "/org/freedesktop/login1",
    manager: "org.freedesktop.login1.Manager",
};

/// A row of the list of units: name, description, three states, the unit it follows, its object, and its job.
type Unit = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

/// systemd of the host.
#[derive(Debug, Clone)]
pub(crate) struct Systemd {
    socket: PathBuf,
}

impl Systemd {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The boot that runs; none: the host does not show it.
    pub(crate) async fn boot(&self) -> Option<BootReport> {
        match tokio::time::timeout(TIMEOUT, self.look()).await {
            Ok(Ok(report)) => Some(report),
            Ok(Err(error)) => {
                tracing::debug!(
                    error = bellwether_chassis::chain(&error),
                    "systemd does not show the boot"
                );
                None
            }
            Err(_) => {
                tracing::debug!(limit = ?TIMEOUT, "systemd does not answer");
                None
            }
        }
    }

    /// How many soft reboots the boot that runs has had; none: the host does not show it, as systemd before version 256.
    pub(crate) async fn soft_reboots(&self) -> Option<u32> {
        let asking = async { soft_reboots(&self.connect().await?).await };
        let asked = tokio::time::timeout(TIMEOUT, asking).await;
        asked.ok()?.ok()
    }

    async fn connect(&self) -> zbus::Result<Connection> {
        let stream = UnixStream::connect(&self.socket).await?.into_std()?;
        Builder::unix_stream(stream).build().await
    }

    async fn look(&self) -> zbus::Result<BootReport> {
        let bus = self.connect().await?;
        let moments = Moments {
            firmware: moment(&bus, "FirmwareTimestampMonotonic").await?,
            loader: moment(&bus, "LoaderTimestampMonotonic").await?,
            initrd: moment(&bus, "InitRDTimestampMonotonic").await?,
            userspace: moment(&bus, "UserspaceTimestampMonotonic").await?,
            finish: moment(&bus, "FinishTimestampMonotonic").await?,
            soft_reboots: soft_reboots(&bus).await.unwrap_or_default(),
        };
        let states = (["failed"].as_slice(),);
        let calling = bus.call_method(
            Some(SYSTEMD.service),
            SYSTEMD.object,
            Some(SYSTEMD.manager),
            "ListUnitsFiltered",
            &states,
        );
        let units: Vec<Unit> = calling.await?.body().deserialize()?;
        let units = units.into_iter().map(|unit| unit.0).collect();
        Ok(boot::report(moments, units, shutdown_delay(&bus).await))
    }
}

/// What delays a shutdown; none: logind does not show it, as where there is none.
async fn shutdown_delay(bus: &Connection) -> Option<ShutdownDelay> {
    let max = property(bus, LOGIND, "InhibitDelayMaxUSec").await.ok()?;
    let max = u64::try_from(max).ok()?;
    let Place {
        service,
        object,
        manager,
    } = LOGIND;
    let calling = bus.call_method(Some(service), object, Some(manager), "ListInhibitors", &());
    let rows: Vec<(String, String, String, String, u32, u32)> = calling.await.ok()?.body().deserialize().ok()?;
    let inhibitors = rows.into_iter().map(|(what, who, _why, mode, _, _)| (what, who, mode));
    Some(boot::shutdown_delay(max, inhibitors))
}

/// How many soft reboots the boot that runs has had. Versions of systemd without this property do not show a soft reboot in
/// any other way either: their moments of user space stay those of the boot.
pub(crate) async fn soft_reboots(bus: &Connection) -> zbus::Result<u32> {
    u32::try_from(property(bus, SYSTEMD, "SoftRebootsCount").await?)
}

async fn moment(bus: &Connection, name: &str) -> zbus::Result<u64> {
    u64::try_from(property(bus, SYSTEMD, name).await?)
}

async fn property(bus: &Connection, place: Place, name: &str) -> zbus::Result<OwnedVariant> {
    let properties = Some("org.freedesktop.DBus.Properties");
    let arguments = (place.manager, name);
    let calling = bus.call_method(Some(place.service), place.object, properties, "Get", &arguments);
    calling.await?.body().deserialize()
}
