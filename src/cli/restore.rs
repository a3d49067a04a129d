//! `keystead restore`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    appliance::{self, administration::RestoredRow},
    cli::{
        console::Console,
        failure::Failure,
        rows::{counted, text_of},
    },
    config::Config,
    store::restore::Epoch,
};

/// Make a data directory of a backup
#[derive(Debug, Args)]
#[command(after_help = "\
The data directory must be empty or missing; ca.crt and ca.key, which no backup has, may be in it.
The backup is checked to its last byte first: one that was cut off or changed makes nothing.

A new epoch begins: everybody has to sign in and to allow their apps again, because what was
revoked after the backup was made cannot be known. With --keep-tokens all of that works again as it
did in the backup, what was revoked since as well: only for a backup that is surely the newest.

Examples:
  keystead restore box.backup
  keystead restore box.backup --data /var/lib/keystead
  keystead restore box.backup --keep-tokens")]
pub(super) struct Restore {
    /// The backup
    file: PathBuf,
    /// Let sessions, grants and tokens of the backup work again
    #[arg(long)]
    keep_tokens: bool,
}

impl Restore {
    /// Does it.
    pub(super) fn execute(self, config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
        let epoch = if self.keep_tokens {
            Epoch::Kept
        } else {
            Epoch::New
        };
        let restored = appliance::restore(config, &self.file, epoch)?;
        console.print(&text(&restored))
    }
}

fn text(restored: &RestoredRow) -> String {
    let RestoredRow {
        made_at,
        version,
        rows,
        epoch,
        sessions,
        grants,
        families,
        access_tokens,
        users,
        clients,
        secrets,
        resource_servers,
        upstreams,
    } = restored;
    let version = text_of(version);
    let issued = format!(
        "{}, {}, {} and {}",
        counted(*sessions, "session"),
        counted(*grants, "grant"),
        counted(*families, "refresh token"),
        counted(*access_tokens, "access token")
    );
    let users = counted(*users, "user");
    let clients = counted(*clients, "client");
    let secrets = counted(*secrets, "secret");
    let resource_servers = counted(*resource_servers, "resource server");
    let upstreams = counted(*upstreams, "upstream");
    let epoch = match epoch {
        Epoch::New => format!(
            "A new epoch has begun: {issued} of the backup are closed, codes and devices as well. \
             Everybody signs in and allows their apps again."
        ),
        Epoch::Kept => format!(
            "WARNING: {issued} of the backup work again, those among them that were revoked after \
             {made_at} too."
        ),
    };
    format!(
        "Restored {} of the backup of {made_at}, made by Keystead {version}.\n\
         {epoch}\n\n\
         What was done after {made_at} is not known here. Look at\n\
         \x20 {users}: who was removed or disabled since, or got another password\n\
         \x20     keystead user list\n\
         \x20 {clients} with {secrets}: which were removed since\n\
         \x20     keystead client list\n\
         \x20 {resource_servers}: which were removed since\n\
         \x20     keystead resource list\n\
         \x20 {upstreams}: which were removed since\n\
         \x20     keystead upstream list\n\
         Not in a backup: the configuration file, certificates, and ca.crt and ca.key of the \
         built-in\nauthority. Without these two a new one is made, which every machine has to \
         trust anew.\n",
        counted(*rows, "row")
    )
}
