//! A proxy in front of a Redis server that can hold back one direction of its replicas' or its
//! Sentinels' connections, while those of its other clients continue.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use super::ports;

/// The client at the other end of a connection, recognized by what it sends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A gateway, or a test.
    Client,
    /// A replica, which sends `PSYNC`.
    Replica,
    /// A Sentinel, which names its connections `sentinel-...`.
    Sentinel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    FromServer,
}

/// A proxy. It lasts until it is dropped, whether its server runs or not.
pub struct Link {
    pub port: u16,
    held: Arc<watch::Sender<Vec<(Peer, Direction)>>>,
    accepting: JoinHandle<()>,
}

impl Link {
    /// Opens a proxy to a port, on a port of its own.
    pub async fn open(target: u16) -> Self {
        let port = ports::free();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let held = Arc::new(watch::Sender::new(Vec::new()));
        let valves = Arc::clone(&held);
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target, valves.subscribe()));
            }
        });
        Self {
            port,
            held,
            accepting,
        }
    }

    /// Holds back what the clients of a kind send or receive, on present and later connections. No
    /// connection is closed, and no end learns of it.
    pub fn hold(&self, peer: Peer, direction: Direction) {
        self.held.send_modify(|held| held.push((peer, direction)));
    }

    /// Delivers what was held back, and everything after it.
    pub fn release(&self, peer: Peer) {
        self.held
            .send_modify(|held| held.retain(|(other, _)| *other != peer));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries the bytes of one connection until an end closes it.
async fn carry(near: TcpStream, target: u16, held: watch::Receiver<Vec<(Peer, Direction)>>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    for end in [&near, &far] {
        let _ = end.set_nodelay(true);
    }
    let peer = KnownPeer::default();
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    // SUBTLE: a replica that is promoted closes its connection while its bytes are held back. The
    // other direction sees that, and the held bytes are gone, as after a partition.
    tokio::select! {
        () = pump(near_read, far_write, Direction::ToServer, &peer, held.clone()) => {}
        () = pump(far_read, near_write, Direction::FromServer, &peer, held) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    peer: &KnownPeer,
    mut held: watch::Receiver<Vec<(Peer, Direction)>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => return,
        };
        if direction == Direction::ToServer {
            peer.learn(&buffer[..count]);
        }
        let opened = held.wait_for(|held| !held.contains(&(peer.get(), direction)));
        if opened.await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// The client of a connection, as far as it is known.
#[derive(Default)]
struct KnownPeer(AtomicUsize);

impl KnownPeer {
    const KINDS: [(Peer, &[u8]); 3] = [
        (Peer::Client, b""),
        (Peer::Replica, b"PSYNC"),
        (Peer::Sentinel, b"sentinel-"),
    ];

    fn get(&self) -> Peer {
        Self::KINDS[self.0.load(Ordering::SeqCst)].0
    }

    fn learn(&self, bytes: &[u8]) {
        let sent = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        for (kind, (_, text)) in Self::KINDS.iter().enumerate().skip(1) {
            if self.get() == Peer::Client && sent(text) {
                self.0.store(kind, Ordering::SeqCst);
            }
        }
    }
}
