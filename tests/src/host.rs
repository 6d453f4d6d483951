//! A simulated host: a folder that looks like the root of a Linux machine, with a boot id, a
//! kernel and a power switch.
//!
//! It knows nothing of Kubernetes; the kubelet stand-in makes the node look like this host. Its two agents are real processes, which see nothing but this folder.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use uuid::Uuid;

use crate::process::Process;

/// The file that a request to reboot is written to, one line each.
const REBOOT_ORDERS: &str = "reboot-orders";

/// The word of an order to reboot user space alone.
const SOFT: &str = "soft";

/// How a host obeys an order to reboot; may be changed at any time.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Orders are taken and nothing happens.
    pub ignore_reboot: bool,
    /// It goes down and stays down, until this is unset.
    pub never_come_back: bool,
    /// How long it is down.
    pub down_for: Duration,
    /// The sentinel file is there again after the boot, as when an update hook always writes it.
    pub need_survives_reboot: bool,
    /// A soft reboot becomes a full one, as when an administrator or a watchdog intervenes.
    pub full_instead_of_soft: bool,
    /// The installed kernel is not the one that boots, as after a broken boot loader update.
    pub keep_old_kernel: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ignore_reboot: false,
            never_come_back: false,
            down_for: Duration::from_secs(2),
            need_survives_reboot: false,
            full_instead_of_soft: false,
            keep_old_kernel: false,
        }
    }
}

/// One machine.
#[derive(Debug)]
pub struct Host {
    name: String,
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    power: Power,
    /// Cut off from the world, though it runs.
    isolated: bool,
    boot_id: String,
    kernel: String,
    orders_handled: usize,
    orders_ignored: usize,
    reboots: usize,
    /// In the boot that runs.
    soft_reboots: u32,
    /// The host is down for a soft reboot.
    is_soft: bool,
    need: Option<String>,
    agents: Vec<Arc<Process>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    OffSince(Instant),
}

impl Host {
    /// Makes the folder `<parent>/<name>` and boots the machine for the first time.
    pub fn new(parent: &Path, name: &str, behaviour: Behaviour) -> Result<Arc<Self>> {
        let host = Self {
            name: name.to_owned(),
            root: parent.join(name),
            state: Mutex::new(State {
                behaviour,
                power: Power::On,
                isolated: false,
                boot_id: String::new(),
                kernel: "6.12.41".to_owned(),
                orders_handled: 0,
                orders_ignored: 0,
                reboots: 0,
                soft_reboots: 0,
                is_soft: false,
                need: None,
                agents: Vec::new(),
            }),
        };
        host.write(
            "etc/os-release",
            "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n",
        )?;
        host.write(REBOOT_ORDERS, "")?;
        host.install_kernel("6.12.41")?;
        host.boot(&mut host.locked())?;
        Ok(Arc::new(host))
    }

    /// The name of the host and its node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that stands for `/`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The command that asks this host to reboot, for the rebooter.
    #[must_use]
    pub fn reboot_command(&self) -> String {
        format!(
            "/bin/sh -c 'echo reboot >> {}'",
            self.root.join(REBOOT_ORDERS).display()
        )
    }

    /// Calls for a reboot, as that command does.
    pub fn call_reboot(&self) -> Result<()> {
        self.call("reboot")
    }

    /// Calls for a reboot of user space alone.
    pub fn call_soft_reboot(&self) -> Result<()> {
        self.call(SOFT)
    }

    fn call(&self, word: &str) -> Result<()> {
        let mut orders = fs::OpenOptions::new()
            .append(true)
            .open(self.root.join(REBOOT_ORDERS))?;
        Ok(writeln!(orders, "{word}")?)
    }

    /// Loads a kernel for kexec, as `kexec -l` does, or unloads it.
    pub fn load_kexec(&self, is_loaded: bool) -> Result<()> {
        self.write("sys/kernel/kexec_loaded", if is_loaded { "1\n" } else { "0\n" })
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.locked().behaviour);
    }

    /// Writes the files of a package update that needs a reboot: the sentinel file, and the packages.
    pub fn need_reboot(&self, packages: &[&str]) -> Result<()> {
        let text: String = packages.iter().map(|package| format!("{package}\n")).collect();
        self.write_need(&text)?;
        self.locked().need = Some(text);
        Ok(())
    }

    /// Installs a newer kernel, as a package update does; the next boot runs it.
    pub fn upgrade_kernel(&self, version: &str) -> Result<()> {
        self.install_kernel(version)?;
        let package = format!("linux-image-{version}");
        self.need_reboot(&[&package, "linux-base"])
    }

    /// An administrator removes the sentinel file by hand.
    pub fn withdraw_need(&self) -> Result<()> {
        self.locked().need = None;
        for name in ["reboot-required", "reboot-required.pkgs"] {
            let path = self.root.join("var/run").join(name);
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Whether the sentinel file is there.
    #[must_use]
    pub fn needs_reboot(&self) -> bool {
        self.root.join("var/run/reboot-required").exists()
    }

    /// The boot id of the running (or last) boot.
    #[must_use]
    pub fn boot_id(&self) -> String {
        self.locked().boot_id.clone()
    }

    /// The kernel of the running (or last) boot.
    #[must_use]
    pub fn kernel(&self) -> String {
        self.locked().kernel.clone()
    }

    /// How often it really went down and came up again.
    #[must_use]
    pub fn reboots(&self) -> usize {
        self.locked().reboots
    }

    /// How often its user space has started again in the running (or last) boot.
    #[must_use]
    pub fn soft_reboots(&self) -> u32 {
        self.locked().soft_reboots
    }

    /// How many reboots were ordered, obeyed or not.
    #[must_use]
    pub fn reboot_orders(&self) -> usize {
        self.orders().lines().count()
    }

    /// How many of them the host has ignored for good: no later change of its behaviour makes it obey them.
    #[must_use]
    pub fn ignored_orders(&self) -> usize {
        self.locked().orders_ignored
    }

    fn orders(&self) -> String {
        fs::read_to_string(self.root.join(REBOOT_ORDERS)).unwrap_or_default()
    }

    /// Whether it is powered on and can be heard.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        let state = self.locked();
        state.power == Power::On && !state.isolated
    }

    /// An administrator reboots the host by hand: the rebooter has no order.
    pub fn reboot_by_hand(&self) {
        self.power_off(&mut self.locked());
    }

    /// Cuts it off: its agents stop in mid-air and its kubelet is not heard, but it does not reboot.
    pub fn isolate(&self) -> Result<()> {
        let mut state = self.locked();
        state.isolated = true;
        state
            .agents
            .iter()
            .filter(|agent| agent.is_running())
            .try_for_each(|it| it.pause())
    }

    /// Ends [`Self::isolate`].
    pub fn rejoin(&self) -> Result<()> {
        let mut state = self.locked();
        state.isolated = false;
        state
            .agents
            .iter()
            .filter(|agent| agent.is_running())
            .try_for_each(|it| it.resume())
    }

    /// Hands over the processes that live and die with this host's boots.
    pub fn adopt_agents(&self, agents: Vec<Arc<Process>>) {
        self.locked().agents = agents;
    }

    /// Lets time pass: obeys new orders, comes back up when it is time.
    pub fn tick(&self) -> Result<()> {
        let text = self.orders();
        let orders = text.lines().count();
        let mut state = self.locked();
        let ordered = orders.saturating_sub(state.orders_handled);
        state.orders_handled = orders;
        match state.power {
            Power::On if ordered > 0 && state.behaviour.ignore_reboot => state.orders_ignored += ordered,
            Power::On if ordered > 0 => {
                state.is_soft = text.lines().last() == Some(SOFT) && !state.behaviour.full_instead_of_soft;
                self.power_off(&mut state);
            }
            Power::OffSince(since)
                if since.elapsed() >= state.behaviour.down_for && !state.behaviour.never_come_back =>
            {
                self.come_up(&mut state)?;
            }
            Power::On | Power::OffSince(_) => {}
        }
        Ok(())
    }

    fn power_off(&self, state: &mut State) {
        if state.power == Power::On {
            state.power = Power::OffSince(Instant::now());
            state.agents.iter().for_each(|agent| agent.kill9());
        }
    }

    fn come_up(&self, state: &mut State) -> Result<()> {
        if std::mem::take(&mut state.is_soft) {
            // Kernel, boot id and /run stay.
            state.soft_reboots += 1;
            state.power = Power::On;
            return state.agents.iter().try_for_each(|agent| agent.restart());
        }
        state.reboots += 1;
        state.soft_reboots = 0;
        if !state.behaviour.keep_old_kernel {
            state.kernel = self.newest_kernel()?;
        }
        self.boot(state)?;
        if state.behaviour.need_survives_reboot {
            if let Some(need) = &state.need {
                self.write_need(need)?;
            }
        } else {
            state.need = None;
        }
        state.agents.iter().try_for_each(|agent| agent.restart())
    }

    /// Changes on disk as a boot does: `/var/run` lives in memory, the boot id is new.
    fn boot(&self, state: &mut State) -> Result<()> {
        let run = self.root.join("var/run");
        if run.exists() {
            fs::remove_dir_all(&run)?;
        }
        fs::create_dir_all(&run)?;
        state.boot_id = Uuid::new_v4().to_string();
        self.write("proc/sys/kernel/random/boot_id", &format!("{}\n", state.boot_id))?;
        self.write("proc/stat", &format!("btime {}\n", jiff::Timestamp::now().as_second()))?;
        self.write("proc/sys/kernel/osrelease", &format!("{}\n", state.kernel))?;
        self.load_kexec(false)?;
        state.power = Power::On;
        Ok(())
    }

    fn install_kernel(&self, version: &str) -> Result<()> {
        self.write(&format!("lib/modules/{version}/modules.dep"), "")?;
        self.write(&format!("boot/vmlinuz-{version}"), "")
    }

    fn newest_kernel(&self) -> Result<String> {
        let mut kernels = Vec::new();
        for entry in fs::read_dir(self.root.join("lib/modules"))? {
            kernels.push(entry?.file_name().to_string_lossy().into_owned());
        }
        let numbers = |version: &str| -> Vec<u32> {
            version
                .split(['.', '-', '+'])
                .filter_map(|part| part.parse().ok())
                .collect()
        };
        kernels
            .into_iter()
            .max_by_key(|it| numbers(it))
            .context("no kernel is installed")
    }

    fn write_need(&self, packages: &str) -> Result<()> {
        // The list first: a sentinel that finds the file may read the list at once. In place and not by a
        // rename, since package hooks write so.
        self.write("var/run/reboot-required.pkgs", packages)?;
        self.write("var/run/reboot-required", "*** System restart required ***\n")
    }

    fn write(&self, file: &str, content: &str) -> Result<()> {
        let path = self.root.join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
