//! What a host's files say, as the sentinel reads them: the bytes are each of them in turn.

use bellwether_sentinel_core::host;

use crate::judge;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let packages = host::packages(&text);
    packages.iter().for_each(|package| judge::plain(package));
    let kernel = host::newest_kernel(text.lines().map(str::to_owned));
    kernel.iter().for_each(|kernel| judge::plain(kernel));
    let os = host::operating_system(&text);
    os.iter().for_each(|os| judge::plain(os));
    os.is_some() || host::booted_at(&text).is_some()
}
