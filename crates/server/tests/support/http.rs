//! HTTP/1.1, as little as the tests need: a client with time limits, and a server that misbehaves on request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use serde_json::Value;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first header of that name, in any case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One request on a connection of its own.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    patience: Duration,
) -> io::Result<Answer> {
    #[expect(clippy::disallowed_methods, reason = "a test's own client talks to the product from outside")]
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if !body.is_empty() || method != "GET" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    (&stream).write_all(head.as_bytes())?;
    (&stream).write_all(body)?;
    let mut reader = BufReader::new(&stream);
    let first = line(&mut reader)?.ok_or_else(|| broken("the connection was closed without an answer"))?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| broken(&first))?;
    let headers = read_headers(&mut reader)?;
    let body = read_body(&mut reader, &headers, method != "HEAD" && status != 204 && status != 304)?;
    Ok(Answer { status, headers, body })
}

pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    request(address, "GET", path, &[], b"", Duration::from_secs(10))
}

/// A request as a server of ours received it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// What a server of ours does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Waits, then does the other thing.
    After(Duration, Box<Manner>),
    /// Never answers; the connection stays open until the server ends.
    Hang,
    /// Ends the connection with a reset.
    Reset,
    /// Ends the connection politely, without an answer.
    Close,
    /// Promises more than it sends, then closes.
    CutShort,
}

impl Manner {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer { status, headers: vec![("Content-Type", "application/json".to_owned())], body: body.to_string() }
    }

    /// The caller is told that its request arrived.
    pub(crate) fn is_success(&self) -> bool {
        match self {
            Self::Answer { status, .. } => (200..300).contains(status),
            Self::After(_, then) => then.is_success(),
            Self::Hang | Self::Reset | Self::Close | Self::CutShort => false,
        }
    }
}

/// A web server with one thread per connection. Dropping it ends it.
pub(crate) struct Server {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

type Handler = dyn Fn(Request) -> Manner + Send + Sync;

impl Server {
    pub(crate) fn start(handle: impl Fn(Request) -> Manner + Send + Sync + 'static) -> Self {
        Self::start_on(0, handle)
    }

    /// On a given port, for a server that is to come back where it was.
    pub(crate) fn start_on(port: u16, handle: impl Fn(Request) -> Manner + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port to listen on");
        listener.set_nonblocking(true).expect("a listener can be polled");
        let address = listener.local_addr().expect("a bound socket has an address");
        let ending = Arc::new(AtomicBool::new(false));
        let handle: Arc<Handler> = Arc::new(handle);
        let accepting = spawn({
            let ending = Arc::clone(&ending);
            move || {
                while !ending.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((stream, _)) => {
                            let (ending, handle) = (Arc::clone(&ending), Arc::clone(&handle));
                            // A caller that goes away in the middle is its own affair.
                            spawn(move || serve(&stream, &*handle, &ending).ok());
                        }
                        Err(_) => sleep(Duration::from_millis(1)),
                    }
                }
            }
        });
        Self { address, ending, accepting: Some(accepting) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("the accepting thread does not panic");
        }
    }
}

/// How often a waiting connection looks whether its server has ended.
const BREATH: Duration = Duration::from_millis(50);

fn serve(stream: &TcpStream, handle: &Handler, ending: &AtomicBool) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    loop {
        stream.set_read_timeout(Some(BREATH))?;
        loop {
            match reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(_) => break,
                Err(error) if is_timeout(&error) && !ending.load(Ordering::Relaxed) => {}
                Err(error) => return Err(error),
            }
        }
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let Some(request) = read_request(&mut reader)? else { return Ok(()) };
        let keep = !request.headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let mut manner = handle(request);
        while let Manner::After(delay, then) = manner {
            sleep(delay);
            manner = *then;
        }
        match manner {
            Manner::Answer { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status} {}\r\nContent-Length: {}\r\n", phrase(status), body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                let mut out = stream;
                out.write_all(format!("{head}\r\n{body}").as_bytes())?;
            }
            Manner::CutShort => {
                let mut out = stream;
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")?;
                return stream.shutdown(Shutdown::Both);
            }
            Manner::Hang => {
                while !ending.load(Ordering::Relaxed) {
                    sleep(BREATH);
                }
                return Ok(());
            }
            Manner::Reset => return socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Manner::Close => return stream.shutdown(Shutdown::Both),
            Manner::After(..) => unreachable!("taken apart above"),
        }
        if !keep {
            return Ok(());
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some(first) = line(reader)? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(broken(&first)) };
    let headers = read_headers(reader)?;
    let has_body = headers.get("content-length").is_some() || headers.get("transfer-encoding").is_some();
    let body = read_body(reader, &headers, has_body)?;
    Ok(Some(Request { method, path, headers, body }))
}

fn read_headers(reader: &mut impl BufRead) -> io::Result<Headers> {
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?.ok_or_else(|| broken("the headers end too early"))?;
        if line.is_empty() {
            return Ok(Headers(headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
}

fn read_body(reader: &mut impl BufRead, headers: &Headers, has_body: bool) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if !has_body {
        return Ok(body);
    }
    if headers.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = line(reader)?.ok_or_else(|| broken("the chunks end too early"))?;
            let digits = size.split(';').next().unwrap_or("").trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| broken(&size))?;
            io::copy(&mut reader.by_ref().take(size), &mut body)?;
            line(reader)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match headers.get("content-length") {
        Some(length) => {
            let length: u64 = length.parse().map_err(|_| broken(length))?;
            if io::copy(&mut reader.by_ref().take(length), &mut body)? < length {
                return Err(broken("the body ends too early"));
            }
        }
        None => {
            reader.read_to_end(&mut body)?;
        }
    }
    Ok(body)
}

/// One line without its end; `None` where the stream ends.
fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.take(64 * 1024).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {what}"))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Answer",
    }
}
