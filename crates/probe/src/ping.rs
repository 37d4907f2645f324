//! ICMP echo, version 4 and 6. Sent from an unprivileged datagram socket where the system allows it, else from a raw
//! one; where neither is allowed, that is our own trouble, and the reason says how to end it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout_at};
use watchbell_core::kind::{Complaint, Kind};
use watchbell_core::{Finding, Phases, Reason};
use watchbell_net::stopwatch::{Stopwatch, deadline_in, micros};
use watchbell_net::{Family, Fault, Purpose, fault};

use crate::{Ask, ProbeKind};

const COUNT: std::ops::RangeInclusive<u8> = 1..=10;
const PACKET_SIZE: std::ops::RangeInclusive<u16> = 16..=8972;
const DEFAULT_PACKET_SIZE: u16 = 56;

/// Between one packet and the next, if the deadline leaves that much.
const SPACING: Duration = Duration::from_millis(200);

/// When enough have come back, the others get this much longer.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// Sends echo requests (ping) and waits for their return. The response time is the mean round trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Ping")]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Host name or IP address, such as `edge-router.example.org`, `192.0.2.1` or `2001:db8::1`.
    #[schemars(extend("x-group" = "Essentials", "examples" = ["192.0.2.1"]))]
    pub host: String,
    /// How many packets are sent, 200 ms apart: 1 to 10. Default: 1.
    #[serde(default = "default_count", skip_serializing_if = "is_default_count")]
    #[schemars(range(min = 1, max = 10), extend("x-group" = "Request", "default" = 1))]
    pub count: u8,
    /// Bytes in each packet, headers not counted: 16 to 8972. Default: 56.
    #[serde(default = "default_packet_size", skip_serializing_if = "is_default_packet_size")]
    #[schemars(range(min = 16, max = 8972), extend("x-group" = "Request", "default" = 56))]
    pub packet_size: u16,
    /// How many of the packets may be lost, in percent: 0 to 99. One at least must come back. Default: 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 99), extend("x-group" = "What counts as good", "default" = 0))]
    pub max_loss_percent: u8,
    /// Address family to use. Default: `any`, IPv4 where the host has both.
    #[serde(default, skip_serializing_if = "is_any")]
    #[schemars(extend("x-group" = "Network", "default" = "any"))]
    pub family: Family,
}

impl Kind for Ping {
    fn example() -> Self {
        Self {
            host: "edge-router.example.org".to_owned(),
            count: 3,
            packet_size: DEFAULT_PACKET_SIZE,
            max_loss_percent: 34,
            family: Family::Any,
        }
    }

    fn validate(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let host = self.host.as_str();
        let is_address = watchbell_core::address::literal(host).is_some();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#\\".contains(c)) {
            let sentence = format!("`{host}` is not a host; write a name or an IP address, without scheme and path");
            complaints.push(Complaint::new("host", sentence));
        } else if host.contains(':') && !is_address {
            let sentence =
                format!("`{host}` is not an IPv6 address, and a ping has no port; write a name or an IP address");
            complaints.push(Complaint::new("host", sentence));
        }
        if !COUNT.contains(&self.count) {
            complaints.push(Complaint::new("count", format!("{} packets cannot be sent; write 1 to 10", self.count)));
        }
        if !PACKET_SIZE.contains(&self.packet_size) {
            let sentence = format!("{} bytes do not make a packet; write 16 to 8972", self.packet_size);
            complaints.push(Complaint::new("packet_size", sentence));
        }
        if self.max_loss_percent > 99 {
            let sentence = "One packet at least must come back; write 0 to 99".to_owned();
            complaints.push(Complaint::new("max_loss_percent", sentence));
        }
        complaints
    }
}

impl ProbeKind for Ping {
    async fn ask(&self, ctx: &Ask<'_>) -> Finding {
        let mut watch = Stopwatch::start();
        let found = match ctx.net.resolve(&self.host, self.family, ctx.deadline).await {
            Ok(found) => found,
            Err(error) => return error.into_finding(watch.elapsed()),
        };
        let mut phases = Phases::default();
        if watchbell_core::address::literal(&self.host).is_none() {
            phases.dns_us = Some(watch.lap());
        }
        // The first of each family: IPv4, and IPv6 if there is no way to it.
        let mut choices: Vec<IpAddr> = Vec::new();
        let mut refusal = None;
        for want_v4 in [true, false] {
            for address in found.iter().filter(|address| address.is_ipv4() == want_v4) {
                match ctx.net.permits(Purpose::Probe, *address) {
                    Ok(()) => {
                        choices.push(*address);
                        break;
                    }
                    Err(why) => refusal = refusal.or(Some(why)),
                }
            }
        }
        let mut finding = None;
        for address in choices {
            let echoes = self.echo(address, ctx.deadline).await;
            let no_way = matches!(&echoes, Err(fault) if fault.code == "network");
            finding = Some(self.judge(address, echoes, watch.elapsed()));
            if !no_way {
                break;
            }
        }
        let mut finding = finding.unwrap_or_else(|| {
            Fault::new("egress", refusal.unwrap_or_else(|| "No address may be asked".to_owned()))
                .into_finding(watch.elapsed())
        });
        finding.phases.dns_us = phases.dns_us;
        finding
    }

    fn target(&self) -> String {
        self.host.clone()
    }
}

impl Ping {
    /// Sends all packets; the round trips of those that came back.
    async fn echo(&self, address: IpAddr, deadline: Instant) -> Result<Vec<Duration>, Fault> {
        let mut identity = Identity::new(address, self.packet_size);
        let socket = open(address, &mut identity)?;
        let start = deadline_in(Duration::ZERO);
        let spacing = SPACING.min(deadline.saturating_duration_since(start) / (u32::from(self.count) + 1));

        let mut sent: Vec<Stopwatch> = Vec::with_capacity(self.count.into());
        let mut trips: Vec<Option<Duration>> = vec![None; self.count.into()];
        let mut until = deadline;
        // Room for an IP header with options, and for one byte more than is ours.
        let mut buffer = vec![0; usize::from(self.packet_size) + 128];
        loop {
            let arrived = trips.iter().flatten().count();
            if arrived == trips.len() {
                break;
            }
            if sent.len() == trips.len() && self.is_enough(arrived) && until == deadline {
                until = deadline.min(deadline_in(STRAGGLERS));
            }
            let next = start + spacing * u32::try_from(sent.len()).unwrap_or(u32::MAX);
            // Unbiased, so that a flood of packets starves neither the sending nor the deadline.
            tokio::select! {
                received = socket.recv(&mut buffer) => {
                    let length = received.map_err(|error| explain(&error, address))?;
                    if let Some(number) = identity.recognise(&buffer[..length])
                        && let (Some(watch), Some(trip)) = (sent.get(number), trips.get_mut(number))
                    {
                        // A second copy of the same packet does not change the first one's time.
                        trip.get_or_insert(watch.elapsed());
                    }
                }
                () = sleep_until(next), if sent.len() < trips.len() => {
                    let packet = identity.packet(u16::try_from(sent.len()).unwrap_or(u16::MAX));
                    sent.push(Stopwatch::start());
                    let sending = timeout_at(deadline, socket.send(&packet));
                    match sending.await {
                        Ok(outcome) => outcome.map(drop).map_err(|error| explain(&error, address))?,
                        Err(_) => break,
                    }
                }
                () = sleep_until(until) => break,
            }
        }
        Ok(trips.into_iter().flatten().collect())
    }

    fn is_enough(&self, arrived: usize) -> bool {
        let lost = usize::from(self.count) - arrived;
        arrived > 0 && lost * 100 <= usize::from(self.max_loss_percent) * usize::from(self.count)
    }

    fn judge(&self, address: IpAddr, echoes: Result<Vec<Duration>, Fault>, waited: Duration) -> Finding {
        let trips = match echoes {
            Ok(trips) => trips,
            Err(fault) => {
                let mut finding = fault.into_finding(waited);
                finding.evidence.row("Address", address.to_string());
                return finding;
            }
        };
        let (count, lost) = (usize::from(self.count), usize::from(self.count) - trips.len());
        let mean = trips.iter().sum::<Duration>().checked_div(u32::try_from(trips.len()).unwrap_or(1));
        let mut finding = match mean {
            Some(mean) if self.is_enough(trips.len()) => Finding::ok(mean),
            Some(mean) => {
                let percent = (lost * 100).div_ceil(count);
                let text = format!(
                    "{lost} of {count} packets to {address} were lost ({percent} %, at most {} %)",
                    self.max_loss_percent
                );
                Finding::fail(Reason::new("loss", text), mean)
            }
            None => fault::timed_out(format_args!("no echo from {address}"), waited).into_finding(waited),
        };
        finding.phases.wait_us = mean.map(micros);
        finding.evidence.row("Address", address.to_string());
        finding.evidence.row("Loss", format!("{lost} of {count} packets"));
        if let (Some(fastest), Some(mean), Some(slowest)) = (trips.iter().min(), mean, trips.iter().max()) {
            let [fastest, mean, slowest] = [*fastest, mean, *slowest].map(|trip| trip.as_secs_f64() * 1000.0);
            let times = format!("{mean:.2} ms (fastest {fastest:.2}, slowest {slowest:.2})");
            finding.evidence.row("Round trip", times);
        }
        finding
    }
}

/// A socket that may ping, connected to `address` so that the kernel keeps what others send away from it.
fn open(address: IpAddr, identity: &mut Identity) -> Result<UdpSocket, Fault> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let wrong = |error: io::Error| explain(&error, address);
    let is_shortage = |error: &io::Error| explain(error, address).code == "descriptors";
    let socket = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Err(error) if !is_shortage(&error) => {
            let raw = Socket::new(domain, Type::RAW, Some(protocol));
            let not_ours = |error: io::Error| {
                if error.kind() == io::ErrorKind::PermissionDenied { not_allowed() } else { wrong(error) }
            };
            let raw = raw.map_err(not_ours)?;
            identity.is_raw = true;
            identity.filter(&raw);
            raw
        }
        outcome => outcome.map_err(wrong)?,
    };
    socket.set_nonblocking(true).map_err(wrong)?;
    socket.connect(&SockAddr::from(SocketAddr::new(address, 0))).map_err(wrong)?;
    // Sending and receiving are the same calls for ICMP as for UDP.
    UdpSocket::from_std(socket.into()).map_err(wrong)
}

/// What refuses a ping is a router or a firewall on the way, or the host itself; there is no port that could be shut.
fn explain(error: &io::Error, address: IpAddr) -> Fault {
    match fault::explain(error, &address) {
        fault if fault.code == "refused" => {
            Fault { code: "unreachable", text: format!("Host unreachable: {address}"), ..fault }
        }
        fault => fault,
    }
}

fn not_allowed() -> Fault {
    Fault::local(
        "permission",
        "This process may not ping. As root, run `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"`, \
         or `setcap cap_net_raw+ep` on the watchbell program",
    )
}

/// What makes our packets ours: identifier, and a token in the payload that nobody can guess.
struct Identity {
    is_v4: bool,
    is_raw: bool,
    identifier: u16,
    token: [u8; 8],
    size: u16,
}

const HEADER: usize = 8;
const ECHO_REQUEST: [u8; 2] = [8, 128];
const ECHO_REPLY: [u8; 2] = [0, 129];

impl Identity {
    fn new(address: IpAddr, size: u16) -> Self {
        // The standard library's hash keys are random for each process; no other source is needed for this.
        let token = RandomState::new().hash_one(address).to_be_bytes();
        let identifier = u16::from_be_bytes([token[0], token[7]]);
        Self { is_v4: address.is_ipv4(), is_raw: false, identifier, token, size }
    }

    /// Has the kernel drop what is not the echo of our packet before it takes up room in a raw socket's queue: each of
    /// a hundred pings of one host would otherwise get the echoes of all. What still comes through is recognised all
    /// the same, so a system without such filters only works harder.
    #[cfg(target_os = "linux")]
    fn filter(&self, socket: &Socket) {
        use socket2::SockFilter;
        // Classic BPF, from linux/filter.h: load relative to X, jump if equal, return.
        const HEADER_LENGTH_TO_X: u16 = 0xb1;
        const ZERO_TO_X: u16 = 0x01;
        const LOAD_BYTE: u16 = 0x50;
        const LOAD_HALF: u16 = 0x48;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        // Version 4 comes with its IP header, version 6 without.
        let to_icmp = if self.is_v4 { HEADER_LENGTH_TO_X } else { ZERO_TO_X };
        let reply = u32::from(ECHO_REPLY[usize::from(!self.is_v4)]);
        let program = [
            SockFilter::new(to_icmp, 0, 0, 0),
            SockFilter::new(LOAD_BYTE, 0, 0, 0),
            SockFilter::new(JUMP_IF_EQUAL, 0, 3, reply),
            SockFilter::new(LOAD_HALF, 0, 0, 4),
            SockFilter::new(JUMP_IF_EQUAL, 0, 1, self.identifier.into()),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
            SockFilter::new(RETURN, 0, 0, 0),
        ];
        if let Err(error) = socket.attach_filter(&program) {
            tracing::debug!("pings are told apart without the kernel's help: {error}");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn filter(&self, _: &Socket) {}

    /// RFC 792 and RFC 4443, section 4.1: type, code, checksum, identifier, sequence number, payload.
    fn packet(&self, number: u16) -> Vec<u8> {
        let mut packet = vec![0; HEADER + usize::from(self.size)];
        packet[0] = ECHO_REQUEST[usize::from(!self.is_v4)];
        packet[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        packet[6..8].copy_from_slice(&number.to_be_bytes());
        packet[HEADER..HEADER + 8].copy_from_slice(&self.token);
        packet[HEADER + 8..HEADER + 10].copy_from_slice(&number.to_be_bytes());
        for (place, byte) in packet.iter_mut().enumerate().skip(HEADER + 10) {
            *byte = u8::try_from(place % 256).unwrap_or_default();
        }
        // The kernel fills in the checksum of version 6, which covers addresses it alone knows.
        if self.is_v4 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// The number of our packet that this is the echo of.
    fn recognise(&self, bytes: &[u8]) -> Option<usize> {
        // A raw socket of version 4 gives the IP header too.
        let bytes = match bytes.first()? {
            first if self.is_v4 && first >> 4 == 4 => bytes.get(usize::from(first & 0x0f) * 4..)?,
            _ => bytes,
        };
        let is_reply = bytes.first() == Some(&ECHO_REPLY[usize::from(!self.is_v4)]);
        let number = bytes.get(6..8)?;
        let is_ours = bytes.get(HEADER..HEADER + 8)? == self.token && bytes.get(HEADER + 8..HEADER + 10)? == number;
        // The kernel puts an identifier of its own into what a datagram socket sends.
        let is_addressed = !self.is_raw || bytes.get(4..6)? == self.identifier.to_be_bytes();
        let is_whole = bytes.len() == HEADER + usize::from(self.size);
        (is_reply && is_ours && is_addressed && is_whole)
            .then(|| usize::from(u16::from_be_bytes([number[0], number[1]])))
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

const fn default_count() -> u8 {
    1
}

fn is_default_count(value: &u8) -> bool {
    *value == default_count()
}

const fn default_packet_size() -> u16 {
    DEFAULT_PACKET_SIZE
}

fn is_default_packet_size(value: &u16) -> bool {
    *value == DEFAULT_PACKET_SIZE
}

fn is_zero(value: &u8) -> bool {
    *value == 0
}

fn is_any(family: &Family) -> bool {
    *family == Family::Any
}

#[cfg(test)]
mod tests {
    use watchbell_core::Outcome;

    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    /// What the other side makes of a packet.
    fn returned(mut packet: Vec<u8>, is_v4: bool) -> Vec<u8> {
        packet[0] = ECHO_REPLY[usize::from(!is_v4)];
        packet
    }

    #[test]
    fn only_the_echo_of_our_own_packet_counts() {
        for address in [V4, V6] {
            let is_v4 = address.is_ipv4();
            let ours = Identity { is_raw: true, ..Identity::new(address, 56) };
            let reply = returned(ours.packet(3), is_v4);
            assert_eq!(ours.recognise(&reply), Some(3));
            assert_eq!(ours.recognise(&ours.packet(3)), None, "our own request");
            assert_eq!(Identity::new(address, 56).recognise(&reply), None, "somebody else's");
            assert_eq!(ours.recognise(&reply[..reply.len() - 1]), None, "cut short");
            for place in [0, 4, 6, 9, 17] {
                let mut changed = reply.clone();
                changed[place] ^= 1;
                assert_eq!(ours.recognise(&changed), None, "byte {place} changed");
            }
            for length in 0..reply.len() {
                ours.recognise(&reply[..length]);
            }
        }
    }

    #[test]
    fn the_ip_header_of_a_raw_socket_is_passed_over() {
        let ours = Identity::new(V4, 16);
        let mut packet = vec![0x46; 24];
        packet.extend(returned(ours.packet(0), true));
        assert_eq!(ours.recognise(&packet), Some(0));
        assert_eq!(ours.recognise(&[0x4f]), None);
    }

    #[test]
    fn a_packet_with_its_checksum_sums_to_nothing() {
        assert_eq!(checksum(&Identity::new(V4, 57).packet(9)), 0);
    }

    #[test]
    fn losses_are_tolerated_as_far_as_the_settings_say() {
        for (count, percent, arrived, enough) in [
            (1, 0, 1, true),
            (1, 99, 0, false),
            (3, 34, 2, true),
            (3, 33, 2, false),
            (10, 50, 5, true),
            (10, 50, 4, false),
            (2, 0, 1, false),
        ] {
            let ping = Ping { count, max_loss_percent: percent, ..Ping::example() };
            assert_eq!(ping.is_enough(arrived), enough, "{arrived} of {count}, {percent} %");
        }
    }

    #[test]
    fn silence_and_refusal_are_told_apart() {
        let ping = Ping { count: 3, max_loss_percent: 0, ..Ping::example() };
        let waited = Duration::from_secs(10);
        let silence = ping.judge(V4, Ok(Vec::new()), waited);
        assert_eq!(
            silence.outcome,
            Outcome::Fail(Reason::new("timeout", "Timed out after 10 s: no echo from 127.0.0.1"))
        );
        assert_eq!(silence.took, waited);
        let some = ping.judge(V4, Ok(vec![Duration::from_millis(2), Duration::from_millis(4)]), waited);
        let text = "1 of 3 packets to 127.0.0.1 were lost (34 %, at most 0 %)";
        assert_eq!((some.outcome, some.took), (Outcome::Fail(Reason::new("loss", text)), Duration::from_millis(3)));
        let refused = ping.judge(V4, Err(explain(&io::ErrorKind::ConnectionRefused.into(), V4)), waited);
        assert_eq!(refused.outcome, Outcome::Fail(Reason::new("unreachable", "Host unreachable: 127.0.0.1")));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_in_sentences() {
        let bad: Ping =
            serde_json::from_str(r#"{"host":"http://x","count":11,"packet_size":9,"max_loss_percent":100}"#).unwrap();
        let fields: Vec<_> = bad.validate().into_iter().map(|complaint| complaint.field).collect();
        assert_eq!(fields, ["host", "count", "packet_size", "max_loss_percent"]);
        for host in ["", "host:80", "a b"] {
            assert_eq!(Ping { host: host.into(), ..Ping::example() }.validate().len(), 1, "{host}");
        }
        for host in ["192.0.2.1", "::1", "[::1]", "router", "edge-router.example.org"] {
            assert_eq!(Ping { host: host.into(), ..Ping::example() }.validate(), [], "{host}");
        }
    }
}
