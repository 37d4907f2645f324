//! A real mail server (Debian's aiosmtpd) that delivers into a Maildir, with or without STARTTLS by a CA of our own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use super::clock::until;
use super::process::{Process, free_port, log_file};

/// Debian's own interpreter: the package's modules are not seen by another one.
const PYTHON: &str = "/usr/bin/python3";

pub(crate) struct MailServer {
    folder: TempDir,
    address: SocketAddr,
    process: Process,
}

/// A mail as it was delivered.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) text: String,
}

impl Mail {
    /// The first header of that name, its continuation lines joined.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.text.lines().take_while(|line| !line.is_empty()).peekable();
        while let Some(line) = lines.next() {
            let Some((own, value)) = line.split_once(':') else { continue };
            if own.eq_ignore_ascii_case(name) {
                let mut value = value.trim().to_owned();
                while let Some(more) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
                    value.push(' ');
                    value.push_str(more.trim());
                }
                return Some(value);
            }
        }
        None
    }
}

impl MailServer {
    /// Refuses mail before STARTTLS.
    pub(crate) fn with_starttls() -> Self {
        Self::start(true)
    }

    /// Knows no TLS at all.
    pub(crate) fn without_tls() -> Self {
        Self::start(false)
    }

    fn start(tls: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("watchbell-mail-").tempdir().expect("a temporary folder");
        make_certificates(folder.path());
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let log = log_file(&folder.path().join("log"));
        let mut process = Process::start(Path::new(PYTHON), |command| {
            command.args(["-m", "aiosmtpd", "--nosetuid", "--listen", &address.to_string()]);
            if tls {
                command.arg("--tlscert").arg(folder.path().join("server.pem"));
                command.arg("--tlskey").arg(folder.path().join("server.key"));
            }
            command.args(["--class", "aiosmtpd.handlers.Mailbox"]).arg(folder.path().join("maildir"));
            command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        });
        until("the mail server to greet", Duration::from_secs(20), || {
            if let Some(status) = process.ended() {
                let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                panic!("the mail server ended with {status}: {log}");
            }
            greeting(address).filter(|line| line.starts_with("220"))
        });
        Self { folder, address, process }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate authority that signed the server's certificate for `localhost` and 127.0.0.1.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Everything delivered so far, in order of delivery.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let Ok(entries) = fs::read_dir(self.folder.path().join("maildir").join("new")) else { return Vec::new() };
        // A Maildir's names begin with the second of delivery and count up within it.
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort_by_key(|file| (fs::metadata(file).and_then(|data| data.modified()).ok(), file.clone()));
        let mails = files.iter().filter_map(|file| fs::read(file).ok());
        mails.map(|bytes| Mail { text: String::from_utf8_lossy(&bytes).replace("\r\n", "\n") }).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, patience: Duration, wanted: impl Fn(&Mail) -> bool) -> Mail {
        until(what, patience, || {
            assert!(self.process.ended().is_none(), "the mail server has ended");
            self.mails().into_iter().find(&wanted)
        })
    }
}

fn greeting(address: SocketAddr) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test asks its own helper")]
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line)
}

fn make_certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names are good names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Watchbell test authority");
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate().expect("a key");
    let authority_certificate = authority.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(authority, authority_key);

    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names).expect("good names");
    server.distinguished_name.push(DnType::CommonName, "localhost");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server_key = KeyPair::generate().expect("a key");
    let server_certificate = server.signed_by(&server_key, &issuer).expect("a certificate");

    for (name, text) in [
        ("ca.pem", authority_certificate.pem()),
        ("server.pem", server_certificate.pem()),
        ("server.key", server_key.serialize_pem()),
    ] {
        fs::write(folder.join(name), text).expect("a file in a folder of ours");
    }
}
