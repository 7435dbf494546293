//! What is in deploy/ is read by the programs that it is written for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program::anoncam;

/// Overall exposure that `systemd-analyze security` may find, in tenths: 0 is a service that can do nothing, 100 one that can do all.
const MOST_EXPOSURE: &str = "10";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deploy(name: &str) -> PathBuf {
    root().join("deploy").join(name)
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A program for administrators, which may lie outside of a user's path.
fn tool(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("env");
    command.arg(format!("PATH={path}:/usr/sbin:/sbin")).arg(name);
    command
}

/// Runs a program that has to find nothing wrong; what it says.
fn passes(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("env");
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success(), "{command:?}: {status}: {said}; scripts/setup.sh installs what is missing");
    said
}

/// The shipped configuration, changed, with a control socket and a state folder in `directory`, and its policy adopted.
pub fn adopted(directory: &Path, change: impl FnOnce(String) -> String) -> PathBuf {
    let file = directory.join("anoncam.toml");
    let shipped = read(deploy("anoncam.toml"));
    let here = |path: &str| directory.join(path).display().to_string();
    let changed = change(shipped)
        .replace("/run/anoncam/control.sock", &here("control.sock"))
        .replace("/var/lib/anoncam", &here("state"));
    fs::write(&file, &changed).expect("a file");
    let told = passes(anoncam(&["policy"]).arg(&file));
    let adopts = told.lines().find(|line| line.trim_start().starts_with("policy = ")).expect("the line");
    let adopted = changed.replace("\n[operator]\n", &format!("\n[operator]\n{}\n", adopts.trim()));
    fs::write(&file, adopted).expect("a file");
    file
}

#[test]
fn the_shipped_configuration_is_right_once_its_policy_is_adopted() {
    let complaint = anoncam(&["check-config"]).arg(deploy("anoncam.toml")).output().expect("the program");
    let complaint = String::from_utf8(complaint.stderr).expect("UTF-8");
    assert!(complaint.lines().count() == 1 && complaint.contains("operator.policy: missing"), "{complaint}");
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("turn-secret"), "0123456789abcdef0123456789abcdef\n").expect("a file");
    let file = adopted(directory.path(), |shipped| {
        // With the relay that is prepared as a comment.
        let (server, relay) = shipped.split_at(shipped.find("# [turn]").expect("the relay"));
        let relay: Vec<_> = relay.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
        server.replace("\n[operator]\n", "\n[operator]\nturn = \"self\"\n") + &relay.join("\n")
    });
    assert!(passes(anoncam(&["check-config"]).arg(file)).starts_with("ok\n"));
}

/// What `systemd-analyze verify` is shown: the program and the root folder are where the tests have them.
fn unit_in(directory: &Path, unit: &Path) -> PathBuf {
    let program = env!("CARGO_BIN_EXE_anoncam");
    let text = read(unit).replace("/usr/local/bin/anoncam ", &format!("{program} "));
    let copy = directory.join(unit.file_name().expect("a name"));
    fs::write(&copy, text).expect("a file");
    copy
}

#[test]
fn systemd_understands_the_units_and_finds_little_that_they_could_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let unit = unit_in(directory.path(), &deploy("anoncam.service"));
    let said = passes(Command::new("systemd-analyze").args(["verify", "--recursive-errors=no"]).arg(&unit));
    assert_eq!(said, "", "nothing to complain of");
    let mut judge = Command::new("systemd-analyze");
    judge.args(["security", "--offline=true", "--no-pager", "--threshold", MOST_EXPOSURE]).arg(&unit);
    let said = passes(&mut judge);
    assert!(said.contains("Overall exposure level"), "{said}");
}

#[test]
fn the_log_of_the_service_is_its_own_in_memory_and_gone_after_a_day() {
    let unit = read(deploy("anoncam.service"));
    assert!(unit.contains("\nLogNamespace=anoncam\n"));
    let config = read(deploy("journald@anoncam.conf"));
    let set = |key: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{key} is not set")).to_owned()
    };
    assert_eq!((set("Storage"), set("ForwardToSyslog")), ("volatile".into(), "no".into()));
    let seconds = |span: String| {
        let said = passes(Command::new("systemd-analyze").args(["timespan", &span]));
        let micros =
            said.lines().find_map(|line| line.trim().strip_prefix("μs: ")).expect("a time").to_owned();
        micros.parse::<u64>().expect("a number") / 1_000_000
    };
    assert_eq!(seconds(set("MaxRetentionSec")), 86_400);
    assert!(seconds(set("MaxFileSec")) <= 3_600, "what is kept longer is at most what a file holds");
}

#[test]
fn everything_is_installed_where_it_belongs_and_a_configuration_stays_as_it_is() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let install = || passes(Command::new(deploy("install.sh")).arg(env!("CARGO_BIN_EXE_anoncam")).arg(place));
    install();
    let config = place.join("etc/anoncam/anoncam.toml");
    assert_eq!(read(&config), read(deploy("anoncam.toml")));
    fs::write(&config, "mine").expect("a file");
    install();
    assert_eq!(read(&config), "mine");
    for (name, to) in [
        ("anoncam.service", "etc/systemd/system"),
        ("journald@anoncam.conf", "etc/systemd"),
        ("nftables.conf", "etc/nftables.d/anoncam.conf"),
    ] {
        let to = place.join(to);
        let to = if to.is_dir() { to.join(name) } else { to };
        assert_eq!(read(to), read(deploy(name)));
    }
    assert!(place.join("usr/local/bin/anoncam").exists() && place.join("usr/local/lib/anoncam").is_dir());

    // The account, and the folders that are cleaned, as systemd reads them.
    let at = format!("--root={}", place.display());
    passes(Command::new("systemd-sysusers").arg(&at));
    assert!(read(place.join("etc/passwd")).lines().any(|line| line.starts_with("anoncam:")));
    passes(Command::new("systemd-tmpfiles").args(["--clean", &at]));
}

#[test]
fn the_firewall_is_understood_and_keeps_no_address() {
    let file = deploy("nftables.conf");
    // In a network of its own, so that any user may ask and nothing is changed.
    let mut check = tool("unshare");
    passes(check.args(["--net", "--map-root-user", "nft", "--check", "--file"]).arg(&file));
    let text = read(&file);
    let rules = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    for rule in rules {
        let words: Vec<_> = rule.split_whitespace().collect();
        // Sets that are filled by packets and counters hold addresses; a log writes them down.
        for word in ["log", "meter", "dynamic", "counter", "update", "add"] {
            assert!(!words.contains(&word), "{rule}");
        }
    }
    for port in ["udp dport 4433 notrack", "udp sport 4433 notrack", "tcp dport { 80, 443 } notrack"] {
        assert!(text.contains(port), "{port}: the kernel would keep a table of who comes");
    }
}

#[test]
fn the_kernels_settings_exist_and_have_reasons() {
    let text = read(deploy("anoncam-sysctl.conf"));
    let mut reason = false;
    for line in text.lines() {
        match line.split_once(" = ") {
            Some((key, value)) if !line.starts_with('#') => {
                let path = Path::new("/proc/sys").join(key.replace('.', "/"));
                // A container sees only a part of net.core.
                assert!(path.exists() || key.starts_with("net.core."), "{key} is not known");
                assert!(value.parse::<u64>().is_ok() && reason, "{line}");
            }
            _ => reason = line.starts_with('#'),
        }
    }
}

/// The instructions of a Containerfile as Docker's own parser reads them, `NAME WORDS`, in order.
fn instructions(file: &Path) -> Vec<String> {
    const SCRIPT: &str = "import dockerfile, sys\n\
                          for one in dockerfile.parse_file(sys.argv[1]):\n    \
                          print(one.cmd, *one.flags, *one.value)";
    let python = root().join("target/python/bin/python");
    let said = passes(Command::new("env").arg(python).args(["-c", SCRIPT]).arg(file));
    said.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn the_image_holds_the_program_alone_and_does_not_run_as_root() {
    let all = instructions(&deploy("Containerfile"));
    let last = all.iter().rposition(|one| one.to_lowercase().starts_with("from ")).expect("a stage");
    let stage: Vec<_> = all[last..].iter().map(|one| one.to_lowercase()).collect();
    assert_eq!(stage[0], "from scratch");
    assert!(!stage.iter().any(|one| one.starts_with("run")), "nothing is there that could run");
    let user = stage.iter().find_map(|one| one.strip_prefix("user ")).expect("a user");
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    assert!(stage.iter().any(|one| one.starts_with("entrypoint /usr/local/bin/anoncam")), "{stage:?}");
}

#[test]
fn the_containers_are_understood_read_only_and_without_privileges() {
    let file = deploy("compose.yaml");
    let mut compose = Command::new("env");
    compose.args(["docker-compose", "--file"]).arg(&file).arg("config");
    let said = passes(compose.current_dir(root().join("deploy")));
    for wanted in ["read_only: true", "cap_drop:\n    - ALL", "- no-new-privileges:true", "    user: 6553"] {
        assert_eq!(said.matches(wanted).count(), 2, "{wanted}, of the server and of the relay: {said}");
    }
    assert!(!said.contains("uid="), "Podman knows no owner of a tmpfs: {said}");
}
