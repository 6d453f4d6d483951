//! Asks pods for their `/readyz`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use bellwether_check::{PodKey, PodToAsk, Readiness};
use bellwether_proto::readiness;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::forward::Forward;
use crate::kubectl::Kubectl;

/// For an answer of a few lines; a service that hangs is not worth waiting for.
const READYZ_TIMEOUT: Duration = Duration::from_secs(5);
/// No such answer is longer.
const READYZ_BYTES_MAX: u64 = 4096;

/// Asks pods at the same time: each way into a pod takes a moment to open.
pub(super) async fn ask(kubectl: &Kubectl, pods: Vec<PodToAsk>) -> BTreeMap<PodKey, Readiness> {
    let mut asking = JoinSet::new();
    for PodToAsk { pod, port } in pods {
        let kubectl = kubectl.clone();
        asking.spawn(async move {
            let readiness = match readyz(&kubectl, &pod, port).await {
                Ok(body) => Readiness::Answered(readiness::parse(&body)),
                Err(error) => Readiness::Unanswered(format!("{error:#}")),
            };
            (pod, readiness)
        });
    }
    asking.join_all().await.into_iter().collect()
}

async fn readyz(kubectl: &Kubectl, pod: &PodKey, port: u16) -> anyhow::Result<String> {
    let forward = Forward::to(kubectl, &pod.namespace, &pod.name, port).await?;
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", forward.port)).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.take(READYZ_BYTES_MAX).read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok(body.to_owned())
    };
    tokio::time::timeout(READYZ_TIMEOUT, ask)
        .await
        .with_context(|| format!("no answer within {READYZ_TIMEOUT:?}"))?
}
