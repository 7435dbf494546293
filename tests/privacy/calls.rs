//! What the program asks of the kernel over whole visits: it writes to sockets and to its log, and nowhere else.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::log::tell_everything;
use crate::program::Running;
use crate::support::LONG;

/// Calls by which something could get to a disk. What is sent goes by others, and only to sockets.
const WRITES: [&str; 8] =
    ["write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "splice", "copy_file_range"];
const OPENS: [&str; 4] = ["open", "openat", "openat2", "creat"];
const OTHERS: [&str; 18] = [
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "truncate",
    "ftruncate",
    "fallocate",
    "memfd_create",
    "io_uring_setup",
    "process_vm_writev",
    "mmap",
];

/// Whether a call, as strace writes it down, could leave something elsewhere than in a socket or under `log`.
fn is_elsewhere(call: &str, log: &str) -> bool {
    let Some((name, arguments)) = call.split_once('(') else { return false };
    // Where a descriptor leads stands behind it: 7<socket:[4711]>.
    let target = arguments.split_once('<').map_or("", |(_, rest)| rest.split('>').next().unwrap_or_default());
    let is_log = arguments.contains(log);
    if WRITES.contains(&name) {
        let nowhere = ["socket:", "anon_inode:[eventfd", "pipe:["];
        return !is_log && !nowhere.iter().any(|kind| target.starts_with(kind));
    }
    if OPENS.contains(&name) {
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| arguments.contains(flag));
        return (writes || name == "creat") && !is_log && !arguments.contains("\"/dev/null\"");
    }
    match name {
        // Memory that a file stands behind, and that is written back to it.
        "mmap" => arguments.contains("MAP_SHARED") && arguments.contains("PROT_WRITE"),
        "mkdir" => !is_log,
        name => OTHERS.contains(&name),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_is_written_to_sockets_and_the_log_and_nowhere_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (trace, log) = (path("trace"), path("log"));
    fs::write(path("anoncam.toml"), "log = \"trace\"\nlog_dir = \"log\"\naccess_log = true\nshards = 2\n")
        .expect("a file");
    let calls = [&WRITES[..], &OPENS, &OTHERS].concat().join(",");
    // -D: the program is this test's child, and strace its grandchild.
    let through = ["strace", "-D", "-f", "-q", "-y", "-o", &trace, "-e", &format!("trace={calls}")];
    let running = Running::start_through(&through, &["--config", &path("anoncam.toml")]);
    tell_everything(&running).await;
    running.signal("-TERM");
    let (status, _) = running.wait();
    assert_eq!(status, Some(0));
    let seen = ended(Path::new(&trace)).await;
    // A line begins with the number of the thread.
    let calls: Vec<&str> =
        seen.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start())).collect();
    let told = calls.iter().filter(|call| call.starts_with("write(") && call.contains(&log)).count();
    assert!(told > 2, "strace sees what is written to the log:\n{seen}");
    assert!(calls.iter().any(|call| call.contains("<socket:")), "and what goes to sockets:\n{seen}");
    let elsewhere: Vec<_> = calls.iter().filter(|call| is_elsewhere(call, &log)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

/// The trace once it is complete: strace goes on for a moment after the program has ended.
async fn ended(trace: &Path) -> String {
    let deadline = Instant::now() + LONG;
    loop {
        let seen = fs::read_to_string(trace).unwrap_or_default();
        if seen.contains("+++ exited with 0 +++") || Instant::now() > deadline {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn the_check_sees_what_it_is_meant_to_see() {
    let told = [
        ("write(7</var/lib/people.db>, \"x\", 1) = 1", true),
        ("write(7<socket:[12]>, \"x\", 1) = 1", false),
        ("write(7</t/log/server/a.log>, \"x\", 1) = 1", false),
        ("openat(AT_FDCWD</t>, \"/tmp/x\", O_WRONLY|O_CREAT, 0600) = 3</tmp/x>", true),
        ("openat(AT_FDCWD</t>, \"/etc/x\", O_RDONLY) = 3</etc/x>", false),
        ("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3</t/x>, 0) = 0x7f", true),
        ("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f", false),
        ("rename(\"a\", \"b\") = 0", true),
        ("--- SIGTERM {si_signo=SIGTERM} ---", false),
    ];
    for (call, expected) in told {
        assert_eq!(is_elsewhere(call, "/t/log"), expected, "{call}");
    }
}
