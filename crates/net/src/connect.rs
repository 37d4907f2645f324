//! TCP to the first of several addresses that answers. One that stays silent costs the others a moment, not the
//! whole deadline.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use crate::fault::{self, Fault};
use crate::stopwatch::Stopwatch;

/// How long an address has the field to itself before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// A name with a thousand addresses must not cost a thousand connections.
const MOST_TRIED: usize = 8;

/// Connects to the first address that answers; else says what happened with the most telling one.
pub(crate) async fn connect(
    addresses: &[IpAddr],
    port: u16,
    waiting: &Stopwatch,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), (Fault, SocketAddr)> {
    // Almost every target has one address, and needs no race.
    if let [only] = addresses {
        let socket = SocketAddr::new(*only, port);
        return match timeout_at(deadline, connect_one(socket)).await {
            Ok((_, outcome)) => outcome.map(|stream| (stream, socket)).map_err(|fault| (fault, socket)),
            Err(_) => Err((too_late(socket, waiting), socket)),
        };
    }
    let sockets: Vec<_> = order(addresses).into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    let mut faults = Vec::new();
    if let Ok(found) = timeout_at(deadline, race(&sockets, &mut faults)).await {
        if let Some(found) = found {
            return Ok(found);
        }
    } else {
        let silent = sockets.iter().find(|s| !faults.iter().any(|(_, failed)| failed == *s)).unwrap_or(&sockets[0]);
        faults.push((too_late(*silent, waiting), *silent));
    }
    Err(most_telling(faults))
}

fn too_late(socket: SocketAddr, waiting: &Stopwatch) -> Fault {
    fault::timed_out(format_args!("no connection to {socket}"), waiting.elapsed())
}

/// IPv4 and IPv6 in turn, IPv4 first: a broken IPv6 is far commoner than a broken IPv4.
fn order(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv4());
    let mut ordered = Vec::with_capacity(addresses.len());
    for turn in 0..v4.len().max(v6.len()) {
        ordered.extend(v4.get(turn));
        ordered.extend(v6.get(turn));
    }
    ordered.truncate(MOST_TRIED);
    ordered
}

async fn race(sockets: &[SocketAddr], faults: &mut Vec<(Fault, SocketAddr)>) -> Option<(TcpStream, SocketAddr)> {
    let mut waiting = sockets.iter().copied();
    let mut tries = FuturesUnordered::new();
    loop {
        match waiting.next() {
            Some(socket) => tries.push(connect_one(socket)),
            None if tries.is_empty() => return None,
            None => {}
        }
        tokio::select! {
            Some((socket, outcome)) = tries.next() => match outcome {
                Ok(stream) => return Some((stream, socket)),
                Err(fault) => faults.push((fault, socket)),
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that opens connections; the address has been permitted")]
async fn connect_one(socket: SocketAddr) -> (SocketAddr, Result<TcpStream, Fault>) {
    let connected = TcpStream::connect(socket).await.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    (socket, connected.map_err(|error| fault::explain(&error, &socket)))
}

/// A shortage of ours hides what the target would have said; else what a target said beats what we could not reach.
fn most_telling(faults: Vec<(Fault, SocketAddr)>) -> (Fault, SocketAddr) {
    let rank = |fault: &Fault| match fault.code {
        "descriptors" => 0,
        "refused" => 1,
        "reset" => 2,
        "timeout" => 3,
        "unreachable" => 4,
        _ if !fault.local => 5,
        _ => 6,
    };
    let others: Vec<String> = faults.iter().map(|(fault, _)| fault.text.clone()).collect();
    let (mut fault, socket) = faults
        .into_iter()
        .min_by_key(|(fault, _)| rank(fault))
        .expect("the race ends without a winner only after a fault or a deadline, which is one");
    if others.len() > 1 {
        fault.chain.extend(others.into_iter().filter(|text| *text != fault.text));
    }
    (fault, socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_there_are_never_too_many() {
        assert_eq!(order(&ips(&["::1", "::2", "10.0.0.1"])), ips(&["10.0.0.1", "::1", "::2"]));
        assert_eq!(order(&ips(&["10.0.0.1", "10.0.0.2", "::1", "::2"])), ips(&["10.0.0.1", "::1", "10.0.0.2", "::2"]));
        let crowd: Vec<IpAddr> = (0..1000u32).map(|n| IpAddr::V4(n.into())).collect();
        assert_eq!(order(&crowd).len(), MOST_TRIED);
    }

    #[test]
    fn a_missing_ipv6_does_not_hide_what_ipv4_said() {
        let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
        let faults = vec![
            (Fault::local("network", "This machine has no route to [::1]:80"), socket("[::1]:80")),
            (Fault::new("refused", "Connection refused by 127.0.0.1:80"), socket("127.0.0.1:80")),
        ];
        let (fault, address) = most_telling(faults);
        assert_eq!((fault.code, address), ("refused", socket("127.0.0.1:80")));
        assert_eq!(fault.chain, ["This machine has no route to [::1]:80"]);
    }
}
