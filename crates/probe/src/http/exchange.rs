//! One check from its first byte to its verdict: connect, ask, follow redirects, read, judge. Everything waits for the
//! same deadline and runs in the caller's task, so dropping the future closes whatever is open.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;

use http::response::Parts;
use hyper::body::Incoming;
use hyper::{StatusCode, header};
use tokio::time::Sleep;
use watchbell_core::finding::clean;
use watchbell_core::{Finding, Outcome, Phases, Reason};
use watchbell_net::stopwatch::Stopwatch;
use watchbell_net::{Purpose, Target, TlsSeen, TlsWish};

use super::body::{End, Reader, SHOWN, Unread};
use super::evidence::{self, Seen, Size};
use super::hop::Hop;
use super::place::Place;
use super::plan::Plan;
use super::settings::{Connection, HttpVersion};
use super::unpack::Packing;
use super::wire::{Outgoing, Wire};
use super::{Http, explain};
use crate::Ask;

/// JSON of this size takes long enough to be judged beside the other checks, not between them.
const LARGE_JSON: usize = 64 * 1024;

/// Asks once, and tells what came of it.
pub(crate) async fn ask(http: &Http, plan: &Arc<Plan>, ctx: &Ask<'_>) -> Finding {
    let watch = Stopwatch::start();
    let deadline = pin!(tokio::time::sleep_until(ctx.deadline));
    let mut check = Check { http, plan, ctx, watch, deadline, seen: Seen::default() };
    let outcome = match check.run().await {
        Ok(()) => Outcome::Ok,
        Err(outcome) => outcome,
    };
    check.seen.into_finding(outcome, watch.elapsed(), ctx.now)
}

/// A check under way. Its functions return `Err` with the outcome that ends it.
pub(crate) struct Check<'a> {
    http: &'a Http,
    plan: &'a Arc<Plan>,
    pub(crate) ctx: &'a Ask<'a>,
    pub(crate) watch: Stopwatch,
    deadline: Pin<&'a mut Sleep>,
    pub(crate) seen: Seen,
}

/// A connection that an answer is coming over.
pub(crate) struct Answering {
    pub(crate) wire: Wire,
    pub(crate) body: Incoming,
}

/// A connection kept from one check to the next. It is good for the very settings it was made for, no others.
struct Kept {
    wire: Wire,
    address: SocketAddr,
    tls: Option<TlsSeen>,
    plan: Weak<Plan>,
}

/// Why a request got no answer.
pub(crate) enum Unanswered {
    Late(Outcome),
    Broken(Outcome),
}

impl Check<'_> {
    async fn run(&mut self) -> Result<(), Outcome> {
        let plan = self.plan.clone();
        let mut hop = Hop::first(&plan);
        if self.http.cache_buster {
            hop.pass_caches(self.ctx.now.as_millis());
        }
        let mut may_renew = false;
        if let Some(tokens) = &plan.tokens {
            let (token, was_kept) = tokens.token(self).await?;
            hop.set(header::AUTHORIZATION, token);
            may_renew = was_kept;
        }
        loop {
            let answering = self.exchange(&hop).await?;
            let status = self.head().status;
            let is_withdrawn = may_renew && hop.is_home && status == StatusCode::UNAUTHORIZED;
            if let Some(tokens) = plan.tokens.as_ref().filter(|_| is_withdrawn) {
                may_renew = false;
                tokens.forget();
                let (token, _) = tokens.token(self).await?;
                hop.set(header::AUTHORIZATION, token);
                continue;
            }
            if self.http.redirects > 0
                && let Some((told, next)) = hop.redirected(status, &self.head().headers)
            {
                hop = self.onward(&hop, status, &told, next)?;
                continue;
            }
            return self.judge(answering, &hop).await;
        }
    }

    /// Notes a redirect and refuses one too many.
    fn onward<'h>(
        &mut self,
        hop: &Hop<'_>,
        status: StatusCode,
        told: &str,
        next: Result<Hop<'h>, String>,
    ) -> Result<Hop<'h>, Outcome> {
        let downgrades = next.as_ref().is_ok_and(|next| hop.place.is_https && !next.place.is_https);
        let remark = if downgrades { " (from https to http)" } else { "" };
        self.seen.redirects.push(format!("{} to {told}{remark}", status.as_str()));
        let next = next.map_err(|why| fail("redirects", format!("Redirect to {told} cannot be followed: {why}")))?;
        let most = self.http.redirects;
        if self.seen.redirects.len() > usize::from(most) {
            let redirects = if most == 1 { "redirect" } else { "redirects" };
            return Err(fail("redirects", format!("More than {most} {redirects}, the last to {told}")));
        }
        Ok(next)
    }

    /// Sends the request of `hop` and waits for the head of its answer, which is then in `seen`.
    async fn exchange(&mut self, hop: &Hop<'_>) -> Result<Answering, Outcome> {
        let keeps = self.http.connection == Connection::Reuse && hop.is_home;
        if keeps {
            match self.exchange_over_kept(hop).await? {
                Some(answering) => return Ok(answering),
                None => self.seen.head = None,
            }
        }
        let tls = wish_for(self.plan, &hop.place);
        let wire = self.open(&hop.place, &tls, self.http.http_version).await?;
        let request = hop.request(wire.is_two(), keeps)?;
        self.send(wire, request, &hop.place)
            .await
            .map_err(|(Unanswered::Late(outcome) | Unanswered::Broken(outcome))| outcome)
    }

    /// `None` if no connection was kept, or if it died before it gave an answer.
    async fn exchange_over_kept(&mut self, hop: &Hop<'_>) -> Result<Option<Answering>, Outcome> {
        let kept = self.ctx.reuse.take::<Kept>(self.ctx.monitor);
        let Some(mut kept) = kept.filter(|kept| Weak::ptr_eq(&kept.plan, &Arc::downgrade(self.plan))) else {
            self.seen.connection = Some("new, none was kept");
            return Ok(None);
        };
        self.seen.connection = Some("new, the kept one had died");
        if !kept.wire.can_go_on().await {
            return Ok(None);
        }
        self.seen.address = Some(kept.address);
        self.seen.phases = Phases::default();
        self.seen.note_tls(kept.tls);
        let request = hop.request(kept.wire.is_two(), true)?;
        match self.send(kept.wire, request, &hop.place).await {
            Ok(answering) => {
                self.seen.connection = Some("kept from the check before");
                Ok(Some(answering))
            }
            Err(Unanswered::Late(outcome)) => {
                self.seen.connection = Some("kept from the check before");
                Err(outcome)
            }
            Err(Unanswered::Broken(_)) => {
                self.seen.errors.clear();
                Ok(None)
            }
        }
    }

    /// Opens a connection and begins to speak HTTP over it.
    pub(crate) async fn open(&mut self, place: &Place, tls: &TlsWish, version: HttpVersion) -> Result<Wire, Outcome> {
        let target = Target {
            purpose: Purpose::Probe,
            host: &place.host,
            port: place.port,
            family: self.http.family,
            tls: place.is_https.then_some(tls),
            proxy: self.plan.proxy.as_ref(),
        };
        self.seen.head = None;
        self.seen.is_proxied = target.proxy.is_some();
        let dialed = match self.ctx.net.dial(&target, self.ctx.deadline).await {
            Ok(dialed) => dialed,
            Err(error) => return Err(self.seen.note_dial_error(*error)),
        };
        self.seen.phases = dialed.phases;
        self.seen.address = Some(dialed.address);
        let speaks_two = match &dialed.tls {
            Some(tls) => tls.alpn.as_deref() == Some("h2"),
            None => version == HttpVersion::Two,
        };
        self.seen.note_tls(dialed.tls);
        if version == HttpVersion::Two && !speaks_two {
            return Err(fail("protocol", format!("{} does not offer HTTP/2", place.host)));
        }
        match self.within(Wire::open(dialed.stream, speaks_two)).await {
            Some(Ok(wire)) => Ok(wire),
            Some(Err(error)) => {
                self.seen.errors = watchbell_net::fault::chain(&error);
                Err(explain::no_head(&error.into(), &[], &self.peer(place)))
            }
            None => Err(explain::timed_out(self.watch.elapsed(), "sending the request")),
        }
    }

    /// Sends a request and waits for the head of its answer, which is then in `seen`.
    pub(crate) async fn send(
        &mut self,
        mut wire: Wire,
        request: Outgoing,
        place: &Place,
    ) -> Result<Answering, Unanswered> {
        let mut steps = Stopwatch::start();
        let answered = self.within(wire.send(request)).await;
        self.seen.phases.wait_us = Some(steps.lap());
        match answered {
            Some(Ok(response)) => {
                let (head, body) = response.into_parts();
                self.seen.head = Some(head);
                Ok(Answering { wire, body })
            }
            Some(Err(broken)) => {
                self.seen.errors = broken.chain();
                Err(Unanswered::Broken(explain::no_head(&broken, &wire.leftover(), &self.peer(place))))
            }
            None => {
                let doing =
                    if wire.leftover().is_empty() { "waiting for the first byte" } else { "reading the headers" };
                Err(Unanswered::Late(explain::timed_out(self.watch.elapsed(), doing)))
            }
        }
    }

    /// Reads what is needed of the body, and judges.
    async fn judge(&mut self, mut answering: Answering, hop: &Hop<'_>) -> Result<(), Outcome> {
        let rules = &self.plan.rules;
        let head = self.head();
        if !self.http.accept.iter().any(|range| range.holds(head.status.as_u16())) {
            let reason = Reason::new("status", self.status_complaint());
            self.read_start(&mut answering).await;
            return Err(Outcome::Fail(reason));
        }
        let mut broken = Vec::new();
        rules.judge_headers(&head.headers, &mut broken);
        if rules.need_body() {
            let mut reader = Reader::keep(self.packing(), self.http.max_body);
            let end = self.read(&mut answering, &mut reader, &hop.place).await;
            self.seen.start = reader.start().to_vec();
            let end = end?;
            broken = self.judge_body(reader.take(), end, broken).await?;
            self.hint_at_packing(&mut broken);
        } else {
            let mut reader = Reader::count(self.http.max_body);
            if let Err(outcome) = self.read(&mut answering, &mut reader, &hop.place).await {
                self.seen.start = reader.start().to_vec();
                return Err(outcome);
            }
            if !broken.is_empty() {
                self.seen.start = reader.start().to_vec();
            }
        }
        self.keep(answering, hop).await;
        let count = rules.count();
        if count > 0 {
            let held = count.saturating_sub(broken.len());
            let mut told = format!("{held} of {count} hold");
            for reason in &broken {
                told.push_str("; ");
                told.push_str(&reason.text);
            }
            self.seen.rules = Some(told);
        }
        match broken.into_iter().next() {
            Some(reason) => Err(Outcome::Fail(reason)),
            None => Ok(()),
        }
    }

    /// `502 Bad Gateway`, with what was expected where that is not plain, and with where a redirect leads.
    fn status_complaint(&self) -> String {
        let head = self.head();
        let mut text = evidence::status_of(head);
        if let Some(location) = head.headers.get(header::LOCATION).filter(|_| head.status.is_redirection()) {
            text = format!("{text}, leads to {}", super::place::shown(&String::from_utf8_lossy(location.as_bytes())));
        }
        if head.status.is_success() || self.http.accept != [super::Accepted::SUCCESS] {
            let accepted: Vec<String> = self.http.accept.iter().map(ToString::to_string).collect();
            text = format!("{text}, expected {}", accepted.join(", "));
        }
        text
    }

    /// How the body is packed, as far as we want to unpack it.
    fn packing(&self) -> Packing {
        match self.head().headers.get(header::CONTENT_ENCODING) {
            Some(encoding) if self.http.decompress => Packing::from_header(Some(encoding.as_bytes())),
            _ => Packing::Plain,
        }
    }

    /// A body that nobody unpacked keeps no rule about its text.
    fn hint_at_packing(&self, broken: &mut [Reason]) {
        let Some(encoding) = self.head().headers.get(header::CONTENT_ENCODING) else { return };
        let remedy = match (self.http.decompress, Packing::from_header(Some(encoding.as_bytes()))) {
            (_, Packing::Plain) => return,
            (_, Packing::Other) => "which cannot be unpacked",
            (true, _) => return,
            (false, _) => "`decompress` unpacks it",
        };
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        for reason in broken.iter_mut().filter(|reason| reason.code != "header") {
            let text = format!("{} (it is packed as {encoding}; {remedy})", reason.text);
            reason.text = clean(&text, Reason::LONGEST);
        }
    }

    pub(crate) async fn read(
        &mut self,
        answering: &mut Answering,
        reader: &mut Reader,
        place: &Place,
    ) -> Result<End, Outcome> {
        let mut steps = Stopwatch::start();
        let read = self.within(reader.read(&mut answering.wire, &mut answering.body)).await;
        self.seen.phases.transfer_us = Some(steps.lap());
        self.seen.body = Some(Size { received: reader.received(), is_whole: matches!(read, Some(Ok(End::Whole))) });
        match read {
            Some(Ok(end)) => Ok(end),
            Some(Err(Unread::Wire(error))) => {
                self.seen.errors = watchbell_net::fault::chain(&error);
                let progress = format!("in the middle of the body, after {}", self.progress(reader.received()));
                Err(explain::no_body(&error, &self.peer(place), &progress))
            }
            Some(Err(Unread::Bomb)) => Err(fail(
                "too_large",
                "Body unpacks to more than 100 times its size; it was not read further".to_owned(),
            )),
            Some(Err(Unread::BadPacking(packing))) => {
                Err(fail("protocol", format!("Body cannot be unpacked: it is not the {packing} it is said to be")))
            }
            None => {
                let doing = format!("reading the body, {} so far", self.progress(reader.received()));
                Err(explain::timed_out(self.watch.elapsed(), doing))
            }
        }
    }

    /// `5 bytes`, or `5 of 10 bytes` if the server said how many there are.
    fn progress(&self, received: u64) -> String {
        let length = self.head().headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let mut text = String::new();
        match length {
            Some(length) => {
                evidence::bytes(&mut text, received);
                text.push_str(" of ");
                evidence::bytes(&mut text, length);
            }
            None => evidence::bytes(&mut text, received),
        }
        text
    }

    /// Reads the first bytes of a body whose verdict is known already. Whatever goes wrong here does not matter.
    async fn read_start(&mut self, answering: &mut Answering) {
        let mut reader = Reader::keep(self.packing(), SHOWN as u32);
        let mut steps = Stopwatch::start();
        let read = self.within(reader.read(&mut answering.wire, &mut answering.body)).await;
        self.seen.phases.transfer_us = Some(steps.lap());
        self.seen.body = Some(Size { received: reader.received(), is_whole: matches!(read, Some(Ok(End::Whole))) });
        self.seen.start = reader.take();
    }

    async fn judge_body(&mut self, body: Vec<u8>, end: End, mut broken: Vec<Reason>) -> Result<Vec<Reason>, Outcome> {
        let is_whole = end == End::Whole;
        if !self.plan.rules.need_json() || body.len() < LARGE_JSON {
            self.plan.rules.judge_body(&body, is_whole, &mut broken);
            return Ok(broken);
        }
        let plan = self.plan.clone();
        let judging = tokio::task::spawn_blocking(move || {
            plan.rules.judge_body(&body, is_whole, &mut broken);
            broken
        });
        match self.within(judging).await {
            Some(Ok(broken)) => Ok(broken),
            Some(Err(error)) => {
                Err(Outcome::Local(Reason::new("internal", format!("Judging the body failed: {error}"))))
            }
            None => Err(explain::timed_out(self.watch.elapsed(), "looking into the JSON of the body")),
        }
    }

    /// Keeps the connection for the next check, if that is wanted and it is good for another one.
    async fn keep(&mut self, mut answering: Answering, hop: &Hop<'_>) {
        let wanted = self.http.connection == Connection::Reuse && hop.is_home;
        if let Some(address) = self.seen.address.filter(|_| wanted)
            && self.seen.body.as_ref().is_some_and(|body| body.is_whole)
            && answering.wire.can_go_on().await
        {
            let kept =
                Kept { wire: answering.wire, address, tls: self.seen.tls.clone(), plan: Arc::downgrade(self.plan) };
            self.ctx.reuse.keep(self.ctx.monitor, kept);
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        self.plan
    }

    /// The head of the answer that is coming in.
    pub(crate) fn head(&self) -> &Parts {
        self.seen.head.as_ref().expect("only what answers is asked for its head")
    }

    /// Who is at the other end, as reasons name it. Behind a proxy, the address seen is the proxy's.
    fn peer<'p>(&self, place: &'p Place) -> Peer<'p> {
        Peer { address: self.seen.address.filter(|_| !self.seen.is_proxied), host: &place.host }
    }

    /// Waits for `future`, but not beyond the deadline.
    pub(crate) async fn within<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            // The deadline comes first: a server that always has more to say must not hide it.
            if self.deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

/// TLS as the settings want it. A server name and a client certificate are for the monitor's own host.
fn wish_for<'a>(plan: &'a Plan, place: &Place) -> Cow<'a, TlsWish> {
    let wish = plan.tls();
    if place.host == plan.place.host || (wish.server_name.is_none() && wish.client.is_none()) {
        return Cow::Borrowed(wish);
    }
    Cow::Owned(TlsWish { server_name: None, client: None, ..wish.clone() })
}

struct Peer<'a> {
    address: Option<SocketAddr>,
    host: &'a str,
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str(self.host),
        }
    }
}

fn fail(code: &'static str, text: String) -> Outcome {
    Outcome::Fail(Reason::new(code, text))
}
