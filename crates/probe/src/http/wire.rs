//! One HTTP connection, version 1.1 or 2, driven by whoever waits for its answer: nothing is spawned, so dropping it
//! closes the socket, and a check that is given up leaves nothing behind.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use watchbell_net::Stream;

/// Of the head of an answer, all lines together.
pub(crate) const LARGEST_HEAD: usize = 64 * 1024;

/// What is read ahead: a head, and a little of the body.
const LARGEST_BUFFER: usize = LARGEST_HEAD + 8 * 1024;

/// Provisional answers (1xx) before the real one.
pub(crate) const MOST_PROVISIONAL: usize = 8;

/// How far an HTTP/2 server may send ahead of what was read.
const WINDOW: u32 = 256 * 1024;

/// A request, its body ready.
pub(crate) type Outgoing = Request<Full<Bytes>>;

/// An HTTP connection.
pub(crate) enum Wire {
    One(Box<One>),
    Two(Box<Two>),
}

pub(crate) struct One {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    is_over: bool,
}

pub(crate) struct Two {
    sender: http2::SendRequest<Full<Bytes>>,
    connection: http2::Connection<TokioIo<Stream>, Full<Bytes>, Tasks>,
    is_over: bool,
    tasks: Tasks,
    running: Vec<Task>,
}

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum Broken {
    Hyper(hyper::Error),
    /// More than [`MOST_PROVISIONAL`] answers before the answer.
    Provisional,
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        Self::Hyper(error)
    }
}

impl Broken {
    /// The chain of errors, outermost first.
    pub(crate) fn chain(&self) -> Vec<String> {
        match self {
            Self::Hyper(error) => watchbell_net::fault::chain(error),
            Self::Provisional => Vec::new(),
        }
    }
}

impl Wire {
    /// Begins to speak HTTP/1.1, or HTTP/2 if `is_two`.
    pub(crate) async fn open(stream: Stream, is_two: bool) -> Result<Self, hyper::Error> {
        let io = TokioIo::new(stream);
        if is_two {
            let tasks = Tasks::default();
            let (sender, connection) = http2::Builder::new(tasks.clone())
                .max_header_list_size(LARGEST_HEAD as u32)
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW)
                .initial_max_send_streams(1)
                .max_concurrent_reset_streams(8)
                .max_pending_accept_reset_streams(8)
                .max_local_error_reset_streams(8)
                .max_send_buf_size(64 * 1024)
                .handshake(io)
                .await?;
            Ok(Self::Two(Box::new(Two { sender, connection, is_over: false, tasks, running: Vec::new() })))
        } else {
            let (sender, connection) =
                http1::Builder::new().max_header_size(LARGEST_HEAD).max_buf_size(LARGEST_BUFFER).handshake(io).await?;
            Ok(Self::One(Box::new(One { sender, connection, is_over: false })))
        }
    }

    pub(crate) const fn is_two(&self) -> bool {
        matches!(self, Self::Two(_))
    }

    /// Sends the request and waits for the head of the answer.
    pub(crate) async fn send(&mut self, mut request: Outgoing) -> Result<Response<Incoming>, Broken> {
        match self {
            Self::One(one) => {
                let provisional = Arc::new(AtomicUsize::new(0));
                let counter = provisional.clone();
                hyper::ext::on_informational(&mut request, move |_| {
                    counter.fetch_add(1, Ordering::Relaxed);
                });
                let mut answer = pin!(one.sender.send_request(request));
                std::future::poll_fn(|cx| {
                    drive_one(&mut one.connection, &mut one.is_over, cx);
                    if provisional.load(Ordering::Relaxed) > MOST_PROVISIONAL {
                        return Poll::Ready(Err(Broken::Provisional));
                    }
                    answer.as_mut().poll(cx).map_err(Broken::Hyper)
                })
                .await
            }
            Self::Two(two) => {
                let Two { sender, connection, is_over, tasks, running } = &mut **two;
                let mut answer = pin!(sender.send_request(request));
                std::future::poll_fn(|cx| {
                    drive_two(connection, is_over, tasks, running, cx);
                    answer.as_mut().poll(cx).map_err(Broken::Hyper)
                })
                .await
            }
        }
    }

    /// The next piece of the answer's body; `None` at its end. Trailers are passed over.
    pub(crate) async fn next(&mut self, body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
        std::future::poll_fn(|cx| {
            loop {
                let mut polled = Pin::new(&mut *body).poll_frame(cx);
                if polled.is_pending() {
                    self.drive(cx);
                    polled = Pin::new(&mut *body).poll_frame(cx);
                }
                match ready!(polled).map(|frame| frame.map(hyper::body::Frame::into_data)) {
                    Some(Ok(Ok(data))) => return Poll::Ready(Some(Ok(data))),
                    Some(Ok(Err(_trailers))) => {}
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            }
        })
        .await
    }

    /// Whether another request can be sent: the last answer was read to its end, and nobody wants to close.
    /// Moves the connection along as far as it goes without waiting.
    pub(crate) async fn can_go_on(&mut self) -> bool {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(match self {
                Self::One(one) => !one.is_over && one.sender.is_ready(),
                Self::Two(two) => !two.is_over && two.sender.is_ready(),
            })
        })
        .await
    }

    /// What was read and is not part of an answer, such as the greeting of a server that does not speak HTTP.
    pub(crate) fn leftover(self) -> Bytes {
        match self {
            Self::One(one) => one.connection.into_parts().read_buf,
            Self::Two(_) => Bytes::new(),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::One(one) => drive_one(&mut one.connection, &mut one.is_over, cx),
            Self::Two(two) => {
                let Two { connection, is_over, tasks, running, .. } = &mut **two;
                drive_two(connection, is_over, tasks, running, cx);
            }
        }
    }
}

/// Errors of the connection are not looked at: whoever waits for the answer gets them too.
fn drive_one(
    connection: &mut http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    is_over: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*is_over {
        *is_over = Pin::new(connection).poll(cx).is_ready();
    }
}

fn drive_two(
    connection: &mut http2::Connection<TokioIo<Stream>, Full<Bytes>, Tasks>,
    is_over: &mut bool,
    tasks: &Tasks,
    running: &mut Vec<Task>,
    cx: &mut Context<'_>,
) {
    if !*is_over {
        *is_over = Pin::new(connection).poll(cx).is_ready();
    }
    // A task may begin others.
    loop {
        running.retain_mut(|task| task.as_mut().poll(cx).is_pending());
        let begun = tasks.take();
        if begun.is_empty() {
            return;
        }
        running.extend(begun);
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        // A task holds the list that it may be in; nothing may be left in there.
        drop(self.tasks.take());
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes what HTTP/2 would spawn, for [`drive_two`] to run.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<Vec<Task>>>);

impl Tasks {
    fn take(&self) -> Vec<Task> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(task));
    }
}
