//! A real nginx in a folder of its own, to be stopped and started.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::clock::until;
use super::http::get;
use super::process::{Process, free_port, log_file, program};

pub(crate) struct Nginx {
    folder: TempDir,
    address: SocketAddr,
    running: Option<Process>,
}

impl Nginx {
    /// Serves `/health` with `ok`, and started.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("watchbell-nginx-").tempdir().expect("a temporary folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let site = folder.path().join("site");
        fs::create_dir(&site).expect("a folder in a folder of ours");
        fs::write(site.join("health"), "ok\n").expect("a file in a folder of ours");
        fs::write(folder.path().join("nginx.conf"), configuration(address)).expect("a file in a folder of ours");
        let mut nginx = Self { folder, address, running: None };
        nginx.start_again();
        nginx
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/health", self.address)
    }

    /// `systemctl stop`, as it were: connections are refused afterwards.
    pub(crate) fn stop(&mut self) {
        let mut process = self.running.take().expect("nginx runs");
        process.terminate(Duration::from_secs(10));
    }

    pub(crate) fn start_again(&mut self) {
        let prefix: PathBuf = self.folder.path().to_owned();
        let log = log_file(&prefix.join("log"));
        let mut process = Process::start(&program("nginx"), |command| {
            command.arg("-p").arg(&prefix).arg("-c").arg(prefix.join("nginx.conf")).arg("-e").arg(prefix.join("log"));
            command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        });
        let address = self.address;
        until("nginx to answer", Duration::from_secs(10), || {
            if let Some(status) = process.ended() {
                panic!("nginx ended with {status}: {}", fs::read_to_string(prefix.join("log")).unwrap_or_default());
            }
            get(address, "/health").ok().filter(|answer| answer.status == 200)
        });
        self.running = Some(process);
    }
}

fn configuration(address: SocketAddr) -> String {
    // One process: what is started is what serves, and ends by its own number.
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path temp-body;
  proxy_temp_path temp-proxy;
  fastcgi_temp_path temp-fastcgi;
  uwsgi_temp_path temp-uwsgi;
  scgi_temp_path temp-scgi;
  server {{
    listen {address};
    root site;
    default_type text/plain;
  }}
}}
"
    )
}
