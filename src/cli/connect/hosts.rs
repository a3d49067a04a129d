//! The programs that can be told of this server: where each keeps its MCP servers, and how it
//! writes one. As their makers documented them in November 2026.

use std::path::{Path, PathBuf};

use super::entry::{Entry, Field, MergeError};
use super::{json, toml};
use crate::config::environment::Environment;

/// A program that calls MCP servers.
#[derive(Debug)]
pub(super) struct Host {
    /// What it is called on the command line.
    pub(super) word: &'static str,
    /// What it calls itself.
    pub(super) title: &'static str,
    /// How its file is written.
    format: Format,
    /// Under which key its servers stand.
    servers: &'static str,
    /// Where its user's file is.
    pub(super) places: Places,
    /// Where the file of a project is, in its directory.
    pub(super) project: Option<&'static str>,
    /// How it writes a server with a URL; none if its file has only programs.
    http: Option<HttpShape>,
    /// Whether it wants to be told that a program speaks stdio.
    names_stdio: bool,
    /// What its person does next, with a URL and with a program. `{name}` is the server's.
    then: [&'static str; 2],
}

#[derive(Debug)]
enum Format {
    Json,
    Toml,
}

/// The file of a user on each platform.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) linux: &'static str,
    pub(super) macos: &'static str,
    pub(super) windows: &'static str,
    /// The variable that names another directory, and the file in it.
    moved: Option<(&'static str, &'static str)>,
}

#[derive(Debug)]
struct HttpShape {
    kind: Option<&'static str>,
    url: &'static str,
}

/// How this server is reached.
#[derive(Clone, Debug)]
pub(super) enum Transport {
    /// At a URL.
    Http(String),
    /// As a program, by its words.
    Stdio(String, Vec<String>),
}

/// Every host.
pub(super) static HOSTS: [Host; 6] = [
    Host {
        word: "claude-code",
        title: "Claude Code",
        format: Format::Json,
        servers: "mcpServers",
        places: Places {
            linux: "~/.claude.json",
            macos: "~/.claude.json",
            windows: r"%USERPROFILE%\.claude.json",
            moved: Some(("CLAUDE_CONFIG_DIR", ".claude.json")),
        },
        project: Some(".mcp.json"),
        http: Some(HttpShape {
            kind: Some("http"),
            url: "url",
        }),
        names_stdio: true,
        then: [
            "Start Claude Code again; `/mcp` in it signs you in.",
            "Start Claude Code again; `/mcp` in it shows the server.",
        ],
    },
    Host {
        word: "claude-desktop",
        title: "Claude Desktop",
        format: Format::Json,
        servers: "mcpServers",
        places: Places {
            linux: "~/.config/Claude/claude_desktop_config.json",
            macos: "~/Library/Application Support/Claude/claude_desktop_config.json",
            windows: r"%APPDATA%\Claude\claude_desktop_config.json",
            moved: None,
        },
        project: None,
        http: None,
        names_stdio: false,
        then: [
            "",
            "Quit Claude Desktop, its icon in the tray too, and start it again.",
        ],
    },
    Host {
        word: "vscode",
        title: "VS Code",
        format: Format::Json,
        servers: "servers",
        places: Places {
            linux: "~/.config/Code/User/mcp.json",
            macos: "~/Library/Application Support/Code/User/mcp.json",
            windows: r"%APPDATA%\Code\User\mcp.json",
            moved: None,
        },
        project: Some(".vscode/mcp.json"),
        http: Some(HttpShape {
            kind: Some("http"),
            url: "url",
        }),
        names_stdio: true,
        then: [
            "In VS Code, \"MCP: List Servers\" starts the server and signs you in.",
            "In VS Code, \"MCP: List Servers\" starts the server.",
        ],
    },
    Host {
        word: "cursor",
        title: "Cursor",
        format: Format::Json,
        servers: "mcpServers",
        places: Places {
            linux: "~/.cursor/mcp.json",
            macos: "~/.cursor/mcp.json",
            windows: r"%USERPROFILE%\.cursor\mcp.json",
            moved: None,
        },
        project: Some(".cursor/mcp.json"),
        http: Some(HttpShape {
            kind: None,
            url: "url",
        }),
        names_stdio: true,
        then: [
            "Start Cursor again; the list of MCP servers in its settings signs you in.",
            "Start Cursor again; the list of MCP servers in its settings turns the server on.",
        ],
    },
    Host {
        word: "codex",
        title: "Codex",
        format: Format::Toml,
        servers: "mcp_servers",
        places: Places {
            linux: "~/.codex/config.toml",
            macos: "~/.codex/config.toml",
            windows: r"%USERPROFILE%\.codex\config.toml",
            moved: Some(("CODEX_HOME", "config.toml")),
        },
        project: Some(".codex/config.toml"),
        http: Some(HttpShape {
            kind: None,
            url: "url",
        }),
        names_stdio: false,
        then: [
            "`codex mcp login {name}` signs you in.",
            "Start Codex again; `/mcp` in it shows the server.",
        ],
    },
    Host {
        word: "gemini",
        title: "Gemini CLI",
        format: Format::Json,
        servers: "mcpServers",
        places: Places {
            linux: "~/.gemini/settings.json",
            macos: "~/.gemini/settings.json",
            windows: r"%USERPROFILE%\.gemini\settings.json",
            moved: None,
        },
        project: Some(".gemini/settings.json"),
        http: Some(HttpShape {
            kind: None,
            url: "httpUrl",
        }),
        names_stdio: false,
        then: [
            "Start Gemini CLI again; `/mcp auth {name}` in it signs you in.",
            "Start Gemini CLI again; `/mcp` in it shows the server.",
        ],
    },
];

/// No host has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected claude-code, claude-desktop, vscode, cursor, codex or gemini")]
pub(super) struct NotAHost;

/// The host that is called `word`.
pub(super) fn find(word: &str) -> Result<&'static Host, NotAHost> {
    HOSTS.iter().find(|host| host.word == word).ok_or(NotAHost)
}

impl Host {
    /// Whether its file can have a server with a URL.
    pub(super) fn takes_urls(&self) -> bool {
        self.http.is_some()
    }

    /// `text` of its file with this server in it as `name`.
    pub(super) fn merge(
        &self,
        text: &str,
        name: &str,
        transport: &Transport,
    ) -> Result<String, MergeError> {
        let entry = self.entry(transport);
        match self.format {
            Format::Json => json::merge(text, self.servers, name, &entry),
            Format::Toml => toml::merge(text, self.servers, name, &entry),
        }
    }

    /// What its person does next.
    pub(super) fn then(&self, name: &str, transport: &Transport) -> String {
        let [http, stdio] = self.then;
        let words = match transport {
            Transport::Http(_) => http,
            Transport::Stdio(..) => stdio,
        };
        words.replace("{name}", name)
    }

    fn entry(&self, transport: &Transport) -> Entry {
        let kind = |kind: &str| ("type", Field::Text(kind.to_owned()));
        match (transport, &self.http) {
            (Transport::Http(url), shape) => {
                let named = shape.as_ref().and_then(|shape| shape.kind).map(kind);
                let key = shape.as_ref().map_or("url", |shape| shape.url);
                let url = (key, Field::Text(url.clone()));
                named.into_iter().chain([url]).collect()
            }
            (Transport::Stdio(command, arguments), _) => {
                let named = self.names_stdio.then(|| kind("stdio"));
                let program = [
                    ("command", Field::Text(command.clone())),
                    ("args", Field::List(arguments.clone())),
                ];
                named.into_iter().chain(program).collect()
            }
        }
    }
}

impl Places {
    /// Where the file of this machine's user is; none without a home.
    pub(super) fn here(&self, environment: &Environment) -> Option<PathBuf> {
        let directory = |name: &str| {
            let path = PathBuf::from(environment.find(name)?);
            path.is_absolute().then_some(path)
        };
        if let Some((variable, file)) = self.moved
            && let Some(directory) = directory(variable)
        {
            return Some(directory.join(file));
        }
        let place = if cfg!(target_os = "macos") {
            self.macos
        } else {
            self.linux
        };
        let in_home = Path::new(place).strip_prefix("~").ok()?;
        match (
            in_home.strip_prefix(".config"),
            directory("XDG_CONFIG_HOME"),
        ) {
            (Ok(in_config), Some(config)) => Some(config.join(in_config)),
            _ => Some(directory("HOME")?.join(in_home)),
        }
    }
}
