//! Where a request goes: an address taken apart once, so that a check needs no parsing. Also what a redirect means,
//! and how an address is shown to people.

use hyper::Uri;
use hyper::header::HeaderValue;
use url::{Host, Url};

/// An http or https address, without user name, password and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) is_https: bool,
    /// Name, or IP address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as the `Host` header says them: brackets around IPv6, no usual port.
    pub(crate) authority: HeaderValue,
    /// Path and query.
    pub(crate) path: Uri,
}

impl Place {
    /// Takes an address apart; complains in a sentence about one that cannot be asked.
    pub(crate) fn from_url(url: &Url) -> Result<Self, String> {
        let is_https = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                return Err(format!(
                    "`{other}` is not http or https; write an address like https://shop.example.org/health"
                ));
            }
        };
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => return Err("the address has no host; write it like https://shop.example.org/health".into()),
        };
        let port = url.port_or_known_default().unwrap_or(if is_https { 443 } else { 80 });
        if port == 0 {
            return Err("port 0 cannot be asked; write one from 1 to 65535".into());
        }
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let path = Uri::try_from(path).map_err(|error| format!("its path cannot be sent ({error})"))?;
        let mut authority = url.host_str().unwrap_or_default().to_owned();
        if let Some(port) = url.port() {
            authority = format!("{authority}:{port}");
        }
        let authority =
            HeaderValue::try_from(authority).map_err(|error| format!("its host cannot be sent ({error})"))?;
        Ok(Self { is_https, host, port, authority, path })
    }

    pub(crate) fn has_same_origin(&self, other: &Self) -> bool {
        self.is_https == other.is_https && self.host == other.host && self.port == other.port
    }

    /// The whole address, as HTTP/2 wants it. `authority` is what the `Host` header would say.
    pub(crate) fn to_uri(&self, authority: &str) -> Result<Uri, http::Error> {
        let scheme = if self.is_https { "https" } else { "http" };
        let path = self.path.path_and_query().map_or("/", |path| path.as_str());
        Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()
    }

    pub(crate) fn to_url(&self) -> Result<Url, String> {
        let authority = self.authority.to_str().map_err(|error| error.to_string())?;
        self.to_uri(authority)
            .map_err(|error| error.to_string())?
            .to_string()
            .parse()
            .map_err(|error| format!("{error}"))
    }
}

/// Parses an address; complains in a sentence that does not repeat it, since it may hold a password.
pub(crate) fn parse(address: &str) -> Result<Url, String> {
    const EXAMPLE: &str = "write an address like https://shop.example.org/health";
    if address.trim().is_empty() {
        return Err(format!("the address is missing; {EXAMPLE}"));
    }
    if address.len() > LONGEST {
        return Err(format!("the address is longer than {LONGEST} characters"));
    }
    match Url::parse(address.trim()) {
        // Without a scheme, `shop:8080` reads as a scheme named `shop`.
        Ok(url) if !url.has_host() && !matches!(url.scheme(), "http" | "https") => {
            Err(format!("the address does not begin with http:// or https://; {EXAMPLE}"))
        }
        Ok(url) => Ok(url),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err(format!("the address does not begin with http:// or https://; {EXAMPLE}"))
        }
        Err(error) => Err(format!("the address cannot be read ({error}); {EXAMPLE}")),
    }
}

/// Servers commonly refuse longer ones.
const LONGEST: usize = 8000;

/// An address fit to be shown: without user name and password, and without the values of parameters named like a
/// credential.
pub(crate) fn shown(address: &str) -> String {
    match Url::parse(address) {
        Ok(url) => shown_url(url),
        // What cannot be parsed cannot be cleaned either.
        Err(_) => address.split(['@', '?']).next_back().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn shown_url(mut url: Url) -> String {
    // An address that cannot have credentials refuses to lose them, which is as good.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    if let Some(query) = url.query().filter(|query| query.split('&').any(is_credential)) {
        let clean: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, _)) if is_credential(pair) => format!("{name}=•••"),
                _ => pair.to_owned(),
            })
            .collect();
        url.set_query(None);
        return format!("{url}?{}", clean.join("&"));
    }
    url.into()
}

/// Whether a `name=value` pair of a query looks like a credential.
fn is_credential(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    ["token", "password", "passwd", "secret", "key", "signature", "auth"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str) -> Place {
        Place::from_url(&parse(address).unwrap()).unwrap()
    }

    #[test]
    fn an_address_is_taken_apart() {
        let it = place("https://ada:pw@Shop.Example:8443/health?full=1#top");
        assert_eq!((it.host.as_str(), it.port, it.is_https), ("shop.example", 8443, true));
        assert_eq!(
            (it.authority.to_str().unwrap(), it.path.to_string().as_str()),
            ("shop.example:8443", "/health?full=1")
        );
        let it = place("http://[2001:db8::1]");
        assert_eq!((it.host.as_str(), it.port, it.authority.to_str().unwrap()), ("2001:db8::1", 80, "[2001:db8::1]"));
        assert_eq!(it.to_url().unwrap().as_str(), "http://[2001:db8::1]/");
    }

    #[test]
    fn numbers_in_disguise_become_the_address_they_are() {
        for disguised in ["http://0x7f.1/", "http://2130706433/", "http://0177.0.0.1/"] {
            assert_eq!(place(disguised).host, "127.0.0.1", "{disguised}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_in_words() {
        for (address, words) in [
            ("", "missing"),
            ("shop.example.org/health", "does not begin with http://"),
            ("shop:8080", "does not begin with http://"),
            ("ftp://shop.example.org", "`ftp` is not http or https"),
            ("https://", "cannot be read"),
            ("https://shop.example:99999/", "cannot be read"),
            ("http://shop.example:0/", "port 0"),
        ] {
            let complaint = parse(address).and_then(|url| Place::from_url(&url)).unwrap_err();
            assert!(complaint.contains(words), "{address}: {complaint}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(shown("https://ada:pw@shop.example/a?full=1#x"), "https://shop.example/a?full=1");
        assert_eq!(shown("https://shop.example/a?api_key=42&full=1"), "https://shop.example/a?api_key=•••&full=1");
        assert!(!shown("//ada:pw@nowhere").contains("pw"));
    }
}
