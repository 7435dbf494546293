//! `anoncam-loadgen`: open-loop load for AnonCam.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    anoncam_loadgen::cli::main()
}
