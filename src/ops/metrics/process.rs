//! What the operating system says of the process, under the names that every Prometheus client uses. Linux only: elsewhere it is
//! left out.

use std::fs;

use super::exposition::Exposition;

/// Ticks of /proc a second: fixed by Linux's interface to programs.
const TICKS: f64 = 100.0;

/// CPU time, memory, descriptors, threads and the start of this process.
pub(super) fn write(text: &mut Exposition) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name, fields of proc(5) from number 3 on.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        let name = "process_cpu_seconds_total";
        text.one(name, "counter", "CPU time of all threads.", (user + system) / TICKS);
    }
    if let Some(threads) = field(20) {
        text.one("process_threads", "gauge", "Threads.", threads);
    }
    if let (Some(started), Some(booted)) = (field(22), booted_at()) {
        let name = "process_start_time_seconds";
        text.one(name, "gauge", "When the process started, since 1970.", booted + started / TICKS);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (key, name, help) in [
        ("VmRSS:", "process_resident_memory_bytes", "Resident memory."),
        ("VmSize:", "process_virtual_memory_bytes", "Virtual memory."),
    ] {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        if let Some(kib) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()) {
            text.one(name, "gauge", help, kib * 1_024.0);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is read here.
        let count = open.count().saturating_sub(1);
        text.one("process_open_fds", "gauge", "Descriptors that are open.", count as f64);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    if let Some(most) = most.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()) {
        text.one("process_max_fds", "gauge", "Descriptors that may be open.", most);
    }
}

/// When the machine booted, in seconds since 1970.
fn booted_at() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_process_tells_its_time_memory_and_descriptors() {
        let mut text = Exposition::default();
        write(&mut text);
        let text = text.into_text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.expect("it is there").trim().parse().expect("it is a number")
        };
        assert!(value("process_cpu_seconds_total ") >= 0.0);
        assert!(value("process_resident_memory_bytes ") > 1e6);
        assert!(value("process_open_fds ") >= 3.0 && value("process_max_fds ") > value("process_open_fds "));
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs_f64();
        let age = now - value("process_start_time_seconds ");
        assert!((-2.0..86_400.0).contains(&age), "{age}");
    }
}
