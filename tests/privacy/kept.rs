//! What the process as a whole does so that its memory stays where it is.

use crate::program::Running;

/// The line of a file in `/proc` that begins so, without the words of its name.
fn in_proc(process: u32, file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_crash_writes_no_memory_to_disk() {
    let running = Running::start(&[]);
    assert_eq!(in_proc(running.id(), "limits", "Max core file size"), "0 0 bytes");
}

#[test]
fn memory_is_kept_out_of_swap_where_that_is_allowed_and_else_it_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("anoncam.toml");
    std::fs::write(&file, "lock_memory = true\n").expect("a file");
    let config = ["--config", file.to_str().expect("UTF-8")];
    // Nobody may lock more than 64 KiB, and root not either.
    let limited = "ulimit -l 64; exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    for (through, refused) in [(&[][..], false), (&["sh", "-c", limited, "sh"], true)] {
        let running = Running::start_through(through, &config);
        let locked = in_proc(running.id(), "status", "VmLck:");
        running.signal("-TERM");
        let (_, log) = running.wait();
        let said = log.contains("memory cannot be kept out of swap");
        assert!(
            said && log.contains("LimitMEMLOCK=infinity") || log.contains("memory is kept out of swap"),
            "{log}"
        );
        assert_eq!(locked == "0 kB", said, "{locked}:\n{log}");
        assert!(said || !refused, "{log}");
    }
}
