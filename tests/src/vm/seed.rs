//! The small disk that makes a machine the node that it is: its addresses, its credentials, and
//! where images come from. The machine copies it over its root at each boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{HOST, name, other};
use crate::identity::Access;
use crate::place::Place;
use crate::tools::installed;

/// The name under which machines know the rig's registry.
pub const REGISTRY: &str = "rig.bellwether.dev";

/// The settings of one node.
#[derive(Debug)]
pub struct Seed<'a> {
    /// Which machine it is for.
    pub number: u8,
    /// The API server, here.
    pub access: &'a Access,
    /// The token of its kubelet.
    pub kubelet: &'a str,
    /// The token of its kube-proxy.
    pub proxy: &'a str,
    /// The port of the registry on the rig's loopback.
    pub registry: u16,
}

impl Seed<'_> {
    /// Makes the disk; returns its file.
    pub fn write(&self, place: &Place) -> Result<PathBuf> {
        let number = self.number;
        let folder = place.folder(&format!("{}-seed", name(number)))?;
        let certificate = Path::new("/etc/kubernetes/ca.crt");
        let access = self.access.reached_at(HOST, certificate);
        let file = |path: &str, content: &str| write(&folder.join(path), content);
        file("etc/kubernetes/ca.crt", &fs::read_to_string(self.access.certificate())?)?;
        file("etc/kubernetes/kubelet.kubeconfig", &access.kubeconfig(self.kubelet))?;
        file("etc/kubernetes/kube-proxy.kubeconfig", &access.kubeconfig(self.proxy))?;
        file("etc/kubernetes/node.env", &format!("NODE_IP={}\n", address(number)))?;
        file(
            &format!("etc/containerd/certs.d/{REGISTRY}/hosts.toml"),
            &format!("[host.\"http://{HOST}:{}\"]\n", self.registry),
        )?;
        let network = json!({
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [{
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": pods(number) }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            }],
        });
        file("etc/cni/net.d/10-pods.conflist", &network.to_string())?;
        let neighbour = other(number);
        file(
            "etc/systemd/network/eth1.network",
            &format!(
                "[Match]\nName=eth1\n\n[Network]\nAddress={}/24\nLinkLocalAddressing=no\n\n\
                 [Route]\nDestination={}\nGateway={}\n",
                address(number),
                pods(neighbour),
                address(neighbour),
            ),
        )?;
        let disk = folder.with_extension("img");
        let make = Command::new(installed("mke2fs")?)
            .args(["-q", "-t", "ext4", "-L", "SEED", "-d"])
            .args([&folder, &disk])
            .arg("4M")
            .output()
            .context("cannot run mke2fs")?;
        let errors = String::from_utf8_lossy(&make.stderr);
        ensure!(make.status.success(), "cannot make {}: {errors}", disk.display());
        Ok(disk)
    }
}

/// A machine's address on the network that it shares with its neighbour.
fn address(number: u8) -> String {
    format!("10.1.0.{number}")
}

/// The addresses of a machine's pods.
fn pods(number: u8) -> String {
    format!("10.244.{number}.0/24")
}

fn write(path: &Path, content: &str) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, content))
        .with_context(|| format!("cannot write {}", path.display()))
}
