//! A virtual machine that is a real node: Debian with systemd, containerd and the real kubelet,
//! which joins the rig's control plane and really reboots.
//!
//! QEMU runs it without hardware help, so that it runs wherever QEMU does. From inside, the rig's
//! loopback is [`HOST`]; the machines see each other on a network of their own, where pods reach
//! pods. `tests/node/image` is its recipe.

pub mod egress;
pub mod registry;
pub mod seed;
pub mod shell;

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::place::Place;
use crate::ports::free_port;
use crate::process::Process;
use crate::tools::tool;
use shell::Shell;

/// The rig's loopback as machines and their pods see it.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 255, 254);

/// Where kubelet listens in the machine.
const KUBELET_PORT: u16 = 10250;

/// A running machine; killed when dropped.
#[derive(Debug)]
pub struct Vm {
    number: u8,
    kubelet_port: u16,
    console: PathBuf,
    shell: Shell,
    process: Process,
}

impl Vm {
    /// Powers it on, as one of two, numbered from 1. `seed` makes it the node that it is.
    pub fn start(place: &Place, number: u8, seed: &Path) -> Result<Self> {
        let name = name(number);
        let folder = place.folder(&name)?;
        let image = tool("node-image/root.img")?;
        let firmware = |of: &str| {
            image
                .with_file_name("emulator/usr/share")
                .join(of)
                .display()
                .to_string()
        };
        let disk = folder.join("disk.qcow2");
        let make = Command::new(tool("node-image/qemu-img")?)
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .args([&image, &disk])
            .output()
            .context("cannot run qemu-img")?;
        let errors = String::from_utf8_lossy(&make.stderr);
        ensure!(make.status.success(), "cannot make the disk of {name}: {errors}");
        let console = place.folder("logs")?.join(format!("{name}-console.log"));
        let shell = folder.join("shell.sock");
        let kubelet_port = free_port()?;
        let lan = place.folder("lan")?;
        let lan = |number: u8| lan.join(number.to_string()).display().to_string();
        let args = [
            format!("-L {} -L {}", firmware("qemu"), firmware("seabios")),
            // The same machine with and without hardware help: /dev/kvm may open and still not work.
            // A fifth level of page tables is one more to walk for an emulator, and maps nothing here.
            // One processor: with two, an emulated kernel that patches its own code while the other
            // one runs it now and then meets the breakpoint it has already taken away, and panics.
            "-nodefaults -display none -machine q35 -accel tcg,tb-size=512 -cpu max,la57=off -smp 1 -m 2G".to_owned(),
            format!("-kernel {}", tool("node-image/vmlinuz")?.display()),
            format!("-initrd {}", tool("node-image/initrd")?.display()),
            format!("-drive file={},format=qcow2,if=virtio,cache=unsafe", disk.display()),
            format!("-drive file={},format=raw,if=virtio,readonly=on", seed.display()),
            "-device virtio-rng-pci".to_owned(),
            format!("-serial file:{}", console.display()),
            format!("-chardev socket,id=shell,path={},server=on,wait=off", shell.display()),
            "-device virtio-serial-pci -device virtconsole,chardev=shell".to_owned(),
            format!(
                "-netdev user,id=host,net=10.0.0.0/16,host={HOST},hostfwd=tcp:127.0.0.1:{kubelet_port}-:{KUBELET_PORT}"
            ),
            "-device virtio-net-pci,netdev=host,romfile=".to_owned(),
            format!(
                "-netdev dgram,id=lan,local.type=unix,local.path={},remote.type=unix,remote.path={}",
                lan(number),
                lan(other(number))
            ),
            format!("-device virtio-net-pci,netdev=lan,romfile=,mac=52:54:00:00:00:{number:02x}"),
        ];
        let mut args: Vec<String> = args.iter().flat_map(|it| it.split(' ')).map(str::to_owned).collect();
        args.push("-append".to_owned());
        args.push(format!(
            // A kernel's own statistics of its memory take a fifth of such a processor;
            // and the runtimes of Go programs sleep for microseconds, each time until an interrupt of its own.
            "root=/dev/vda rw console=ttyS0 systemd.hostname={name} net.ifnames=0 mitigations=off \
             damon_stat.enabled=N transparent_hugepage=never highres=off quiet systemd.show_status=1"
        ));
        let process = place.start(&name, tool("node-image/qemu-system-x86_64")?, args, BTreeMap::new())?;
        Ok(Self {
            number,
            kubelet_port,
            console,
            shell: Shell::new(shell),
            process,
        })
    }

    /// Its name, and its node's.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.number)
    }

    /// The port on the rig's loopback that leads to its kubelet.
    #[must_use]
    pub fn kubelet_port(&self) -> u16 {
        self.kubelet_port
    }

    /// The text on its console so far, from boots and shutdowns.
    pub fn console(&self) -> Result<String> {
        let bytes = fs::read(&self.console).with_context(|| format!("cannot read {}", self.console.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// QEMU, which outlives the machine's reboots.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Runs a command in it as root; also when Kubernetes is not there to be asked.
    pub async fn run(&self, command: &str) -> Result<String> {
        let output = self.shell.run(command).await;
        output.with_context(|| format!("{}: `{command}`", self.name()))
    }
}

/// The name of a machine.
#[must_use]
pub fn name(number: u8) -> String {
    format!("node-{number}")
}

/// There are two, so that each is the other's only neighbour.
fn other(number: u8) -> u8 {
    3 - number
}
