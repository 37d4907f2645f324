//! One request of a check: the first, or one that an answer redirects to. What goes along to another origin, and
//! what must not, is decided here.

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use watchbell_core::{Outcome, Reason};

use super::place::{self, Place};
use super::plan::Plan;
use super::wire::Outgoing;

/// Cookies beyond this are not kept from one redirect to the next.
const MOST_COOKIES: usize = 20;
const LONGEST_COOKIE: usize = 4096;

/// What another host may know; anything else in the settings is for the monitor's own host.
const HARMLESS: [HeaderName; 6] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::USER_AGENT,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
];

/// One request.
pub(crate) struct Hop<'a> {
    pub(crate) place: Cow<'a, Place>,
    pub(crate) method: Method,
    plan: &'a Plan,
    /// `None`: those of the plan.
    headers: Option<HeaderMap>,
    body: Bytes,
    /// Whether this goes to the address of the monitor, as opposed to where that one led.
    pub(crate) is_home: bool,
    cookies: Vec<Cookie>,
}

/// A cookie set on the way. It goes back to its host, for as long as the check lasts.
struct Cookie {
    host: String,
    name: String,
    value: String,
    is_secure: bool,
}

impl<'a> Hop<'a> {
    pub(crate) fn first(plan: &'a Plan) -> Self {
        Self {
            place: Cow::Borrowed(&plan.place),
            method: plan.method.clone(),
            plan,
            headers: None,
            body: plan.body.clone(),
            is_home: true,
            cookies: Vec::new(),
        }
    }

    /// Sets a header of this request.
    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.get_or_insert_with(|| self.plan.headers()).insert(name, value);
    }

    /// Adds `watchbell=<moment>` to the query, so that no cache between here and there can answer.
    pub(crate) fn pass_caches(&mut self, moment: i64) {
        let path = self.place.path.to_string();
        let separator = if path.contains('?') { '&' } else { '?' };
        if let Ok(path) = format!("{path}{separator}watchbell={moment}").parse() {
            self.place.to_mut().path = path;
        }
    }

    /// The request, for HTTP/2 if `is_two`. `keeps` says whether the connection is wanted again.
    pub(crate) fn request(&self, is_two: bool, keeps: bool) -> Result<Outgoing, Outcome> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        let headers = request.headers_mut();
        *headers = self.headers();
        if !self.cookies.is_empty() {
            self.bake(headers);
        }
        if is_two {
            let host = headers.remove(header::HOST);
            let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(&self.place.host);
            *request.uri_mut() = self.place.to_uri(authority).map_err(|error| {
                Outcome::Fail(Reason::new("protocol", format!("The address cannot be asked over HTTP/2: {error}")))
            })?;
        } else {
            if !keeps {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            *request.uri_mut() = self.place.path.clone();
        }
        Ok(request)
    }

    /// Where an answer redirects to, as people may see it, and the request that follows; `None` if it does not
    /// redirect.
    pub(crate) fn redirected(&self, status: StatusCode, headers: &HeaderMap) -> Option<(String, Result<Self, String>)> {
        let moves = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = headers.get(header::LOCATION).filter(|_| moves)?;
        let location = String::from_utf8_lossy(location.as_bytes());
        let url = self.place.to_url().and_then(|base| base.join(location.trim()).map_err(|error| error.to_string()));
        Some(match url {
            Ok(url) => {
                let next = Place::from_url(&url).map(|place| self.onward(place, status, headers));
                (place::shown_url(url), next)
            }
            Err(why) => (place::shown(&location), Err(why)),
        })
    }

    fn onward(&self, place: Place, status: StatusCode, answered: &HeaderMap) -> Self {
        let is_home = self.is_home && place.has_same_origin(&self.place);
        let mut headers = self.headers();
        if !is_home {
            let may_know = |name: &HeaderName, value: &HeaderValue| {
                let is_credential =
                    value.is_sensitive() || [header::AUTHORIZATION, header::COOKIE, header::HOST].contains(name);
                !is_credential && (place.host == self.place.host || HARMLESS.contains(name))
            };
            let known = headers.iter().filter(|(name, value)| may_know(name, value));
            headers = known.map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        headers.entry(header::HOST).or_insert_with(|| place.authority.clone());
        // RFC 9110, section 15.4: 303 asks with GET; 301 and 302 do so in practice when it was a POST.
        let becomes_get = match status.as_u16() {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            headers.remove(header::CONTENT_TYPE);
            headers.remove(header::CONTENT_LENGTH);
        }
        Self {
            place: Cow::Owned(place),
            method: if becomes_get { Method::GET } else { self.method.clone() },
            plan: self.plan,
            headers: Some(headers),
            body: if becomes_get { Bytes::new() } else { self.body.clone() },
            is_home,
            cookies: self.cookies_after(answered),
        }
    }

    fn headers(&self) -> HeaderMap {
        self.headers.clone().unwrap_or_else(|| self.plan.headers())
    }

    fn cookies_after(&self, headers: &HeaderMap) -> Vec<Cookie> {
        let mut cookies: Vec<Cookie> = Vec::new();
        let kept = self.cookies.iter().map(|it| Cookie {
            host: it.host.clone(),
            name: it.name.clone(),
            value: it.value.clone(),
            ..*it
        });
        let set = headers.get_all(header::SET_COOKIE).iter().filter_map(|line| Cookie::read(line, &self.place.host));
        for cookie in kept.chain(set).take(MOST_COOKIES) {
            cookies.retain(|other| other.host != cookie.host || other.name != cookie.name);
            cookies.push(cookie);
        }
        cookies
    }

    fn bake(&self, headers: &mut HeaderMap) {
        let fitting =
            self.cookies.iter().filter(|it| it.host == self.place.host && (self.place.is_https || !it.is_secure));
        let mut line = headers.get(header::COOKIE).and_then(|own| own.to_str().ok()).unwrap_or_default().to_owned();
        for cookie in fitting {
            if !line.is_empty() {
                line.push_str("; ");
            }
            line.push_str(&format!("{}={}", cookie.name, cookie.value));
        }
        if let Ok(value) = HeaderValue::try_from(line)
            && !value.is_empty()
        {
            headers.insert(header::COOKIE, value);
        }
    }
}

impl Cookie {
    /// Reads a `Set-Cookie` line. One that is set to expire at once is kept with an empty value, which is as good as
    /// gone.
    fn read(line: &HeaderValue, host: &str) -> Option<Self> {
        let line = line.to_str().ok().filter(|line| line.len() <= LONGEST_COOKIE)?;
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let is_secure = parts.any(|part| part.eq_ignore_ascii_case("secure"));
        Some(Self { host: host.to_owned(), name: name.trim().to_owned(), value: value.trim().to_owned(), is_secure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Http;

    /// Follows one redirect and tells what is sent then: method, address, headers by name, body.
    fn follow(settings: serde_json::Value, status: u16, location: &str) -> (String, String, Vec<String>, String) {
        let http: Http = serde_json::from_value(settings).unwrap();
        let plan = Plan::new(&http).unwrap();
        let mut answered = HeaderMap::new();
        answered.insert(header::LOCATION, location.parse().unwrap());
        answered.insert(header::SET_COOKIE, "step=1; Path=/".parse().unwrap());
        let (told, next) = Hop::first(&plan).redirected(StatusCode::from_u16(status).unwrap(), &answered).unwrap();
        let next = next.unwrap();
        let request = next.request(false, true).unwrap();
        let mut names: Vec<String> = request.headers().keys().map(ToString::to_string).collect();
        names.sort();
        (request.method().to_string(), told, names, String::from_utf8_lossy(&next.body).into_owned())
    }

    fn settings() -> serde_json::Value {
        serde_json::json!({
            "url": "https://shop.example/a",
            "method": "POST",
            "body": { "text": "order" },
            "headers": { "X-Shop": "1", "Accept": "text/html" },
            "auth": { "header": { "name": "X-Api-Key", "value": "canary" } },
        })
    }

    #[test]
    fn the_same_origin_gets_everything_again() {
        let (method, told, names, body) = follow(settings(), 307, "/b?token=42");
        assert_eq!(
            (method.as_str(), told.as_str(), body.as_str()),
            ("POST", "https://shop.example/b?token=•••", "order")
        );
        for name in ["x-api-key", "x-shop", "cookie", "content-type", "host"] {
            assert!(names.iter().any(|it| it == name), "{name} is missing from {names:?}");
        }
    }

    #[test]
    fn another_host_gets_nothing_of_the_settings() {
        let (method, told, names, _) = follow(settings(), 302, "http://other.example/b");
        assert_eq!((method.as_str(), told.as_str()), ("GET", "http://other.example/b"));
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
    }

    #[test]
    fn another_port_of_the_host_gets_no_credentials() {
        let (_, _, names, body) = follow(settings(), 308, "https://shop.example:8443/a");
        assert!(names.contains(&"x-shop".to_owned()) && !names.contains(&"x-api-key".to_owned()), "{names:?}");
        assert_eq!(body, "order");
    }

    #[test]
    fn what_cannot_be_followed_says_why() {
        let http = Http::new("https://shop.example/");
        let plan = Plan::new(&http).unwrap();
        for location in ["ftp://shop.example/", "javascript:alert(1)", "http://[::1"] {
            let mut answered = HeaderMap::new();
            answered.insert(header::LOCATION, location.parse().unwrap());
            let (_, next) = Hop::first(&plan).redirected(StatusCode::FOUND, &answered).unwrap();
            assert!(next.is_err(), "{location} was followed");
        }
        assert!(Hop::first(&plan).redirected(StatusCode::FOUND, &HeaderMap::new()).is_none());
    }
}
