//! One mail over SMTP (RFC 5321), on a connection that the net crate opened. lettre speaks the protocol; what it is
//! told and what the answers mean is decided here.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use watchbell_net::{Dialed, Family, Net, Purpose, Stream, Target};

use super::{Limit, not_connected};
use crate::email::{Relay, Security};
use crate::{Accepted, Mail, Refusal};

/// Everything a server says in one session fits in this many times over.
const MOST_READ: usize = 256 * 1024;
/// The mail is accepted; whether the good-bye is answered matters to nobody.
const GOODBYE: Duration = Duration::from_millis(200);

type SmtpError = lettre::transport::smtp::Error;

/// Hands the mail to its relay. Recipients that the relay refuses are named in what it said, if others were accepted.
pub(super) async fn send(net: &Net, mail: &Mail, limit: Limit) -> Result<Accepted, Refusal> {
    let letter = mail.render().map_err(Refusal::never)?;
    let mut session = Session::open(net, &mail.relay, limit).await?;
    session.login().await?;

    let envelope = letter.envelope();
    let international = envelope.from().into_iter().chain(envelope.to()).any(|address| !address.to_string().is_ascii());
    if international && !session.offers(Extension::SmtpUtfEight) {
        let host = &mail.relay.host;
        return Err(Refusal::never(format!("{host} does not take addresses with other letters than ASCII")));
    }
    let parameters = if international { vec![MailParameter::SmtpUtfEight] } else { Vec::new() };
    session.say("the sender", MailFrom::new(envelope.from().cloned(), parameters)).await?;

    let mut refused = Vec::new();
    for recipient in envelope.to() {
        let step = format!("the recipient {recipient}");
        match session.say(&step, Rcpt::new(recipient.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(Failure { answered: true, refusal }) => refused.push(refusal),
            Err(failure) => return Err(failure.refusal),
        }
    }
    if refused.len() == envelope.to().len() {
        return Err(worst(refused));
    }
    session.say("the beginning of the mail", Data).await?;
    let limit = session.limit;
    let written = letter.formatted();
    let writing = session.connection.message(&written);
    let said = limit.bound(&format!("{} did not confirm the mail", mail.relay.host), writing).await?;
    let said = said.map_err(|error| failure(&mail.relay.host, "the mail", &error).refusal)?;

    let _ = tokio::time::timeout(GOODBYE, session.connection.quit()).await;
    let mut answer = text(&said);
    for refusal in &refused {
        answer = format!("{answer}; but {}", refusal.why());
    }
    let provider_ref = Some(mail.message_id.clone());
    Ok(Accepted { status: None, provider_ref, answer })
}

/// A conversation with a mail server.
struct Session<'a> {
    relay: &'a Relay,
    limit: Limit,
    connection: AsyncSmtpConnection,
}

/// A step that did not succeed.
struct Failure {
    /// The server said no, and the conversation can go on.
    answered: bool,
    refusal: Refusal,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        failure.refusal
    }
}

impl<'a> Session<'a> {
    /// Connects, greets, and changes to TLS as the settings say.
    async fn open(net: &Net, relay: &'a Relay, limit: Limit) -> Result<Self, Refusal> {
        let wish = relay.tls.wish();
        let target = Target {
            purpose: Purpose::Delivery,
            host: &relay.host,
            port: relay.port,
            family: Family::Any,
            tls: (relay.security == Security::Tls).then_some(&wish),
            proxy: None,
        };
        let dialed = net.dial(&target, limit.at).await.map_err(|error| not_connected(&error))?;

        let host = &relay.host;
        let stream = Box::new(Lines::over(dialed));
        let greeting = AsyncSmtpConnection::connect_with_transport(stream, hello());
        let greeted = limit.bound(&format!("{host} did not greet"), greeting).await?;
        let connection = greeted.map_err(|error| failure(host, "the connection", &error).refusal)?;
        let mut session = Self { relay, limit, connection };
        if relay.security == Security::Starttls {
            session.starttls().await?;
        }
        Ok(session)
    }

    async fn starttls(&mut self) -> Result<(), Refusal> {
        let host = &self.relay.host;
        if !self.offers(Extension::StartTls) {
            return Err(Refusal::never(format!(
                "{host} does not offer STARTTLS, so the mail was not sent. Set security to tls, or to none if the way there is safe"
            )));
        }
        let parameters = tls_parameters(self.relay).map_err(Refusal::never)?;
        let upgrading = self.connection.starttls(parameters, hello());
        let upgraded = self.limit.bound(&format!("{host} did not finish STARTTLS"), upgrading).await?;
        upgraded.map_err(|error| failure(host, "STARTTLS", &error).refusal)
    }

    async fn login(&mut self) -> Result<(), Refusal> {
        const KNOWN: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
        let Some((user, password)) = &self.relay.login else { return Ok(()) };
        let host = &self.relay.host;
        if self.connection.server_info().get_auth_mechanism(&KNOWN).is_none() {
            return Err(Refusal::never(format!(
                "{host} offers no way to log in that Watchbell knows (PLAIN, LOGIN); if it needs none, remove user and password"
            )));
        }
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        let asking = self.connection.auth(&KNOWN, &credentials);
        let answered = self.limit.bound(&format!("{host} did not answer the login"), asking).await?;
        answered.map(|_| ()).map_err(|error| failure(host, &format!("the login of {user}"), &error).refusal)
    }

    fn offers(&self, extension: Extension) -> bool {
        self.connection.server_info().supports_feature(extension)
    }

    /// One command and its answer.
    async fn say(&mut self, step: &str, command: impl fmt::Display) -> Result<Response, Failure> {
        let host = &self.relay.host;
        let asking = self.connection.command(command);
        match self.limit.bound(&format!("{host} did not answer {step}"), asking).await {
            Err(refusal) => Err(Failure { answered: false, refusal }),
            Ok(answered) => answered.map_err(|error| failure(host, step, &error)),
        }
    }
}

/// What an error means: 4xx passes, 5xx stays (RFC 5321, section 4.2.1), and a broken conversation may go better.
fn failure(host: &str, step: &str, error: &SmtpError) -> Failure {
    let mut causes = watchbell_net::fault::chain(error);
    let cause = causes.pop().unwrap_or_default();
    if let Some(code) = error.status() {
        let why = format!("{host} refused {step}: {code} {cause}");
        let refusal = if error.is_permanent() { Refusal::never(why) } else { Refusal::later(why) };
        return Failure { answered: true, refusal };
    }
    Failure { answered: false, refusal: Refusal::later(format!("{host} failed at {step}: {cause}")) }
}

/// If nobody was accepted: another try if anybody may be accepted then.
fn worst(refused: Vec<Refusal>) -> Refusal {
    let later = refused.iter().position(|refusal| matches!(refusal, Refusal::Later { .. }));
    refused.into_iter().nth(later.unwrap_or(0)).unwrap_or_else(|| Refusal::never("The mail has no recipients"))
}

fn text(response: &Response) -> String {
    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "))
}

/// How this machine calls itself.
fn hello() -> &'static ClientId {
    static HELLO: OnceLock<ClientId> = OnceLock::new();
    HELLO.get_or_init(ClientId::default)
}

/// The same trust as the net crate's connections have: the system's authorities, and those of the settings.
fn tls_parameters(relay: &Relay) -> Result<TlsParameters, String> {
    let unusable =
        |error: SmtpError| format!("TLS cannot be set up: {}", watchbell_net::fault::chain(&error).join(": "));
    let mut builder = TlsParameters::builder(relay.host.clone()).dangerous_accept_invalid_certs(!relay.tls.verify);
    let system = system_authorities();
    if !system.is_empty() {
        builder = builder.certificate_store(CertificateStore::None);
    }
    for authority in system {
        builder = builder.add_root_certificate(authority.clone());
    }
    if let Some(pem) = &relay.tls.ca {
        let authority = Certificate::from_pem(pem.as_bytes()).map_err(unusable)?;
        builder = builder.add_root_certificate(authority);
    }
    builder.build().map_err(unusable)
}

/// The authorities of the system, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. None at all on a bare
/// machine: then the bundled ones are trusted.
fn system_authorities() -> &'static [Certificate] {
    static AUTHORITIES: OnceLock<Vec<Certificate>> = OnceLock::new();
    AUTHORITIES.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs().certs;
        found.into_iter().filter_map(|der| Certificate::from_der(der.to_vec()).ok()).collect()
    })
}

/// A connection that gives at most one line at a time, and no more than [`MOST_READ`] in all.
///
/// Whoever sits on the way could append words of their own to the last answer before TLS, and they would be read as
/// if they had come through it. Here they are left in the connection instead, where TLS stumbles over them.
#[derive(Debug)]
struct Lines {
    stream: BufReader<Stream>,
    address: SocketAddr,
    left: usize,
}

impl Lines {
    fn over(dialed: Dialed) -> Self {
        Self { stream: BufReader::new(dialed.stream), address: dialed.address, left: MOST_READ }
    }
}

impl AsyncRead for Lines {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let ready = ready!(Pin::new(&mut self.stream).poll_fill_buf(cx))?;
        let line = ready.iter().position(|byte| *byte == b'\n').map_or(ready.len(), |end| end + 1);
        let length = line.min(buf.remaining());
        buf.put_slice(&ready[..length]);
        Pin::new(&mut self.stream).consume(length);
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other("the mail server does not stop talking"))),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Lines {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
