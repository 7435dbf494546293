//! The server program as a process of its own.

#![allow(dead_code)] // Each test file uses its part.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// The program with these arguments, in an environment without settings.
pub fn anoncam(arguments: &[&str]) -> Command {
    anoncam_through(&[], arguments)
}

fn anoncam_through(through: &[&str], arguments: &[&str]) -> Command {
    let line = [through, &[env!("CARGO_BIN_EXE_anoncam")], arguments].concat();
    let mut command = Command::new(line[0]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ANONCAM_")) {
        command.env_remove(name);
    }
    command.args(&line[1..]).stdin(Stdio::null());
    command
}

/// A process that does not outlive its test.
pub struct Guarded(pub Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server program that has said where it is; killed if a test fails.
pub struct Running {
    child: Child,
    /// Reads the log as it is written: a full pipe would hold up the server.
    log: Option<JoinHandle<String>>,
    /// Where the page is, as a socket address.
    pub site: SocketAddr,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_through(&[], arguments)
    }

    /// Starts it by another program that takes a command line as its last arguments.
    pub fn start_through(through: &[&str], arguments: &[&str]) -> Self {
        let ports = ["--listen", "127.0.0.1:0", "--site", "127.0.0.1:0"];
        Self::run(&mut anoncam_through(through, &[&ports, arguments].concat()))
    }

    /// Runs a command that becomes the server program, and waits until it says where it is.
    pub fn run(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let mut stderr = child.stderr.take().expect("a pipe");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).expect("UTF-8");
            log
        });
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        let port =
            line.trim_end().strip_prefix("AnonCam is ready: open http://localhost:").expect("the address");
        Self { child, log: Some(log), site: format!("127.0.0.1:{port}").parse().expect("an address") }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }

    pub fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("an end");
        let log = self.log.take().expect("a reader").join().expect("a log");
        (status.code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
