//! Free ports on loopback.
//!
//! They lie below the range that Linux gives to outgoing connections, so a server that was killed
//! finds its port free when it is started again.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that nobody listens on now. Random, so that two rigs on one machine do not meet.
pub fn free_port() -> Result<u16> {
    for _ in 0..200 {
        let [low, high, ..] = uuid::Uuid::new_v4().into_bytes();
        let port = FIRST + u16::from_le_bytes([low, high]) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}
