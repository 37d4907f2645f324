//! Child processes that never outlive their test.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::clock::until;

/// A running program. Dropping it kills it.
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a program without input. Should the test process be killed, the kernel kills the program too.
    pub(crate) fn start(program: &Path, build: impl FnOnce(&mut Command)) -> Self {
        let name = program.display().to_string();
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=KILL").arg("--").arg(program).stdin(Stdio::null());
        build(&mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} could not be started: {error}"));
        Self { name, child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    /// Sends a signal; a process that has ended already is no matter.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process number is not zero");
            let sent = kill_process(pid, signal);
            assert!(sent.is_ok() || self.ended().is_some(), "{} did not take {signal:?}: {sent:?}", self.name);
        }
    }

    /// SIGTERM, and its end.
    pub(crate) fn terminate(&mut self, patience: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(patience)
    }

    /// `kill -9`, and its end.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(10));
    }

    pub(crate) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let name = self.name.clone();
        until(&format!("the end of {name}"), patience, || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.kill().is_ok()
            && let Err(error) = self.child.wait()
        {
            eprintln!("{} (process {}) did not end: {error}", self.name, self.child.id());
        }
    }
}

/// Where a program lies: on `PATH` or in a folder for the administrator. A missing one fails the test.
#[track_caller]
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; `cargo xtask test` installs what the tests need"))
}

/// A port that was free a moment ago. The kernel hands out others before it hands this one out again.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// A file for a program's output, appended to.
pub(crate) fn log_file(path: &Path) -> File {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("{} could not be opened: {error}", path.display()))
}
