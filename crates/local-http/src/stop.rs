//! The end of a program that serves, and the address it tells at the beginning.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Resolves on Ctrl-C and on SIGTERM, which is how containers and service managers say it.
pub async fn asked_to_stop() {
    // Without a handler the signal's default ends the process, which state on disk survives too.
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            () = interrupted() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    interrupted().await;
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An address that a client on this machine can use for what listens on `bound`: 0.0.0.0 is none.
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, bound.port())
}
