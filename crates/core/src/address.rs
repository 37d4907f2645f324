//! Which addresses may be reached: one rule for probes, channels and their redirects.
//!
//! The rule is asked about the *resolved* address at the moment of connecting, never about a host's text, so a name
//! that changes its answer gains nothing. Addresses that carry another address inside are judged by both.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// Why a connection is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A monitor asks its target.
    Probe,
    /// A channel tells people.
    Delivery,
}

/// Which addresses Watchbell may connect to.
///
/// Always refused unless `allow` names them: link-local addresses and the metadata services of clouds, multicast,
/// broadcast, and addresses that stand for no machine. Where several networks of `allow` and `deny` contain an
/// address, the smallest one decides; if both lists hold the same network, `deny` does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Egress")]
#[serde(deny_unknown_fields, default)]
pub struct Egress {
    /// Networks that may be reached although a built-in rule or a larger network in `deny` refuses them, e.g.
    /// `169.254.10.0/24` or a single address. Default: none.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<Network>")]
    pub allow: Vec<IpNet>,
    /// Networks that may not be reached, e.g. `10.0.0.0/8`. `0.0.0.0/0` and `::/0` refuse everything that `allow`
    /// does not name. Default: none.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<Network>")]
    pub deny: Vec<IpNet>,
    /// Whether channels may deliver to private and loopback addresses, such as `10.0.0.5` or `127.0.0.1`. Default:
    /// yes, because whoever writes the configuration administers this machine, and a hook on the same machine is the
    /// commonest of all. Say `false` where others may add channels. Monitors may always ask private addresses, since
    /// watching them is what Watchbell is for; use `deny` to forbid it.
    pub private_deliveries: bool,
}

impl Default for Egress {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Vec::new(), private_deliveries: true }
    }
}

impl Egress {
    /// Whether `address` may be connected to for `purpose`.
    pub fn permits(&self, purpose: Purpose, address: IpAddr) -> Result<(), Refusal> {
        meanings(address).try_for_each(|meaning| self.judge(purpose, meaning))
    }

    fn judge(&self, purpose: Purpose, address: IpAddr) -> Result<(), Refusal> {
        let refused = |why: Cow<'static, str>| Err(Refusal { address, why });
        let smallest =
            |list: &[IpNet]| list.iter().filter(|n| n.contains(&address)).max_by_key(|n| n.prefix_len()).copied();
        match (smallest(&self.allow), smallest(&self.deny)) {
            (Some(allow), Some(deny)) if allow.prefix_len() > deny.prefix_len() => return Ok(()),
            (_, Some(deny)) => return refused(format!("it lies in {deny}, which `egress.deny` names").into()),
            (Some(_), None) => return Ok(()),
            (None, None) => {}
        }
        match Nature::of(address) {
            Nature::Never(what) => {
                let width = if address.is_ipv4() { 32 } else { 128 };
                refused(format!("{what}; if it is really meant, add {address}/{width} to `egress.allow`").into())
            }
            Nature::Private if purpose == Purpose::Delivery && !self.private_deliveries => {
                refused("it is private, and `egress.private_deliveries` is off".into())
            }
            Nature::Private | Nature::Public => Ok(()),
        }
    }
}

/// A connection that the rule does not permit. It prints as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The address judged; for an address that carries another one, the one that was refused.
    pub address: IpAddr,
    why: Cow<'static, str>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watchbell may not connect to {}: {}", self.address, self.why)
    }
}

impl std::error::Error for Refusal {}

/// The host of a URL or setting as an address, if it is one. Only strict dotted quads (`192.0.2.7`) and IPv6, in
/// brackets or bare, are addresses; `0x7f.1`, `2130706433` and `017700000001` are names, to be resolved like any other.
pub fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// Every address that `address` leads to: itself, and the IPv4 addresses that translators and tunnels read out of it.
fn meanings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let v6 = match address.to_canonical() {
        v4 @ IpAddr::V4(_) => return [Some(v4), None, None].into_iter().flatten(),
        IpAddr::V6(v6) => v6,
    };
    let s = v6.segments();
    let quad = |high: u16, low: u16| Some(IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))));
    let inner = match s {
        // IPv4-compatible, RFC 4291 2.5.5.1; `::` and `::1` are judged as what they are.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => [quad(high, low), None],
        // IPv4-translated, RFC 2765.
        [0, 0, 0, 0, 0xffff, 0, high, low] => [quad(high, low), None],
        // NAT64: the well-known prefix, RFC 6052, and the local one, RFC 8215, in its /96 and /48 layouts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [quad(high, low), None],
        [0x64, 0xff9b, 1, a, b, c, 0, 0] => [quad(a, (b << 8) | (c >> 8)), None],
        [0x64, 0xff9b, 1, a, b, c, high, low] => [quad(high, low), quad(a, (b << 8) | (c >> 8)).filter(|_| a != 0)],
        // 6to4, RFC 3056.
        [0x2002, high, low, ..] => [quad(high, low), None],
        // Teredo, RFC 4380: the server, and the client with its bits turned over.
        [0x2001, 0, server_high, server_low, _, _, high, low] => [quad(server_high, server_low), quad(!high, !low)],
        // ISATAP, RFC 5214.
        [.., 0 | 0x200, 0x5efe, high, low] => [quad(high, low), None],
        _ => [None, None],
    };
    [Some(IpAddr::V6(v6)), inner[0], inner[1]].into_iter().flatten()
}

/// What kind of address it is, as far as the rule cares.
enum Nature {
    Public,
    /// Reachable inside one machine or one organisation.
    Private,
    /// Nothing that anybody watches or tells; the text says why.
    Never(&'static str),
}

impl Nature {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        const METADATA: &str = "it is where a cloud keeps the credentials of its machines";
        match address.octets() {
            [0, ..] => Self::Never("it stands for no machine"),
            [169, 254, ..] => Self::Never("it is link-local, where clouds keep the credentials of their machines"),
            // Alibaba, Oracle and Azure.
            [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Self::Never(METADATA),
            [224..=239, ..] => Self::Never("it is a multicast group, not a machine"),
            [255, 255, 255, 255] => Self::Never("it is the broadcast address, not a machine"),
            [240..=255, ..] => Self::Never("it is reserved and belongs to no machine"),
            [10 | 127, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [100, 64..=127, ..]
            | [192, 0, 0, _]
            | [198, 18..=19, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Never("it stands for no machine"),
            // Amazon and Google.
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
                Self::Never("it is where a cloud keeps the credentials of its machines")
            }
            [0xfe80..=0xfebf, ..] => Self::Never("it is link-local"),
            [0xff00..=0xffff, ..] => Self::Never("it is a multicast group, not a machine"),
            // Loopback, unique local, the site-local of old, and local NAT64.
            [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => {
                Self::Private
            }
            _ => Self::Public,
        }
    }
}

/// How a network is written: with its length, or as one address.
struct Network(IpNet);

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| Self(network.trunc())).map_err(|_| {
            format!("`{text}` is not a network; write it like 10.0.0.0/8, fd00::/8 or, for one address, 192.0.2.7")
        })
    }
}

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["10.0.0.0/8", "fd00::/8", "192.0.2.7"] })
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<Cow<'de, str>>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse::<Network>().map(|network| network.0).map_err(serde::de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
    }

    fn egress(json: &str) -> Egress {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_watched_and_told_every_day_may_be_reached() {
        for address in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "192.168.1.1",
            "172.31.0.9",
            "fd00::2",
            "100.64.1.1",
            "1.1.1.1",
            "2606:4700::1111",
        ] {
            for purpose in [Purpose::Probe, Purpose::Delivery] {
                assert_eq!(Egress::default().permits(purpose, ip(address)), Ok(()), "{address}");
            }
        }
    }

    /// Ways past a filter that were found in other products, and their relatives.
    const NEVER: &[&str] = &[
        // metadata and link-local
        "169.254.169.254",
        "169.254.0.1",
        "169.254.170.2",
        "169.254.255.255",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "fe80::a9fe:a9fe",
        "febf:ffff::1",
        // nobody
        "0.0.0.0",
        "0.0.0.1",
        "0.255.255.255",
        "::",
        "255.255.255.255",
        "240.0.0.1",
        "255.0.0.1",
        "254.1.2.3",
        // groups
        "224.0.0.1",
        "239.255.255.250",
        "ff02::1",
        "ff0e::1",
        "ffff::1",
        // the same, dressed as IPv6: mapped, compatible, translated
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::ffff:0.0.0.0",
        "::ffff:224.0.0.1",
        "::169.254.169.254",
        "::a9fe:a9fe",
        "::ffff:0:169.254.169.254",
        "::ffff:100.100.100.200",
        // NAT64, both prefixes and both layouts
        "64:ff9b::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:fffe::169.254.169.254",
        "64:ff9b::255.255.255.255",
        // 6to4, Teredo (client turned over, and server), ISATAP
        "2002:a9fe:a9fe::1",
        "2002:a9fe:a9fe::",
        "2002:e000:1::",
        "2001:0:4136:e378:8000:63bf:5601:5601",
        "2001:0:a9fe:a9fe::1",
        "2001:db8::5efe:169.254.169.254",
        "2001:db8::200:5efe:169.254.169.254",
        "fe80::5efe:169.254.169.254",
    ];

    #[test]
    fn no_spelling_of_an_address_gets_past_the_rule() {
        for address in NEVER {
            for purpose in [Purpose::Probe, Purpose::Delivery] {
                let refusal = Egress::default().permits(purpose, ip(address)).expect_err(address).to_string();
                assert!(refusal.starts_with("Watchbell may not connect to "), "{refusal}");
            }
        }
    }

    #[test]
    fn every_dress_of_a_private_address_is_private() {
        let shut = egress(r#"{"private_deliveries": false}"#);
        let private =
            ["127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1", "fc00::1"];
        let dressed =
            ["::1", "fec0::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::", "2002:7f00:1::", "::127.0.0.1"];
        let turned = ["2001:0:808:808:0:0:f5ff:fffe", "2001:db8::5efe:10.0.0.1", "64:ff9b:1:a00:0:100::"];
        for address in private.iter().chain(&dressed).chain(&turned) {
            let refusal = shut.permits(Purpose::Delivery, ip(address)).expect_err(address).to_string();
            assert!(refusal.ends_with("it is private, and `egress.private_deliveries` is off"), "{refusal}");
            assert_eq!(shut.permits(Purpose::Probe, ip(address)), Ok(()), "{address}");
        }
        assert_eq!(shut.permits(Purpose::Delivery, ip("8.8.8.8")), Ok(()));
        assert_eq!(shut.permits(Purpose::Delivery, ip("64:ff9b::8.8.8.8")), Ok(()));
    }

    #[test]
    fn only_strict_spellings_are_addresses() {
        for (host, address) in
            [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("::1", "::1"), ("[::ffff:10.0.0.1]", "::ffff:10.0.0.1")]
        {
            assert_eq!(literal(host), Some(ip(address)), "{host}");
        }
        let names = [
            "2130706433",
            "0x7f000001",
            "017700000001",
            "0x7f.1",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.1.",
            "1270.0.0.1",
            "127.0.0.256",
            "127。0。0。1",
            "①②⑦.0.0.1",
            "[127.0.0.1]",
            "[::1",
            "::1]",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            " 127.0.0.1",
            "127.0.0.1 ",
            "localhost",
            "0",
            "",
            "[]",
            "127.0.0.1:80",
            "0x7f.0x0.0x0.0x1",
            "4294967295",
            "-1",
        ];
        for host in names {
            assert_eq!(literal(host), None, "{host}");
        }
    }

    #[test]
    fn the_smallest_network_decides() {
        let rule = egress(
            r#"{"allow": ["10.1.0.0/16", "169.254.10.0/24"], "deny": ["10.0.0.0/8", "10.1.2.0/24", "192.0.2.7"]}"#,
        );
        for (address, permitted) in [
            ("10.0.0.1", false),
            ("10.1.0.1", true),
            ("10.1.2.3", false),
            ("169.254.10.9", true),
            ("169.254.169.254", false),
            ("192.0.2.7", false),
            ("192.0.2.8", true),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::10.1.0.1", true),
        ] {
            assert_eq!(rule.permits(Purpose::Probe, ip(address)).is_ok(), permitted, "{address}");
        }
    }

    #[test]
    fn everything_can_be_refused_but_what_is_named() {
        let rule = egress(r#"{"allow": ["10.1.0.0/16"], "deny": ["0.0.0.0/0", "::/0"]}"#);
        assert!(rule.permits(Purpose::Probe, ip("10.1.0.1")).is_ok());
        assert_eq!(
            rule.permits(Purpose::Probe, ip("8.8.8.8")).unwrap_err().to_string(),
            "Watchbell may not connect to 8.8.8.8: it lies in 0.0.0.0/0, which `egress.deny` names"
        );
        assert!(rule.permits(Purpose::Probe, ip("2606:4700::1111")).is_err());
    }

    #[test]
    fn a_refusal_says_what_would_permit_it() {
        assert_eq!(
            Egress::default().permits(Purpose::Probe, ip("::ffff:169.254.169.254")).unwrap_err().to_string(),
            "Watchbell may not connect to 169.254.169.254: it is link-local, where clouds keep the credentials of their \
             machines; if it is really meant, add 169.254.169.254/32 to `egress.allow`"
        );
    }

    #[test]
    fn settings_read_and_are_refused_in_words() {
        assert_eq!(egress("{}"), Egress::default());
        assert_eq!(egress(r#"{"deny": ["10.9.8.7/8"]}"#).deny[0].to_string(), "10.0.0.0/8");
        let error = serde_json::from_str::<Egress>(r#"{"deny": ["10.0.0.0/33"]}"#).unwrap_err().to_string();
        assert!(error.contains("`10.0.0.0/33` is not a network; write it like 10.0.0.0/8"), "{error}");
        assert!(serde_json::from_str::<Egress>(r#"{"block": []}"#).is_err());
    }
}
