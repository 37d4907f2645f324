//! The `ping` probe on loopback. Where this process may not ping, what is tested is that it says so.

use watchbell_core::{Finding, Outcome};

use crate::targets::{ask, dns_for, fail, local, net, net_with, row};

/// True if this process may ping; else the finding must say how to allow it.
fn may_ping(finding: &Finding) -> bool {
    if let Outcome::Local(reason) = &finding.outcome {
        assert_eq!(reason.code, "permission");
        assert!(reason.text.contains("ping_group_range") && reason.text.contains("cap_net_raw"), "{}", reason.text);
        return false;
    }
    true
}

#[tokio::test]
async fn loopback_answers_in_both_families() {
    for host in ["127.0.0.1", "::1", "[::1]", "localhost"] {
        let finding = ask(&net(), &format!(r#"{{"ping": {{"host": "{host}", "count": 3}}}}"#), 3000).await;
        if may_ping(&finding) {
            assert_eq!(finding.outcome, Outcome::Ok, "{host}");
            assert_eq!(row(&finding, "Loss"), "0 of 3 packets");
            assert!(row(&finding, "Round trip").contains("fastest"));
            // The response time is the round trip, not the time spent pinging three times.
            assert!(finding.took.as_millis() < 150, "{:?}", finding.took);
            assert!(finding.phases.wait_us.is_some());
        }
    }
}

#[tokio::test]
async fn packets_of_every_permitted_size_come_back() {
    for size in [16, 57, 1472, 8972] {
        for host in ["127.0.0.1", "::1"] {
            let finding =
                ask(&net(), &format!(r#"{{"ping": {{"host": "{host}", "packet_size": {size}}}}}"#), 2000).await;
            if may_ping(&finding) {
                assert_eq!(finding.outcome, Outcome::Ok, "{host}, {size} bytes");
            }
        }
    }
}

#[tokio::test]
async fn many_pings_at_once_each_find_their_own_echo() {
    let net = net();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let net = net.clone();
            tokio::spawn(async move { ask(&net, r#"{"ping": {"host": "127.0.0.1", "count": 2}}"#, 5000).await })
        })
        .collect();
    for task in tasks {
        let finding = task.await.unwrap();
        if may_ping(&finding) {
            assert_eq!(finding.outcome, Outcome::Ok);
        }
    }
}

#[tokio::test]
async fn the_egress_rule_holds_for_pings_too() {
    let net = net_with("{}", &[dns_for("metadata.example", &["169.254.169.254"]).await]);
    for host in ["169.254.169.254", "metadata.example", "ff02::1", "255.255.255.255"] {
        let finding = ask(&net, &format!(r#"{{"ping": {{"host": "{host}"}}}}"#), 500).await;
        assert_eq!(fail(&finding).code, "egress", "{host}");
    }
}

#[tokio::test]
async fn a_host_without_name_server_is_our_own_trouble() {
    let finding = ask(&net(), r#"{"ping": {"host": "router.example"}}"#, 500).await;
    assert_eq!(local(&finding).code, "resolver");
}
