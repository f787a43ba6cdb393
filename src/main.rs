//! The binary `postcall`.

fn main() -> std::process::ExitCode {
    postcall::cli::run()
}
