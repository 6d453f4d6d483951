//! Free ports on loopback.
//!
//! A server binds its port some time after the rig has chosen it, and again when it is restarted. So a
//! port must stay free for its owner, and not only be free at the moment of the choice: each process
//! with a rig reserves whole blocks of ports, and no other rig chooses from a reserved block.
//!
//! All ports lie below the range that Linux gives to outgoing connections.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

const FIRST: u16 = 20_000;
/// Ports in a block. A world of three nodes needs about twenty, and eight more with three NATS servers.
const BLOCK: u16 = 100;
/// Twenty processes with rigs may each reserve six blocks before the ports run out.
const BLOCKS: u16 = 120;

static RESERVED: Mutex<Reserved> = Mutex::new(Reserved {
    guards: Vec::new(),
    left: 0..0,
});

/// The blocks of this process.
struct Reserved {
    /// The process that listens on a block's first port owns the block, for as long as it lives.
    guards: Vec<TcpListener>,
    /// Ports of the newest block that are not handed out yet.
    left: Range<u16>,
}

/// A port on which no process listens now and which no other caller gets, in this process or in
/// another one with a rig.
pub fn free_port() -> Result<u16> {
    RESERVED.lock().unwrap_or_else(PoisonError::into_inner).free_port()
}

/// Listens on such a port at once, which is returned too. For listeners in this process: a child that is just being started
/// may hold the port of [`free_port`] for a moment.
pub(crate) fn listener() -> Result<(tokio::net::TcpListener, u16)> {
    let listener = RESERVED.lock().unwrap_or_else(PoisonError::into_inner).listener()?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    Ok((tokio::net::TcpListener::from_std(listener)?, port))
}

impl Reserved {
    fn free_port(&mut self) -> Result<u16> {
        Ok(self.listener()?.local_addr()?.port())
    }

    fn listener(&mut self) -> Result<TcpListener> {
        // Bounded: each round without a port reserves one more of a limited number of blocks.
        loop {
            // A program without a rig may listen on a port of ours.
            if let Some(listener) = self.left.find_map(bind) {
                return Ok(listener);
            }
            self.reserve_block()?;
        }
    }

    fn reserve_block(&mut self) -> Result<()> {
        let [low, high, ..] = uuid::Uuid::new_v4().into_bytes();
        // Random, so that rigs that start together do not all try the same blocks in turn.
        let start = u16::from_le_bytes([low, high]) % BLOCKS;
        for number in (start..BLOCKS).chain(0..start) {
            let first = FIRST + number * BLOCK;
            if let Some(guard) = bind(first) {
                self.guards.push(guard);
                self.left = first + 1..first + BLOCK;
                return Ok(());
            }
        }
        bail!(
            "no free block of ports between {FIRST} and {}: end other tests or demos on this machine",
            FIRST + BLOCKS * BLOCK
        )
    }
}

fn bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{BLOCK, Reserved, bind};

    fn nothing() -> Reserved {
        Reserved {
            guards: Vec::new(),
            left: 0..0,
        }
    }

    #[test]
    fn two_rigs_never_get_the_same_port_even_before_it_is_bound() {
        let (mut one, mut other) = (nothing(), nothing());
        // More than a block, so that each has to reserve again.
        let ports: Vec<u16> = (0..BLOCK + 10)
            .flat_map(|_| [one.free_port().unwrap(), other.free_port().unwrap()])
            .collect();
        let distinct: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!(distinct.len(), ports.len());
        assert!(one.guards.len() >= 2, "{} blocks", one.guards.len());
    }

    #[test]
    fn a_port_on_which_another_program_listens_is_left_out() {
        let mut rig = nothing();
        let next = rig.free_port().unwrap() + 1;
        let Some(_other) = bind(next) else {
            // Another program listens there already, which serves as well.
            return assert_ne!(rig.free_port().unwrap(), next);
        };
        assert_ne!(rig.free_port().unwrap(), next);
    }
}
