//! Who is calling: a person with a session, a program with a token, or nobody. Passwords, sessions, tokens,
//! first run and signing in, each in its file.

pub(crate) mod limiter;
pub(crate) mod login;
pub(crate) mod password;
pub(crate) mod session;
pub(crate) mod setup;
pub(crate) mod token;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use std::net::{IpAddr, SocketAddr};
use watchbell_store::{ApiToken, Person};

use super::error::Failure;
use super::{Web, links};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Anybody; the address itself is the secret, or there is none. Cookies are not looked at.
    Machine,
    /// Anybody, from a page of ours: signing in, choosing a theme.
    Anyone,
    /// This machine itself, or who may view.
    Metrics,
    /// Who may see everything.
    Viewer,
    /// Who may change everything.
    Editor,
}

/// Who is calling.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Nobody,
    Person(session::SignedIn),
    Program(ApiToken),
}

impl Caller {
    /// Whether this caller may call a route declared so, as far as it depends on the caller alone.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        let (views, edits) = match self {
            Self::Nobody => (false, false),
            Self::Person(it) => (true, role_edits(&it.person)),
            Self::Program(token) => (true, token.scope == token::WRITE),
        };
        match permission {
            Permission::Machine | Permission::Anyone => true,
            Permission::Metrics | Permission::Viewer => views,
            Permission::Editor => edits,
        }
    }

    /// What is written beside what they do.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Nobody => "nobody",
            Self::Person(it) => &it.person.name,
            Self::Program(token) => &token.name,
        }
    }

    pub(crate) fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(it) => Some(&it.person),
            Self::Nobody | Self::Program(_) => None,
        }
    }
}

/// The role of whoever comes first.
pub(crate) const ADMIN: &str = "admin";

/// A role that is not known may only look.
fn role_edits(person: &Person) -> bool {
    matches!(person.role.as_str(), ADMIN | "editor")
}

/// Finds out who is calling. A bearer token counts before a cookie; a wrong token is refused, not overlooked.
pub(super) async fn identify(web: &Web, headers: &HeaderMap, _: &Extensions) -> Result<Caller, Failure> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|value| {
            let (scheme, rest) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
        });
        return match bearer {
            Some(token) => token::find(web, token).await,
            None => Err(Failure::Unauthorised),
        };
    }
    match session::from_cookies(headers) {
        Some(key) => session::find(web, &key).await,
        None => Ok(Caller::Nobody),
    }
}

/// Refuses who may not call a route, with where to go instead.
pub(super) async fn admit(web: &Web, caller: &Caller, permission: Permission, parts: &Parts) -> Result<(), Failure> {
    if caller.may(permission) {
        return Ok(());
    }
    if permission == Permission::Metrics && is_this_machine(&parts.headers, &parts.extensions) {
        return Ok(());
    }
    match caller {
        Caller::Nobody if !web.setup().is_done(web).await? => Err(Failure::SignIn(links::setup())),
        Caller::Nobody if parts.uri.path() == "/live" => Err(Failure::Unauthorised),
        Caller::Nobody => {
            let back = parts.uri.path_and_query().map_or("/", |it| it.as_str());
            let login = links::login();
            let here = parts.method.is_safe() && back != "/" && links::is_ours(back);
            Err(Failure::SignIn(if here { format!("{login}?next={}", links::escaped(back)) } else { login }))
        }
        Caller::Person(_) | Caller::Program(_) => Err(Failure::Forbidden),
    }
}

/// The caller of this request, as the guard found it.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self::Nobody))
    }
}

fn is_this_machine(headers: &HeaderMap, extensions: &Extensions) -> bool {
    let forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED);
    !forwarded && peer(extensions).is_some_and(|peer| peer.is_loopback())
}

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical())
}

/// The address a request comes from, for limits: what a proxy beside us says it was, else the connection's.
pub(crate) fn address(headers: &HeaderMap, extensions: &Extensions) -> IpAddr {
    let unknown = IpAddr::from([0, 0, 0, 0]);
    let peer = peer(extensions).unwrap_or(unknown);
    let is_near = match peer {
        IpAddr::V4(it) => it.is_loopback() || it.is_private() || it.is_unspecified(),
        IpAddr::V6(it) => it.is_loopback() || it.is_unique_local() || it.is_unspecified(),
    };
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
    match last.and_then(|value| value.trim().parse::<IpAddr>().ok()) {
        Some(client) if is_near => client.to_canonical(),
        _ => peer,
    }
}
