//! A process restricts itself and becomes another program: `keystead upstream-exec`.
//!
//! What is done between a fork and the start of a program could only be done with unsafe code. A
//! process that does it to itself needs none, and is replaced by the program in the end.

use std::{env, fs, io, os::unix::process::CommandExt, path::Path, process::Command};

use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::model::upstream::Sandbox;

/// The revision of Landlock whose rights are restricted, as far as the kernel knows them.
const LANDLOCK: ABI = ABI::V6;

/// Where programs, their libraries and what these read lie. None of it is anybody's data.
const SYSTEM_READ: [&str; 19] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr",
    "/opt",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/ssl",
];

/// Devices that hold nothing.
const SYSTEM_DEVICES: [&str; 5] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];

/// Where the machine's users stand.
const PASSWD: &str = "/etc/passwd";

/// Why a program was not begun.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// There is none.
    #[error("expected a program, found none")]
    NoProgram,
    /// Nobody of that name.
    #[error("expected a user that {PASSWD} has, found {0:?}, which it has not")]
    UserUnknown(String),
    /// The users cannot be read.
    #[error("cannot read {PASSWD}: {0}")]
    Users(io::Error),
    /// A limit is beyond what this process may set.
    #[error("cannot set the limit of {what} to {limit}: {cause}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// What it should be.
        limit: u64,
        /// What the system says.
        cause: io::Error,
    },
    /// A path that is named is not there.
    #[error("cannot open {path}, which the program is restricted to: {cause}")]
    Path {
        /// The path.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// The kernel cannot restrict paths.
    #[error(
        "expected a kernel with Landlock, since paths are named, found none: Linux 5.13 has it"
    )]
    NoLandlock,
    /// The kernel did not take the rules.
    #[error("cannot restrict the program to its paths: {0}")]
    Landlock(#[from] RulesetError),
    /// It cannot be where it should start.
    #[error(
        "cannot start in {path}: {cause}: name a working directory that is there and that its \
         user may enter"
    )]
    Directory {
        /// Where.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The system cannot begin it.
    #[error("cannot run {program}: {cause}")]
    Program {
        /// The program.
        program: String,
        /// What the system says.
        cause: io::Error,
    },
}

/// Restricts this process to `sandbox` and becomes `command`. Returns only if that fails.
pub fn become_confined(sandbox: &Sandbox, command: &[String]) -> ConfineError {
    match confine(sandbox, command) {
        Ok(mut becoming) => why_not_begun(becoming.exec(), sandbox, command),
        Err(error) => error,
    }
}

/// The system gives one and the same cause for a program and for a directory that are not there.
/// Which of them it is can only be asked afterwards: as its user, who may enter what we may not.
fn why_not_begun(cause: io::Error, sandbox: &Sandbox, command: &[String]) -> ConfineError {
    if let Some(path) = &sandbox.working_directory
        && let Err(cause) = env::set_current_dir(path)
    {
        let path = path.clone();
        return ConfineError::Directory { path, cause };
    }
    let program = command.first().cloned().unwrap_or_default();
    ConfineError::Program { program, cause }
}

fn confine(sandbox: &Sandbox, command: &[String]) -> Result<Command, ConfineError> {
    let (program, arguments) = command.split_first().ok_or(ConfineError::NoProgram)?;
    let mut becoming = Command::new(program);
    becoming.args(arguments);
    if let Some(user) = &sandbox.user {
        let user = find_user(user)?;
        // With a user the standard library gives up every other group as well.
        becoming.uid(user.id).gid(user.group).env("HOME", user.home);
    }
    if let Some(directory) = &sandbox.working_directory {
        becoming.current_dir(directory);
    }
    // Memory that is reserved and not used does not count: some runtimes reserve without end.
    limit("memory", Resource::Data, sandbox.memory_bytes_max)?;
    limit("open files", Resource::Nofile, sandbox.open_files_max)?;
    if sandbox.restricts_paths() {
        restrict_paths(sandbox, program)?;
    }
    Ok(becoming)
}

fn limit(what: &'static str, resource: Resource, max: Option<u64>) -> Result<(), ConfineError> {
    let Some(limit) = max else { return Ok(()) };
    let both = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(resource, both).map_err(|error| ConfineError::Limit {
        what,
        limit,
        cause: error.into(),
    })
}

fn restrict_paths(sandbox: &Sandbox, program: &str) -> Result<(), ConfineError> {
    let all = AccessFs::from_all(LANDLOCK);
    let read = AccessFs::from_read(LANDLOCK);
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let own = Some(program).filter(|program| program.contains('/'));
    let mut rules = Ruleset::default()
        .handle_access(all)?
        // No signal and no nameless socket to a process outside of it.
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        // What the system does not have is not missed.
        .add_rules(path_beneath_rules(SYSTEM_READ.into_iter().chain(own), read))?
        .add_rules(path_beneath_rules(SYSTEM_DEVICES, device))?;
    let named = sandbox.read_paths.iter().map(|path| (path, read));
    let named = named.chain(sandbox.write_paths.iter().map(|path| (path, all)));
    for (path, access) in named {
        rules = rules.add_rule(beneath(path, access)?)?;
    }
    match rules.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Err(ConfineError::NoLandlock),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// A path that was named must be there: without it the program would run, and find nothing.
fn beneath(
    path: &str,
    access: landlock::BitFlags<AccessFs>,
) -> Result<PathBeneath<PathFd>, ConfineError> {
    let opened = PathFd::new(path).map_err(|error| ConfineError::Path {
        path: path.to_owned(),
        cause: error.to_string(),
    })?;
    let access = if Path::new(path).is_dir() {
        access
    } else {
        access & AccessFs::from_file(LANDLOCK)
    };
    Ok(PathBeneath::new(opened, access))
}

/// A user of the machine.
#[derive(Debug, PartialEq, Eq)]
struct SystemUser {
    id: u32,
    group: u32,
    home: String,
}

/// The directory services of libc are not asked: a static binary cannot load them.
fn find_user(asked: &str) -> Result<SystemUser, ConfineError> {
    let users = fs::read_to_string(PASSWD).map_err(ConfineError::Users)?;
    let found = users.lines().find_map(|line| parse_user(line, asked));
    found.ok_or_else(|| ConfineError::UserUnknown(asked.to_owned()))
}

/// passwd(5): name, password, user id, group id, comment, home, shell.
fn parse_user(line: &str, asked: &str) -> Option<SystemUser> {
    let mut fields = line.split(':');
    let (name, _) = (fields.next()?, fields.next()?);
    let (id, group) = (fields.next()?, fields.next()?);
    let home = fields.nth(1)?;
    (asked == name || asked == id).then_some(())?;
    Some(SystemUser {
        id: id.parse().ok()?,
        group: group.parse().ok()?,
        home: home.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_begun_says_whether_its_program_or_its_directory_is_not_there() {
        let why = |directory: Option<&str>| {
            let sandbox = Sandbox {
                working_directory: directory.map(str::to_owned),
                ..Sandbox::default()
            };
            let missing = io::ErrorKind::NotFound.into();
            why_not_begun(missing, &sandbox, &["cat".to_owned()]).to_string()
        };
        assert_eq!(why(None), "cannot run cat: entity not found");
        let of_directory = why(Some("/no/such/directory"));
        assert!(
            of_directory.starts_with("cannot start in /no/such/directory: No such file"),
            "{of_directory}"
        );
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let line = "files:x:1007:1008:Files,,,:/srv/files:/usr/sbin/nologin";
        let files = SystemUser {
            id: 1007,
            group: 1008,
            home: "/srv/files".to_owned(),
        };
        assert_eq!(parse_user(line, "files").as_ref(), Some(&files));
        assert_eq!(parse_user(line, "1007").as_ref(), Some(&files));
        for (line, asked) in [
            (line, "file"),
            (line, "1008"),
            (line, ""),
            ("files:x:1007", "files"),
            ("files:x:-1:1008::/:", "files"),
            ("", "files"),
        ] {
            assert_eq!(parse_user(line, asked), None, "{line} {asked}");
        }
        assert!(matches!(
            find_user("no such user"),
            Err(ConfineError::UserUnknown(_))
        ));
    }
}
