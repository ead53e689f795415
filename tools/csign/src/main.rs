//! The command line of csign.

fn main() -> std::process::ExitCode {
    csign::run()
}
