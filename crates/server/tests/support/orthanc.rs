//! A real Orthanc (PACS) with its storage in a folder of its own, to be stopped and started.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::clock::until;
use super::http::get;
use super::process::{Process, free_port, log_file, program};

/// Opening its index and its DICOM port takes a moment, more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Orthanc {
    folder: TempDir,
    http: SocketAddr,
    dicom: SocketAddr,
    running: Option<Process>,
}

impl Orthanc {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("watchbell-orthanc-").tempdir().expect("a temporary folder");
        let [http, dicom] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let storage = folder.path().join("storage");
        let configuration = json!({
            "Name": "Watched",
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "Plugins": [],
            "HttpServerEnabled": true,
            "HttpPort": http.port(),
            "RemoteAccessAllowed": false,
            "AuthenticationEnabled": false,
            "DicomServerEnabled": true,
            "DicomAet": "WATCHED",
            "DicomPort": dicom.port(),
            "ConcurrentJobs": 1,
            "DicomThreadsCount": 1,
            "HttpThreadsCount": 4,
        });
        fs::write(folder.path().join("orthanc.json"), configuration.to_string()).expect("a file in a folder of ours");
        let mut orthanc = Self { folder, http, dicom, running: None };
        orthanc.start_again();
        orthanc
    }

    /// The page that says who it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/system", self.http)
    }

    /// Where it takes images.
    pub(crate) fn dicom(&self) -> SocketAddr {
        self.dicom
    }

    pub(crate) fn stop(&mut self) {
        let mut process = self.running.take().expect("Orthanc runs");
        process.terminate(PATIENCE);
    }

    pub(crate) fn start_again(&mut self) {
        let path = self.folder.path().join("log");
        let log = log_file(&path);
        let configuration = self.folder.path().join("orthanc.json");
        let mut process = Process::start(&program("Orthanc"), |command| {
            command.arg(configuration).current_dir(self.folder.path());
            command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        });
        until("Orthanc to answer", PATIENCE, || {
            if let Some(status) = process.ended() {
                panic!("Orthanc ended with {status}: {}", fs::read_to_string(&path).unwrap_or_default());
            }
            get(self.http, "/system").ok().filter(|answer| answer.status == 200)
        });
        self.running = Some(process);
    }
}
