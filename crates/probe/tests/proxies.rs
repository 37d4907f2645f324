//! Through tiny proxies of each kind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use watchbell_net::stopwatch::deadline_in;
use watchbell_net::{DialError, Dialed, Net, Proxy, Stream, Target, TlsWish};

use crate::targets::{
    Authority, Heard, Identity, closed_port, echo, greeting, net, net_with, serve, server_config, silent, target, tls,
};

async fn dial(net: &Net, host: &str, port: u16, proxy: &str, tls: Option<&TlsWish>) -> Result<Dialed, Box<DialError>> {
    let proxy: Proxy = proxy.parse().unwrap();
    let target = Target { proxy: Some(&proxy), tls, ..target(host, port) };
    net.dial(&target, deadline_in(Duration::from_secs(5))).await
}

async fn says(mut dialed: Dialed, sent: &[u8], expected: &[u8]) {
    dialed.stream.write_all(sent).await.unwrap();
    dialed.stream.flush().await.unwrap();
    let mut answer = vec![0; expected.len()];
    dialed.stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, expected);
}

#[expect(clippy::disallowed_methods, reason = "a proxy for tests, on loopback")]
async fn open(upstream: SocketAddr) -> TcpStream {
    TcpStream::connect(upstream).await.unwrap()
}

/// A `CONNECT` proxy that leads to `upstream` whatever it is asked for; what it hears goes to `heard`.
async fn connect_proxy(upstream: SocketAddr, password: Option<&'static str>, heard: Heard) -> SocketAddr {
    serve(move |client| be_connect_proxy(client, upstream, password, heard.clone())).await
}

/// The same over TLS.
async fn https_proxy(identity: &Identity, upstream: SocketAddr) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(identity)));
    serve(move |client| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(client) = acceptor.accept(client).await {
                be_connect_proxy(client, upstream, None, Heard::default()).await;
            }
        }
    })
    .await
}

async fn be_connect_proxy<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: S,
    upstream: SocketAddr,
    password: Option<&'static str>,
    heard: Heard,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    heard.note(head.lines().next().unwrap());
    let wanted = password.map(|pair| format!("Proxy-Authorization: Basic {}", BASE64.encode(pair.as_bytes())));
    if wanted.is_some_and(|wanted| !head.lines().any(|line| line == wanted)) {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        return;
    }
    let mut server = open(upstream).await;
    client.write_all(b"HTTP/1.1 200 Connection established\r\nX-Proxy: zoo\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

/// A SOCKS5 proxy that leads to `upstream`, or answers every wish with the error `reply`.
async fn socks_proxy(
    upstream: SocketAddr,
    password: Option<(&'static str, &'static str)>,
    reply: u8,
    heard: Heard,
) -> SocketAddr {
    serve(move |mut client| {
        let heard = heard.clone();
        async move {
            let count = [client.read_u8().await.unwrap(), client.read_u8().await.unwrap()][1];
            let mut methods = vec![0; count.into()];
            client.read_exact(&mut methods).await.unwrap();
            if let Some((user, pass)) = password {
                if !methods.contains(&2) {
                    client.write_all(&[5, 0xff]).await.unwrap();
                    return;
                }
                client.write_all(&[5, 2]).await.unwrap();
                assert_eq!(client.read_u8().await.unwrap(), 1);
                let mut given = Vec::new();
                for _ in 0..2 {
                    let mut part = vec![0; client.read_u8().await.unwrap().into()];
                    client.read_exact(&mut part).await.unwrap();
                    given.push(String::from_utf8(part).unwrap());
                }
                let is_right = given == [user, pass];
                client.write_all(&[1, u8::from(!is_right)]).await.unwrap();
                if !is_right {
                    return;
                }
            } else {
                client.write_all(&[5, 0]).await.unwrap();
            }
            let mut request = [0; 4];
            client.read_exact(&mut request).await.unwrap();
            let length = match request[3] {
                1 => 4,
                4 => 16,
                _ => client.read_u8().await.unwrap(),
            };
            let mut host = vec![0; length.into()];
            client.read_exact(&mut host).await.unwrap();
            let port = client.read_u16().await.unwrap();
            heard.note(format!("{} {:?} {port}", request[3], String::from_utf8_lossy(&host)));
            client.write_all(&[5, reply, 0, 1, 127, 0, 0, 1, 0, 9]).await.unwrap();
            if reply == 0 {
                let mut server = open(upstream).await;
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_proxy_gets_the_name_and_resolves_it() {
    let heard = Heard::default();
    let upstream = echo().await;
    let connect = connect_proxy(upstream, None, heard.clone()).await;
    let socks = socks_proxy(upstream, None, 0, heard.clone()).await;
    // There is no name server at all in this test.
    let net = net();
    for proxy in [format!("http://{connect}"), format!("socks5://{socks}")] {
        let dialed = dial(&net, "inside.example", 8042, &proxy, None).await.unwrap();
        assert_eq!(dialed.phases.dns_us, None);
        assert!(dialed.phases.connect_us.is_some());
        says(dialed, b"ping", b"ping").await;
    }
    assert_eq!(heard.all(), ["CONNECT inside.example:8042 HTTP/1.1", "3 \"inside.example\" 8042"]);
}

#[tokio::test]
async fn addresses_are_passed_on_as_addresses() {
    let heard = Heard::default();
    let upstream = echo().await;
    let connect = connect_proxy(upstream, None, heard.clone()).await;
    let socks = socks_proxy(upstream, None, 0, heard.clone()).await;
    let net = net();
    for proxy in [format!("http://{connect}"), format!("socks5://{socks}")] {
        for host in ["10.0.0.7", "[2001:db8::7]"] {
            dial(&net, host, 80, &proxy, None).await.unwrap();
        }
    }
    let heard = heard.all();
    assert_eq!(heard[..2], ["CONNECT 10.0.0.7:80 HTTP/1.1", "CONNECT [2001:db8::7]:80 HTTP/1.1"]);
    assert!(heard[2].starts_with("1 ") && heard[3].starts_with("4 "), "{heard:?}");
}

#[tokio::test]
async fn a_server_that_speaks_first_loses_no_byte() {
    let upstream = greeting(b"SSH-2.0-zoo\r\n", true).await;
    let connect = connect_proxy(upstream, None, Heard::default()).await;
    let socks = socks_proxy(upstream, None, 0, Heard::default()).await;
    for proxy in [format!("http://{connect}"), format!("socks5://{socks}")] {
        says(dial(&net(), "ssh.example", 22, &proxy, None).await.unwrap(), b"", b"SSH-2.0-zoo\r\n").await;
    }
}

#[tokio::test]
async fn credentials_are_given_and_missing_ones_are_told() {
    let upstream = echo().await;
    let connect = connect_proxy(upstream, Some("me:s3cret"), Heard::default()).await;
    let socks = socks_proxy(upstream, Some(("me", "s3cret")), 0, Heard::default()).await;
    let net = net();
    for (scheme, address) in [("http", connect), ("socks5", socks)] {
        let dialed = dial(&net, "a.example", 80, &format!("{scheme}://me:s3cret@{address}"), None).await.unwrap();
        says(dialed, b"ping", b"ping").await;
        for credentials in ["", "me:wrong@"] {
            let error =
                dial(&net, "a.example", 80, &format!("{scheme}://{credentials}{address}"), None).await.unwrap_err();
            assert_eq!((error.reason.code.as_ref(), error.local), ("proxy", false));
            assert!(
                error.reason.text.contains("password for the proxy")
                    || error.reason.text.contains("needed for the proxy"),
                "{}",
                error.reason.text
            );
        }
    }
}

#[tokio::test]
async fn tls_through_a_proxy_is_verified_against_the_target() {
    let authority = Authority::new("Zoo Authority");
    let upstream = tls(&authority.issue(&["shop.example"], (2020, 2090))).await;
    let wish = TlsWish { ca_pem: Some(authority.pem()), ..TlsWish::default() };
    let net = net();
    for proxy in [
        format!("http://{}", connect_proxy(upstream, None, Heard::default()).await),
        format!("socks5://{}", socks_proxy(upstream, None, 0, Heard::default()).await),
    ] {
        let dialed = dial(&net, "shop.example", 443, &proxy, Some(&wish)).await.unwrap();
        assert_eq!(dialed.tls.as_ref().unwrap().names, ["shop.example"]);
        says(dialed, b"", b"hello").await;
        let error = dial(&net, "other.example", 443, &proxy, Some(&wish)).await.unwrap_err();
        assert_eq!(error.reason.code, "tls_name");
    }
}

#[tokio::test]
async fn a_proxy_may_itself_speak_tls() {
    let authority = Authority::new("Zoo Authority");
    let wish = TlsWish { ca_pem: Some(authority.pem()), ..TlsWish::default() };
    let upstream = tls(&authority.issue(&["shop.example"], (2020, 2090))).await;
    let proxy = https_proxy(&authority.issue(&["localhost"], (2020, 2090)), upstream).await;
    let dialed = dial(&net(), "shop.example", 443, &format!("https://localhost:{}", proxy.port()), Some(&wish)).await;
    let dialed = dialed.unwrap();
    assert!(matches!(dialed.stream, Stream::Nested(_)));
    assert_eq!(dialed.tls.as_ref().unwrap().names, ["shop.example"]);
    says(dialed, b"", b"hello").await;

    let expired = https_proxy(&authority.issue(&["localhost"], (2020, 2021)), upstream).await;
    let error = dial(&net(), "shop.example", 443, &format!("https://localhost:{}", expired.port()), Some(&wish)).await;
    let reason = error.unwrap_err().reason;
    assert_eq!(reason.code, "proxy");
    assert!(reason.text.contains("The certificate expired on 2021-01-01"), "{}", reason.text);
}

#[tokio::test]
async fn what_is_wrong_with_a_proxy_is_told_of_the_proxy() {
    let closed = closed_port().await;
    let net = net();
    for scheme in ["http", "https", "socks5"] {
        let error = dial(&net, "a.example", 80, &format!("{scheme}://{closed}"), None).await.unwrap_err();
        assert_eq!((error.reason.code.as_ref(), error.local), ("proxy", false), "{scheme}: {}", error.reason.text);
        let shut = greeting(b"", false).await;
        let error = dial(&net, "a.example", 80, &format!("{scheme}://{shut}"), None).await.unwrap_err();
        assert_eq!(error.reason.code, "proxy", "{scheme}: {}", error.reason.text);
        let garbage = greeting(b"SSH-2.0-zoo\r\n\r\n", true).await;
        let error = dial(&net, "a.example", 80, &format!("{scheme}://{garbage}"), None).await.unwrap_err();
        assert_eq!(error.reason.code, "proxy", "{scheme}: {}", error.reason.text);
        let stalled: Proxy = format!("{scheme}://{}", silent().await).parse().unwrap();
        let through = Target { proxy: Some(&stalled), ..target("a.example", 80) };
        let error = net.dial(&through, deadline_in(Duration::from_millis(200))).await.unwrap_err();
        assert_eq!(error.reason.code, "timeout", "{scheme}: {}", error.reason.text);
    }
    for (reply, code) in [(1, "proxy"), (2, "proxy"), (4, "unreachable"), (5, "refused"), (6, "timeout")] {
        let socks = socks_proxy(closed, None, reply, Heard::default()).await;
        let error = dial(&net, "a.example", 80, &format!("socks5://{socks}"), None).await.unwrap_err();
        assert_eq!(error.reason.code, code, "{}", error.reason.text);
    }
}

#[tokio::test]
async fn the_egress_rule_is_applied_to_the_proxy_and_to_targets_given_as_an_address() {
    let upstream = echo().await;
    let connect = connect_proxy(upstream, None, Heard::default()).await;
    let error = dial(&net(), "169.254.169.254", 80, &format!("http://{connect}"), None).await.unwrap_err();
    assert_eq!(error.reason.code, "egress");
    let denied = net_with(r#"{"deny": ["127.0.0.0/8"]}"#, &[]);
    let error = dial(&denied, "a.example", 80, &format!("http://{connect}"), None).await.unwrap_err();
    assert_eq!(error.reason.code, "egress");
}
