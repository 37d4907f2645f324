//! Certificates of every kind of badness, and servers that only pretend to speak TLS.

use std::net::SocketAddr;

use watchbell_core::{Finding, Outcome, Timestamp};
use watchbell_net::stopwatch::deadline_in;
use watchbell_net::{Net, Target, TlsVersion, TlsWish};

use crate::targets::{
    Authority, Identity, ask, dripping, fail, greeting, hanging_up, net, resetting, row, server_config, silent, target,
    tls, tls_with,
};

const VALID: (i32, i32) = (2020, 2090);

async fn check(net: &Net, address: SocketAddr, mode: &str, authority: &Authority) -> Finding {
    let pem = serde_json::to_string(&authority.pem()).unwrap();
    let port = address.port();
    ask(net, &format!(r#"{{"tcp": {{"address": "localhost:{port}", "expect": "hello", "tls": "{mode}", "ca": {pem}, "family": "v4"}}}}"#), 3000).await
}

#[tokio::test]
async fn a_good_certificate_is_shown_with_its_dates() {
    let authority = Authority::new("Zoo Authority");
    let address = tls(&authority.issue(&["localhost", "127.0.0.1"], VALID)).await;
    let finding = check(&net(), address, "strict", &authority).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    assert_eq!(finding.expires_at, Some("2090-01-01T00:00:00Z".parse::<Timestamp>().unwrap()));
    assert_eq!(row(&finding, "TLS"), "TLS 1.3, TLS13_AES_256_GCM_SHA384");
    assert_eq!(row(&finding, "Certificate"), "localhost");
    assert_eq!(row(&finding, "Issuer"), "Zoo Authority");
    assert_eq!(row(&finding, "Names"), "localhost, 127.0.0.1");
    assert_eq!(row(&finding, "Expires"), "2090-01-01 00:00 UTC");
    assert!(finding.phases.dns_us.is_some() && finding.phases.connect_us.is_some() && finding.phases.tls_us.is_some());
}

#[tokio::test]
async fn a_bad_certificate_says_why_and_shows_itself_even_though_the_handshake_failed() {
    let authority = Authority::new("Zoo Authority");
    let stranger = Authority::new("Stranger");
    let net = net();
    for (identity, code, text) in [
        (
            authority.issue(&["localhost"], (2020, 2022)),
            "tls_expired",
            "The certificate expired on 2022-01-01 00:00 UTC, ",
        ),
        (
            authority.issue(&["localhost"], (2080, 2090)),
            "tls_expired",
            "The certificate is not valid before 2080-01-01 00:00 UTC",
        ),
        (
            authority.issue(&["shop.example", "www.shop.example", "c.example", "d.example"], VALID),
            "tls_name",
            "The certificate is for shop.example, www.shop.example and 2 more, not for localhost (valid from 2020-01-01 00:00 UTC to 2090-01-01 00:00 UTC)",
        ),
        (
            stranger.issue(&["localhost"], VALID),
            "tls_untrusted",
            "The certificate's issuer “Stranger” is not trusted here, or an intermediate is missing (valid from 2020",
        ),
        (
            Identity::self_signed(&["localhost"], VALID),
            "tls_untrusted",
            "The certificate is self-signed and not trusted here (valid from 2020",
        ),
    ] {
        let not_after = if text.contains("2022") { "2022-01-01" } else { "2090-01-01" };
        let address = tls(&identity).await;

        let finding = check(&net, address, "strict", &authority).await;
        let reason = fail(&finding);
        assert_eq!(reason.code, code, "{}", reason.text);
        assert!(reason.text.starts_with(text), "{}", reason.text);
        assert!(row(&finding, "Expires").starts_with(not_after));
        assert_eq!(row(&finding, "Complaint"), reason.text);
        assert!(finding.expires_at.is_some());

        // The same, only noted.
        let finding = check(&net, address, "fallback", &authority).await;
        assert_eq!(finding.outcome, Outcome::Ok, "{code}");
        assert!(row(&finding, "Complaint").starts_with(text));

        // Not even noted, but the dates are seen.
        let finding = check(&net, address, "unverified", &authority).await;
        assert_eq!(finding.outcome, Outcome::Ok, "{code}");
        assert!(finding.expires_at.is_some() && finding.evidence.rows.iter().all(|row| row.name != "Complaint"));
    }
}

#[tokio::test]
async fn an_authority_nobody_named_is_not_trusted() {
    let authority = Authority::new("Zoo Authority");
    let port = tls(&authority.issue(&["localhost"], VALID)).await.port();
    let finding = ask(&net(), &format!(r#"{{"tcp": {{"address": "localhost:{port}", "tls": "strict"}}}}"#), 3000).await;
    assert_eq!(fail(&finding).code, "tls_untrusted");
}

#[tokio::test]
async fn an_expired_intermediate_is_named() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
    let root = {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Old Root");
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Tired Intermediate");
    params.not_before = date_time_ymd(2010, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let middle = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2090, 1, 1);
    let leaf = params.signed_by(&key, &middle).unwrap();
    let address = tls(&Identity { chain: vec![leaf.der().clone(), middle.der().clone()], key }).await;

    let pem = serde_json::to_string(&root.pem()).unwrap();
    let probe = format!(r#"{{"tcp": {{"address": "localhost:{}", "tls": "strict", "ca": {pem}}}}}"#, address.port());
    let finding = ask(&net(), &probe, 3000).await;
    assert_eq!(fail(&finding).code, "tls_expired", "{}", fail(&finding).text);
    assert!(
        fail(&finding).text.starts_with("The intermediate certificate “Tired Intermediate” expired on 2021-01-01"),
        "{}",
        fail(&finding).text
    );
    assert_eq!(finding.expires_at, Some("2021-01-01T00:00:00Z".parse().unwrap()), "the earliest of the chain");
}

#[tokio::test]
async fn what_is_not_tls_is_told_as_such_and_in_time() {
    let garbage = greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await;
    let shut = hanging_up().await;
    for (address, code, text) in [
        (garbage, "tls", format!("{garbage} answered with something that is not TLS")),
        (shut, "tls", format!("{shut} closed the connection during the TLS handshake")),
    ] {
        let finding = ask(&net(), &format!(r#"{{"tcp": {{"address": "{address}", "tls": "strict"}}}}"#), 1000).await;
        assert_eq!((fail(&finding).code.as_ref(), &fail(&finding).text), (code, &text));
    }
    for (address, code) in [(silent().await, "timeout"), (dripping().await, "tls"), (resetting().await, "reset")] {
        let finding = ask(&net(), &format!(r#"{{"tcp": {{"address": "{address}", "tls": "strict"}}}}"#), 300).await;
        assert_eq!(fail(&finding).code, code, "{}", fail(&finding).text);
        assert!(finding.phases.tls_us.is_some());
    }
    let stalled = silent().await;
    let finding = ask(&net(), &format!(r#"{{"tcp": {{"address": "{stalled}", "tls": "strict"}}}}"#), 300).await;
    let text = &fail(&finding).text;
    assert!(
        text.starts_with("Timed out after ") && text.ends_with(&format!(" ms: no TLS handshake with {stalled}")),
        "{text}"
    );
}

#[tokio::test]
async fn a_changed_certificate_is_seen_at_once() {
    // One server that changes its certificate between two checks: a resumed session would show the old one.
    let authority = Authority::new("Zoo Authority");
    let (old, new) = (authority.issue(&["localhost"], (2020, 2080)), authority.issue(&["localhost"], VALID));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let configs = [server_config(&old), server_config(&old), server_config(&new)].map(std::sync::Arc::new);
    tokio::spawn(async move {
        for config in configs {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tokio_rustls::TlsAcceptor::from(config).accept(stream).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await.unwrap();
        }
    });
    let net = net();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let finding = check(&net, address, "strict", &authority).await;
        assert_eq!(finding.outcome, Outcome::Ok);
        seen.push(row(&finding, "Expires").to_owned());
    }
    assert_eq!(seen, ["2080-01-01 00:00 UTC", "2080-01-01 00:00 UTC", "2090-01-01 00:00 UTC"]);
}

#[tokio::test]
async fn an_older_version_than_asked_for_is_refused() {
    let authority = Authority::new("Zoo Authority");
    let identity = authority.issue(&["localhost"], VALID);
    let config = rustls::ServerConfig::builder_with_provider(watchbell_net::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            identity.chain.clone(),
            rustls_pki_types::PrivateKeyDer::Pkcs8(identity.key.serialize_der().into()),
        )
        .unwrap();
    let address = tls_with(config).await;
    let net = net();
    let mut wish = TlsWish { ca_pem: Some(authority.pem()), ..TlsWish::default() };
    let deadline = || deadline_in(std::time::Duration::from_secs(3));
    let dialed =
        net.dial(&Target { tls: Some(&wish), ..target("localhost", address.port()) }, deadline()).await.unwrap();
    assert_eq!(dialed.tls.unwrap().version, "TLS 1.2");

    wish.minimum = Some(TlsVersion::Tls13);
    let error =
        net.dial(&Target { tls: Some(&wish), ..target("localhost", address.port()) }, deadline()).await.unwrap_err();
    assert_eq!(error.reason.code, "tls");
    assert_eq!(error.reason.text, format!("{address} does not speak the versions of TLS that are asked for"));
}

#[tokio::test]
async fn many_handshakes_at_once_do_not_mix_up_their_complaints() {
    let authority = Authority::new("Zoo Authority");
    let names = ["a.example", "b.example", "c.example", "localhost"];
    let mut servers = Vec::new();
    for name in names {
        servers.push((name, tls(&authority.issue(&[name], VALID)).await));
    }
    let net = net();
    let pem = serde_json::to_string(&authority.pem()).unwrap();
    let tasks: Vec<_> = (0..80)
        .map(|n| {
            let (name, address) = servers[n % servers.len()];
            let (net, pem) = (net.clone(), pem.clone());
            tokio::spawn(async move {
                let probe = format!(
                    r#"{{"tcp": {{"address": "localhost:{}", "tls": "strict", "ca": {pem}}}}}"#,
                    address.port()
                );
                (name, ask(&net, &probe, 20_000).await)
            })
        })
        .collect();
    for task in tasks {
        let (name, finding) = task.await.unwrap();
        if name == "localhost" {
            assert_eq!(finding.outcome, Outcome::Ok);
        } else {
            assert!(fail(&finding).text.starts_with(&format!("The certificate is for {name}, not for localhost")));
        }
    }
}
