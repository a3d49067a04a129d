//! `keystead serve`.

use std::io::{self, Write};

use clap::Args;

use crate::{
    appliance::{self, Ready},
    cli::failure::Failure,
    config::{
        Config,
        environment::Environment,
        flags::ServeFlags,
        setting::{Reach, SETTINGS},
    },
};

/// Run the server
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) settings: ServeFlags,
}

/// Serves until it is told to stop.
pub(super) fn execute(
    config: &Config,
    environment: &Environment,
    output: &mut dyn Write,
) -> Result<(), Failure> {
    Ok(appliance::serve(config, environment, |ready| {
        announce(ready, output)
    })?)
}

/// Says where it answers, and how the box gets its owner while it has none.
fn announce(ready: &Ready, output: &mut dyn Write) -> io::Result<()> {
    writeln!(output, "Keystead is ready at {}", ready.public_url)?;
    if let Some((link, ttl)) = &ready.claim {
        let within = humantime::format_duration(*ttl);
        writeln!(output, "Claim this box (once, within {within}): {link}")?;
    }
    if let Some(path) = &ready.ca_certificate {
        writeln!(
            output,
            "Machines that connect have to trust {}",
            path.display()
        )?;
    }
    output.flush()
}

const EXAMPLES: &str = "\
Plain http is served to this machine itself and to a trusted proxy, and to nobody else.

Examples:
  keystead serve                                    http://localhost:8420
  keystead serve --public-url https://box.lan       TLS with a CA of its own, port 443
  keystead serve --public-url https://box.lan \\
      --tls-cert box.pem --tls-key box.key          TLS with your certificate
  keystead serve --public-url https://box.lan \\
      --trusted-proxy 127.0.0.1                     behind a proxy on this machine, port 8420
  keystead serve --listen 127.0.0.1:0 --data DIR    a port that the system chooses

Each option is also a variable and a key of the file: --public-url is KEYSTEAD_PUBLIC_URL and
public_url. A flag wins over the variable, the variable over the file. Keys of the file only:
";

/// Examples, and what the file alone can say: the binary has to be its own manual where there is
/// no network.
fn after_help() -> String {
    let in_file_only = SETTINGS
        .iter()
        .filter(|setting| setting.reach == Reach::File);
    let lines = in_file_only.map(|setting| {
        let example = format!("{} = \"{}\"", setting.key, setting.preset_words());
        format!("  {example:<36}  {}\n", setting.help)
    });
    let text = format!("{EXAMPLES}{}", lines.collect::<String>());
    text.trim_end().to_owned()
}
