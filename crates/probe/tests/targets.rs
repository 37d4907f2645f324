//! The zoo: small servers on loopback that behave badly on request, and what tests need to visit them. Each lives until
//! the test's runtime ends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;
use watchbell_core::address::Egress;
use watchbell_core::{Finding, Outcome, Reason, Timestamp};
use watchbell_net::stopwatch::{Stopwatch, deadline_in};
use watchbell_net::{Family, Net, NetSettings, Purpose, Target, provider};
use watchbell_probe::{Ask, Probe, Reuse};

/// How much later than its deadline a check may end.
const GRACE: Duration = Duration::from_millis(250);

/// Asks as the engine does, and holds the probe to its deadline.
pub(crate) async fn ask(net: &Net, probe: &str, timeout_ms: u64) -> Finding {
    let probe: Probe = serde_json::from_str(probe).unwrap();
    assert_eq!(probe.validate(), [], "settings that would be refused");
    let timeout = Duration::from_millis(timeout_ms);
    let reuse = Reuse::default();
    let ctx = Ask { net, deadline: deadline_in(timeout), now: Timestamp::EPOCH, reuse: &reuse, monitor: 1 };
    let watch = Stopwatch::start();
    let finding = probe.ask(&ctx).await;
    let took = watch.elapsed();
    assert!(took <= timeout + GRACE, "{probe:?} took {took:?} of {timeout:?}");
    finding
}

/// Why the target was found bad.
pub(crate) fn fail(finding: &Finding) -> &Reason {
    match &finding.outcome {
        Outcome::Fail(reason) => reason,
        other => panic!("expected a failure of the target, got {other:?}"),
    }
}

/// Why we could not ask.
pub(crate) fn local(finding: &Finding) -> &Reason {
    match &finding.outcome {
        Outcome::Local(reason) => reason,
        other => panic!("expected trouble of our own, got {other:?}"),
    }
}

pub(crate) fn row<'a>(finding: &'a Finding, name: &str) -> &'a str {
    let row = finding.evidence.rows.iter().find(|row| row.name == name);
    &row.unwrap_or_else(|| panic!("no row {name} in {:?}", finding.evidence.rows)).value
}

/// A way out without restrictions and without a name server.
pub(crate) fn net() -> Net {
    net_with("{}", &[SocketAddr::from((Ipv4Addr::LOCALHOST, 9))])
}

pub(crate) fn net_with(egress: &str, nameservers: &[SocketAddr]) -> Net {
    let egress: Egress = serde_json::from_str(egress).unwrap();
    Net::new(NetSettings { egress, nameservers: nameservers.to_vec() }).unwrap()
}

pub(crate) fn target(host: &str, port: u16) -> Target<'_> {
    Target { purpose: Purpose::Probe, host, port, family: Family::Any, tls: None, proxy: None }
}

async fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

/// Serves every connection with `serve`.
pub(crate) async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    serve_on(listener().await, serve)
}

fn serve_on<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Nobody listens there.
pub(crate) async fn closed_port() -> SocketAddr {
    listener().await.local_addr().unwrap()
}

/// A listener whose queue is full, so that connecting to it hangs. It lives as long as the value.
pub(crate) struct BlackHole {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _fill: Vec<Socket>,
}

pub(crate) fn black_hole() -> BlackHole {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let fill = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        socket
    });
    BlackHole { address, _fill: fill.collect(), _listener: listener }
}

/// Accepts, and says nothing ever.
pub(crate) async fn silent() -> SocketAddr {
    serve(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await
}

/// Accepts, and resets the connection after reading a little.
pub(crate) async fn resetting() -> SocketAddr {
    serve(|mut stream| async move {
        let _ = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut [0; 64])).await;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await
}

/// Accepts, says `greeting`, and closes or stays.
pub(crate) async fn greeting(greeting: &'static [u8], and_stays: bool) -> SocketAddr {
    serve(move |mut stream| async move {
        stream.write_all(greeting).await.unwrap();
        if and_stays {
            std::future::pending::<()>().await;
        }
    })
    .await
}

/// Accepts, listens politely, and hangs up without a word.
pub(crate) async fn hanging_up() -> SocketAddr {
    serve(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await
}

/// Sends back what it gets.
pub(crate) async fn echo() -> SocketAddr {
    serve(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

/// One byte every 20 ms, for ever.
pub(crate) async fn dripping() -> SocketAddr {
    serve(|mut stream| async move {
        while stream.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// As many bytes as anybody takes, as fast as they take them; how many were taken stands in the counter.
pub(crate) async fn endless() -> (SocketAddr, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let address = serve(move |mut stream| {
        let sent = sent.clone();
        async move {
            let block = [b'a'; 16 * 1024];
            while let Ok(taken) = stream.write(&block).await {
                sent.fetch_add(taken, Ordering::Relaxed);
            }
        }
    })
    .await;
    (address, count)
}

/// A certificate authority made for the test.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `names`, valid between the two years' first days.
    pub(crate) fn issue(&self, names: &[&str], years: (i32, i32)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(names, years).signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], key }
    }
}

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Identity {
    pub(crate) fn self_signed(names: &[&str], years: (i32, i32)) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(names, years).self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().clone()], key }
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

fn leaf(names: &[&str], (first, last): (i32, i32)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
    params.not_before = date_time_ymd(first, 1, 1);
    params.not_after = date_time_ymd(last, 1, 1);
    params
}

/// Speaks TLS with `identity`, then says `hello`.
pub(crate) async fn tls(identity: &Identity) -> SocketAddr {
    tls_with(server_config(identity)).await
}

pub(crate) async fn tls_with(config: ServerConfig) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.write_all(b"hello").await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await
}

pub(crate) fn server_config(identity: &Identity) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key())
        .unwrap()
}

/// What the name server says to a question.
pub(crate) enum Said {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    ServerFailure,
    Nothing,
}

/// A name server that answers as `answer(name, wants_v4, n)` says; `n` counts the questions for that name and family.
/// Its answers may be cached for an hour, which nobody should do.
pub(crate) async fn dns(answer: impl Fn(&str, bool, usize) -> Said + Send + 'static) -> SocketAddr {
    #[expect(clippy::disallowed_methods, reason = "a name server for tests, on loopback")]
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut asked: Vec<(String, bool)> = Vec::new();
        let mut packet = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let question = &packet[12..length];
            let mut name = String::new();
            let mut at = 0;
            while question[at] != 0 {
                let label = &question[at + 1..=at + usize::from(question[at])];
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(std::str::from_utf8(label).unwrap());
                at += 1 + label.len();
            }
            let wants_v4 = question[at + 1..at + 3] == [0, 1];
            let key = (name.clone(), wants_v4);
            let n = asked.iter().filter(|known| **known == key).count();
            asked.push(key);

            let (code, addresses) = match answer(&name, wants_v4, n) {
                Said::Addresses(list) => (0, list),
                Said::NoSuchName => (3, Vec::new()),
                Said::ServerFailure => (2, Vec::new()),
                Said::Nothing => continue,
            };
            let addresses: Vec<_> = addresses.into_iter().filter(|address| address.is_ipv4() == wants_v4).collect();
            let mut reply = packet[..2].to_vec();
            reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0]);
            reply.extend_from_slice(&question[..at + 5]);
            for address in addresses {
                reply.extend([0xc0, 12, 0, if wants_v4 { 1 } else { 28 }, 0, 1, 0, 0, 14, 16]);
                match address {
                    IpAddr::V4(v4) => reply.extend([&[0, 4][..], &v4.octets()].concat()),
                    IpAddr::V6(v6) => reply.extend([&[0, 16][..], &v6.octets()].concat()),
                }
            }
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    address
}

/// A name server that knows one name.
pub(crate) async fn dns_for(known: &'static str, addresses: &[&str]) -> SocketAddr {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    dns(move |name, _, _| if name == known { Said::Addresses(addresses.clone()) } else { Said::NoSuchName }).await
}

/// What a server of the zoo was told, for tests that look at the other side.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
