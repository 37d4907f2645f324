//! Names, addresses and the egress rule, as every probe and channel meets them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use watchbell_net::stopwatch::{Stopwatch, deadline_in};
use watchbell_net::{DialError, Family, Net, Purpose, Target};

use crate::targets::{Said, black_hole, closed_port, dns, dns_for, echo, net, net_with, target};

async fn refusal(net: &Net, target: &Target<'_>) -> Box<DialError> {
    net.dial(target, deadline_in(Duration::from_secs(2))).await.expect_err("a connection was opened")
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_address_is_reached_without_asking_for_a_name() {
    let port = echo().await.port();
    let dialed = net().dial(&target("127.0.0.1", port), deadline_in(Duration::from_secs(2))).await.unwrap();
    assert_eq!(dialed.address.to_string(), format!("127.0.0.1:{port}"));
    assert_eq!(dialed.phases.dns_us, None);
    assert!(dialed.phases.connect_us.is_some_and(|micros| micros > 0 && micros < 1_000_000), "{:?}", dialed.phases);
}

#[tokio::test]
async fn localhost_needs_no_name_server() {
    let port = echo().await.port();
    for host in ["localhost", "LOCALHOST", "localhost.", "shop.localhost"] {
        let dialed = net().dial(&target(host, port), deadline_in(Duration::from_secs(2))).await.unwrap();
        assert!(dialed.address.ip().is_loopback() && dialed.phases.dns_us.is_some(), "{host}");
    }
}

#[tokio::test]
async fn nobody_listening_is_the_targets_doing() {
    let address = closed_port().await;
    let error = refusal(&net(), &target("127.0.0.1", address.port())).await;
    assert_eq!(error.reason.text, format!("Connection refused by {address}"));
    assert_eq!((error.reason.code.as_ref(), error.local), ("refused", false));
    assert_eq!(error.address, Some(address));
}

#[tokio::test]
async fn a_silent_address_costs_the_deadline_and_no_more() {
    let (net, hole) = (net(), black_hole());
    let watch = Stopwatch::start();
    let deadline = deadline_in(Duration::from_millis(300));
    let error =
        net.dial(&target("127.0.0.1", hole.address.port()), deadline).await.expect_err("a connection was opened");
    let text = &error.reason.text;
    assert!(
        text.starts_with("Timed out after ") && text.ends_with(&format!(" ms: no connection to {}", hole.address)),
        "{text}"
    );
    assert_eq!((error.reason.code.as_ref(), error.local), ("timeout", false));
    assert!(watch.elapsed() < Duration::from_millis(550), "{:?}", watch.elapsed());
    assert!(error.phases.connect_us.is_some_and(|micros| micros >= 200_000));
}

#[tokio::test]
async fn a_silent_address_does_not_keep_from_the_next_one() {
    let hole = black_hole();
    let other = tokio::net::TcpListener::bind(("127.0.0.2", hole.address.port())).await.unwrap();
    let server = dns_for("two.example", &["127.0.0.1", "127.0.0.2"]).await;
    let net = net_with("{}", &[server]);
    let dialed =
        net.dial(&target("two.example", hole.address.port()), deadline_in(Duration::from_secs(3))).await.unwrap();
    assert_eq!(dialed.address, other.local_addr().unwrap());
}

#[tokio::test]
async fn names_are_resolved_in_both_families() {
    let server = dns_for("both.example", &["127.0.0.7", "::1"]).await;
    let net = net_with("{}", &[server]);
    for (family, expected) in [
        (Family::Any, vec![ip("127.0.0.7"), ip("::1")]),
        (Family::V4, vec![ip("127.0.0.7")]),
        (Family::V6, vec![ip("::1")]),
    ] {
        let mut found = net.resolve("both.example", family, deadline_in(Duration::from_secs(2))).await.unwrap();
        found.sort();
        assert_eq!(found, expected, "{family:?}");
    }
}

#[tokio::test]
async fn an_unanswered_family_does_not_delay_the_other() {
    let server =
        dns(|_, wants_v4, _| if wants_v4 { Said::Addresses(vec![ip("127.0.0.7")]) } else { Said::Nothing }).await;
    let watch = Stopwatch::start();
    let found =
        net_with("{}", &[server]).resolve("half.example", Family::Any, deadline_in(Duration::from_secs(4))).await;
    assert_eq!(found.unwrap(), [ip("127.0.0.7")]);
    assert!(watch.elapsed() < Duration::from_millis(500), "{:?}", watch.elapsed());
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_the_targets_doing() {
    let net = net_with("{}", &[dns_for("known.example", &["127.0.0.1"]).await]);
    let error = refusal(&net, &target("gone.example", 80)).await;
    assert_eq!(error.reason.text, "There is no host named gone.example");
    assert_eq!((error.reason.code.as_ref(), error.local), ("name", false));
    assert!(error.phases.dns_us.is_some() && error.phases.connect_us.is_none());

    let only_v4 = refusal(&net, &Target { family: Family::V6, ..target("known.example", 80) }).await;
    assert_eq!(only_v4.reason.text, "known.example has no IPv6 address");
    let literal = refusal(&net, &Target { family: Family::V6, ..target("127.0.0.1", 80) }).await;
    assert_eq!(literal.reason.text, "127.0.0.1 has no IPv6 address");
}

#[tokio::test]
async fn a_name_server_in_trouble_is_our_own_trouble() {
    let failing = net_with("{}", &[dns(|_, _, _| Said::ServerFailure).await]);
    let error = refusal(&failing, &target("shop.example", 80)).await;
    assert_eq!((error.reason.code.as_ref(), error.local), ("resolver", true), "{}", error.reason.text);
    assert!(error.reason.text.contains("SERVFAIL"), "{}", error.reason.text);

    let silent = net_with("{}", &[dns(|_, _, _| Said::Nothing).await]);
    let watch = Stopwatch::start();
    let error = silent.dial(&target("shop.example", 80), deadline_in(Duration::from_millis(300))).await.unwrap_err();
    assert_eq!((error.reason.code.as_ref(), error.local), ("resolver", true));
    assert!(error.reason.text.starts_with("No name server answered for shop.example within "), "{}", error.reason.text);
    assert!(watch.elapsed() < Duration::from_millis(550), "{:?}", watch.elapsed());

    let nobody = net_with("{}", &[closed_port().await]);
    let error = refusal(&nobody, &target("shop.example", 80)).await;
    assert_eq!((error.reason.code.as_ref(), error.local), ("resolver", true), "{}", error.reason.text);
}

#[tokio::test]
async fn one_family_in_trouble_is_not_taken_for_a_missing_name() {
    let server = dns(|_, wants_v4, _| if wants_v4 { Said::ServerFailure } else { Said::Addresses(Vec::new()) }).await;
    let error = refusal(&net_with("{}", &[server]), &target("shop.example", 80)).await;
    assert_eq!((error.reason.code.as_ref(), error.local), ("resolver", true), "{}", error.reason.text);
}

#[tokio::test]
async fn a_name_is_asked_for_each_time() {
    let server =
        dns(|_, _, n| Said::Addresses(vec![Ipv4Addr::new(127, 0, 0, u8::try_from(n).unwrap() + 1).into()])).await;
    let net = net_with("{}", &[server]);
    for expected in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        let found = net.resolve("moving.example", Family::V4, deadline_in(Duration::from_secs(2))).await.unwrap();
        assert_eq!(found, [ip(expected)]);
    }
}

#[tokio::test]
async fn what_is_no_name_is_never_asked_for() {
    let net = net();
    for host in ["", "a b", "a\r\nHost: x", "a/b", "①②⑦.0.0.1"] {
        let error = refusal(&net, &target(host, 80)).await;
        assert_eq!((error.reason.code.as_ref(), error.local), ("name", false), "{host}");
    }
}

#[tokio::test]
async fn the_rule_is_applied_to_the_address_not_to_the_text() {
    let port = echo().await.port();
    let egress = r#"{"deny": ["127.0.0.0/8", "::1"]}"#;
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "::ffff:7f00:1", "[::1]", "localhost", "127.0.0.1.nip.example"] {
        let net = net_with(egress, &[dns_for("127.0.0.1.nip.example", &["127.0.0.1"]).await]);
        let error = refusal(&net, &target(host, port)).await;
        assert_eq!((error.reason.code.as_ref(), error.local), ("egress", false), "{host}: {}", error.reason.text);
    }
    let net = net_with("{}", &[dns_for("metadata.example", &["169.254.169.254"]).await]);
    let error = refusal(&net, &target("metadata.example", 80)).await;
    assert!(
        error.reason.text.starts_with(
            "metadata.example is 169.254.169.254. Watchbell may not connect to 169.254.169.254: it is link-local"
        ),
        "{}",
        error.reason.text
    );
    // What libc would take for 127.0.0.1 is a name to us, and nobody has that name.
    for host in ["2130706433", "0x7f000001", "017700000001", "127.1"] {
        let error = refusal(&net, &target(host, port)).await;
        assert_eq!(error.reason.code, "name", "{host}: {}", error.reason.text);
    }
}

#[tokio::test]
async fn a_name_that_turns_private_after_the_first_answer_gains_nothing() {
    // The first answer may be reached, every later one may not.
    let answers = |_: &str, _: bool, n: usize| {
        Said::Addresses(vec![if n == 0 { Ipv4Addr::new(127, 0, 0, 1) } else { Ipv4Addr::new(127, 66, 6, 6) }.into()])
    };
    let net = net_with(r#"{"deny": ["127.66.0.0/16"]}"#, &[dns(answers).await]);
    let port = echo().await.port();
    let dialed = net.dial(&target("rebind.example", port), deadline_in(Duration::from_secs(2))).await.unwrap();
    // The address judged is the address connected to: one question, one answer.
    assert_eq!(dialed.address.ip(), ip("127.0.0.1"));
    assert_eq!(refusal(&net, &target("rebind.example", port)).await.reason.code, "egress");
}

#[tokio::test]
async fn of_several_addresses_only_the_permitted_are_tried() {
    let port = echo().await.port();
    let server = dns_for("mixed.example", &["169.254.169.254", "127.0.0.1", "fe80::1"]).await;
    let dialed =
        net_with("{}", &[server]).dial(&target("mixed.example", port), deadline_in(Duration::from_secs(2))).await;
    assert_eq!(dialed.unwrap().address.ip(), ip("127.0.0.1"));
}

#[tokio::test]
async fn channels_can_be_kept_from_private_addresses_while_monitors_are_not() {
    let port = echo().await.port();
    let net = net_with(r#"{"private_deliveries": false}"#, &[]);
    let delivery = Target { purpose: Purpose::Delivery, ..target("127.0.0.1", port) };
    assert_eq!(refusal(&net, &delivery).await.reason.code, "egress");
    assert!(net.dial(&target("127.0.0.1", port), deadline_in(Duration::from_secs(2))).await.is_ok());
    assert!(net_with("{}", &[]).dial(&delivery, deadline_in(Duration::from_secs(2))).await.is_ok());
}

#[tokio::test]
async fn many_names_at_once_are_all_resolved() {
    let server = dns(|_, _, _| Said::Addresses(vec![ip("127.0.0.1")])).await;
    let net = net_with("{}", &[server]);
    let tasks: Vec<_> = (0..300)
        .map(|n| {
            let net = net.clone();
            tokio::spawn(async move {
                net.resolve(&format!("n{n}.example"), Family::V4, deadline_in(Duration::from_secs(5))).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), [ip("127.0.0.1")]);
    }
}

/// A process that has run out of descriptors must not accuse anybody. It would starve the other tests too, so this one
/// starts itself again as a process of its own.
#[test]
fn running_out_of_descriptors_is_our_own_trouble() {
    const STARVED: &str = "WATCHBELL_TEST_STARVED";
    if std::env::var_os(STARVED).is_none() {
        let program = std::env::current_exe().unwrap();
        let test = "dialing::running_out_of_descriptors_is_our_own_trouble";
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 48 && exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(program)
            .arg(test)
            .env(STARVED, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("starved: 3 of 3"), "{text}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = echo().await;
        let net = net_with("{}", &[dns_for("shop.example", &["127.0.0.1"]).await]);
        let mut hoard = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            hoard.push(file);
        }
        let mut starved = 0;
        for (host, kind) in [("127.0.0.1", "tcp"), ("shop.example", "tcp"), ("127.0.0.1", "ping")] {
            let probe = match kind {
                "tcp" => format!(r#"{{"tcp": {{"address": "{host}:{}"}}}}"#, address.port()),
                _ => format!(r#"{{"ping": {{"host": "{host}"}}}}"#),
            };
            let finding = crate::targets::ask(&net, &probe, 1000).await;
            // The resolver does not always say what it lacked, and who may not ping at all lacks nothing; it is our own
            // trouble either way.
            let code = crate::targets::local(&finding).code.as_ref();
            let expected: &[&str] = match (host, kind) {
                ("shop.example", _) => &["descriptors", "resolver"],
                (_, "ping") => &["descriptors", "permission"],
                _ => &["descriptors"],
            };
            assert!(expected.contains(&code), "{:?}", finding.outcome);
            starved += 1;
        }
        drop(hoard);
        let probe = format!(r#"{{"tcp": {{"address": "shop.example:{}"}}}}"#, address.port());
        assert_eq!(crate::targets::ask(&net, &probe, 1000).await.outcome, watchbell_core::Outcome::Ok);
        println!("starved: {starved} of 3");
    });
}
