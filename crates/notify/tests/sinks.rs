//! Servers on loopback that say what a test tells them to say, and remember what they heard. They end with the test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// What was heard, one entry per request or line.
pub(crate) type Heard = Arc<Mutex<Vec<String>>>;

/// A running server.
pub(crate) struct Sink {
    pub(crate) port: u16,
    heard: Heard,
    task: AbortHandle,
}

impl Sink {
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("nobody panicked").clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<F: Future<Output = ()> + Send + 'static>(
    answer: impl Fn(TcpStream, Heard) -> F + Send + 'static,
) -> Sink {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = Heard::default();
    let all = heard.clone();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            tokio::spawn(answer(stream, all.clone()));
        }
    });
    Sink { port, heard, task: task.abort_handle() }
}

/// How an HTTP server answers every request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Exactly these bytes, then the end.
    Raw(Vec<u8>),
    /// The status, and the whole request as the body.
    Echo(u16),
    /// Nothing, ever.
    Hang,
    /// These bytes, then nothing, ever.
    Stall(&'static str),
    /// These bytes, then the same chunk again and again.
    Endless(&'static str, Duration),
    /// The connection ends after the request.
    Close,
}

impl Reply {
    pub(crate) fn status(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes())
    }
}

pub(crate) async fn http(reply: Reply) -> Sink {
    serve(move |stream, heard| answer_http(stream, heard, reply.clone())).await
}

async fn answer_http(mut stream: TcpStream, heard: Heard, reply: Reply) {
    let request = read_request(&mut stream).await;
    heard.lock().expect("nobody panicked").push(request.clone());
    let raw = match reply {
        Reply::Raw(raw) => raw,
        Reply::Echo(status) => {
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{request}", request.len()).into_bytes()
        }
        Reply::Hang => return std::future::pending().await,
        Reply::Stall(raw) => {
            let _ = stream.write_all(raw.as_bytes()).await;
            return std::future::pending().await;
        }
        Reply::Endless(raw, pause) => {
            let _ = stream.write_all(raw.as_bytes()).await;
            while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
            return;
        }
        Reply::Close => return,
    };
    let _ = stream.write_all(&raw).await;
    let _ = stream.shutdown().await;
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
            _ => return String::from_utf8_lossy(&request).into_owned(),
        }
    }
}

/// How a mail server behaves.
#[derive(Clone)]
pub(crate) struct Mailer {
    /// The first reply, without its line end.
    pub(crate) greeting: &'static str,
    /// What it offers, also after TLS.
    pub(crate) offers: Vec<&'static str>,
    /// Replies that differ from the usual ones, by the beginning of the command; `.` is the end of the mail.
    /// `HANG` never answers, `CLOSE` ends the connection, `ENDLESS` never ends its line.
    pub(crate) replies: Vec<(&'static str, &'static str)>,
    /// To change to after STARTTLS, whatever it replied, or at once.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) tls_at_once: bool,
}

impl Default for Mailer {
    fn default() -> Self {
        Self { greeting: "220 mail.test", offers: Vec::new(), replies: Vec::new(), tls: None, tls_at_once: false }
    }
}

pub(crate) async fn smtp(mailer: Mailer) -> Sink {
    serve(move |stream, heard| {
        let mailer = mailer.clone();
        async move {
            match (&mailer.tls, mailer.tls_at_once) {
                (Some(tls), true) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        talk(stream, &heard, &mailer, true).await;
                    }
                }
                _ => {
                    if let (Some(stream), Some(tls)) = (talk(stream, &heard, &mailer, true).await, &mailer.tls)
                        && let Ok(stream) = tls.accept(stream).await
                    {
                        heard.lock().expect("nobody panicked").push("(TLS)".into());
                        talk(stream, &heard, &mailer, false).await;
                    }
                }
            }
        }
    })
    .await
}

/// One conversation; gives the stream back when TLS is to begin.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, heard: &Heard, mailer: &Mailer, greet: bool) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greet {
        reply(&mut stream, mailer.greeting).await?;
    }
    let mut in_mail = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end_matches(['\r', '\n']);
        heard.lock().expect("nobody panicked").push(line.to_owned());
        if in_mail && line != "." {
            continue;
        }
        in_mail = false;
        let scripted = mailer.replies.iter().find(|(command, _)| line.starts_with(command)).map(|(_, reply)| *reply);
        if let Some(scripted) = scripted {
            reply(&mut stream, &scripted.replace("{line}", line)).await?;
            in_mail = line == "DATA" && scripted.starts_with("354");
            if line == "STARTTLS" && mailer.tls.is_some() {
                return Some(stream.into_inner());
            }
            continue;
        }
        match line.split(' ').next().unwrap_or_default() {
            "EHLO" => {
                let offers: Vec<String> = mailer.offers.iter().map(|offer| format!("250-{offer}\r\n")).collect();
                reply(&mut stream, &format!("250-mail.test\r\n{}250 8BITMIME", offers.concat())).await?;
            }
            "STARTTLS" => {
                reply(&mut stream, "220 go ahead").await?;
                return Some(stream.into_inner());
            }
            "DATA" => {
                reply(&mut stream, "354 go ahead").await?;
                in_mail = true;
            }
            "AUTH" => reply(&mut stream, "235 welcome").await?,
            "." => reply(&mut stream, "250 2.0.0 queued as 4F2").await?,
            "QUIT" => reply(&mut stream, "221 bye").await?,
            _ => reply(&mut stream, "250 ok").await?,
        }
    }
}

async fn reply<S: AsyncWrite + Unpin>(stream: &mut S, reply: &str) -> Option<()> {
    match reply {
        "HANG" => std::future::pending().await,
        "CLOSE" => None,
        "ENDLESS" => loop {
            stream.write_all(&[b'2'; 16 * 1024]).await.ok()?;
        },
        reply => {
            stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
            stream.flush().await.ok()
        }
    }
}

/// A certificate for 127.0.0.1 that only those trust who are given it, and a server that shows it.
pub(crate) fn certificate() -> (String, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(watchbell_net::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a key that fits");
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// A port on which nobody listens.
pub(crate) async fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").port()
}
