//! Where the functions are reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use tokio::net::TcpListener;

use crate::Error;

/// An address of the network that stands for any, by RFC 5737. Nothing is sent to it.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// Listens at `port` of `address`.
///
/// # Errors
/// If the port is taken; says which option names another.
pub async fn bind(address: IpAddr, port: u16, option: &str) -> Result<TcpListener, Error> {
    TcpListener::bind((address, port))
        .await
        .map_err(|error| format!("port {port} of {address}: {error}; name another with {option}, or another address with --listen").into())
}

/// The address by which a process on this machine reaches what listens at `listening`.
pub fn from_here(listening: SocketAddr) -> String {
    if listening.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", listening.port())
    } else {
        format!("http://{listening}")
    }
}

/// The address by which a browser in the network reaches it.
pub fn from_the_network(listening: SocketAddr) -> String {
    match outward().filter(|_| listening.ip().is_unspecified()) {
        Some(address) => format!("http://{}", SocketAddr::new(address, listening.port())),
        None => from_here(listening),
    }
}

/// The address from which this machine would speak to another network.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}
