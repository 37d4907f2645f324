//! One connection, whatever lies between: TCP, TLS, or TLS inside the TLS of a proxy.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// An open connection. Dropping it closes the socket.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Through an HTTPS proxy to a TLS target.
    Nested(Box<TlsStream<TlsStream<TcpStream>>>),
}

macro_rules! each {
    ($stream:expr, $it:ident => $body:expr) => {
        match $stream.get_mut() {
            Stream::Tcp($it) => {
                let $it = Pin::new($it);
                $body
            }
            Stream::Tls($it) => {
                let $it = Pin::new($it.as_mut());
                $body
            }
            Stream::Nested($it) => {
                let $it = Pin::new($it.as_mut());
                $body
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, it => it.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, it => it.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, it => it.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(it) => it.is_write_vectored(),
            Self::Tls(it) => it.is_write_vectored(),
            Self::Nested(it) => it.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, it => it.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, it => it.poll_shutdown(cx))
    }
}
