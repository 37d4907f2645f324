//! What the system knows of a process: CPU time, memory, bytes written.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time of a process, user and system.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The command's name may hold spaces; fields are counted behind its bracket.
    let (_, fields) = stat.rsplit_once(')').context("an unknown /proc/pid/stat")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// Resident memory in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kib.context("no VmRSS")? * 1024)
}

/// Bytes the process caused to be written to disk.
pub(crate) fn written(pid: u32) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).context("the process is gone")?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok()).context("no write_bytes")
}
