//! The programs that tests talk to, and the Debian packages that bring them.
//!
//! A program that is there is taken as it is; only what is missing is installed. Services that a package would start
//! by itself stay off: the tests start their own, in private folders and on free ports.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{output, run, say, which};

/// A Debian package, what it is needed for, and whether it is there already.
struct Need {
    package: &'static str,
    for_what: &'static str,
    is_there: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need {
        package: "postgresql",
        for_what: "the second store",
        is_there: || crate::postgres::program("initdb").is_some() && crate::postgres::program("postgres").is_some(),
    },
    Need { package: "nginx-light", for_what: "a real web server to watch", is_there: || which("nginx").is_some() },
    Need { package: "orthanc", for_what: "a real PACS to watch", is_there: || which("Orthanc").is_some() },
    Need {
        package: "python3-aiosmtpd",
        for_what: "a real mail server to send to",
        is_there: || output("/usr/bin/python3", &["-c", "import aiosmtpd"]).is_some(),
    },
    Need { package: "chromium", for_what: "a real browser", is_there: || which("chromium").is_some() },
    Need { package: "chromium-driver", for_what: "steering the browser", is_there: || which("chromedriver").is_some() },
    Need { package: "curl", for_what: "calling heartbeats as people do", is_there: || which("curl").is_some() },
    Need {
        package: "systemd",
        for_what: "checking units and calendar events against systemd itself",
        is_there: || which("systemd-analyze").is_some(),
    },
    Need { package: "tzdata", for_what: "time zones", is_there: || Path::new("/usr/share/zoneinfo/UTC").exists() },
];

/// Installs what is missing, as root or through sudo.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        say(&format!("missing: {} ({})", need.package, need.for_what));
    }
    let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if which("apt-get").is_none() {
        bail!(
            "these are missing and there is no apt-get to install them with: {}. Install what your system calls them",
            names.join(", ")
        );
    }
    let started = ServicesOff::begin()?;
    run(as_root("apt-get").args(["-qq", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300", "update"]))?;
    run(as_root("apt-get")
        .args(["-qq", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"])
        .args(["install", "--no-install-recommends"])
        .args(&names))?;
    drop(started);
    let still: Vec<&str> = missing.iter().filter(|need| !(need.is_there)()).map(|need| need.package).collect();
    if !still.is_empty() {
        bail!("installed, but not found afterwards: {}", still.join(", "));
    }
    Ok(())
}

fn as_root(program: &str) -> Command {
    let mut command = if is_root() { Command::new("env") } else { Command::new("sudo") };
    // Given to `env` and to `sudo` alike; sudo would not pass on our own environment.
    command.args(["DEBIAN_FRONTEND=noninteractive", program]);
    command
}

pub(crate) fn is_root() -> bool {
    output("id", &["-u"]).as_deref() == Some("0")
}

/// While it lives, packages do not start their services: Debian asks this file before it starts any.
struct ServicesOff {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl ServicesOff {
    fn begin() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let script = format!("printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}");
        run(as_root("sh").args(["-c", &script]))?;
        Ok(Self { ours: true })
    }
}

impl Drop for ServicesOff {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = run(as_root("rm").args(["-f", POLICY]))
        {
            eprintln!("xtask: {POLICY} keeps packages from starting services; remove it by hand: {error:#}");
        }
    }
}
