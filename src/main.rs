//! The binary: its command line, and nothing else.

use std::process::ExitCode;

use streamgauge::app::Wiring;
use streamgauge::cli::{self, Terminal};

fn main() -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let mut terminal = Terminal { env: &env, out: &mut std::io::stdout(), err: &mut std::io::stderr() };
    cli::run(std::env::args_os(), &Wiring, &mut terminal).into()
}
