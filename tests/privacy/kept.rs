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

const SECRET: &str = "a-word-that-somebody-said";

/// Panics in the ways in which programs do, each with what somebody said in its message.
#[test]
#[ignore = "runs in a process of its own, started by the next test"]
fn panics_with_the_hook_of_the_program() {
    let config = anoncam::config::Config { log: anoncam::config::LogLevel::Trace, ..Default::default() };
    anoncam::ops::log::start((&config).into()).expect("a log on stderr");
    anoncam::ops::panic::report_place_only();
    let said = std::hint::black_box(SECRET);
    let ways: [fn(&str); 4] = [
        |said| panic!("could not understand {said}"),
        |said| assert_eq!(said, "hello"),
        |said| assert!(said.parse::<u8>().map_err(|_| said.to_owned()).expect("a number") > 0),
        |said| std::panic::resume_unwind(Box::new(said.to_owned())),
    ];
    for way in ways {
        let name = "shard-7".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn(move || way(said)).expect("a thread");
        assert!(thread.join().is_err(), "it panicked");
    }
}

#[test]
fn a_panic_tells_its_place_and_not_its_message() {
    let test = std::env::current_exe().expect("this program");
    let arguments = ["--exact", "kept::panics_with_the_hook_of_the_program", "--ignored", "--nocapture"];
    let output = std::process::Command::new(test).args(arguments).env("RUST_BACKTRACE", "full").output();
    let output = output.expect("this program");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(said.matches("panic; its text is withheld").count(), 3, "{said}");
    assert_eq!(said.matches("place=tests/privacy/kept.rs:").count(), 3, "{said}");
    assert_eq!(said.matches("thread=shard-7").count(), 3, "{said}");
    assert!(!said.contains(SECRET) && !said.contains("could not understand"), "{said}");
}
