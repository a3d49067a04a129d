//! Every setting from every source, right and wrong.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, path::Path, time::Duration};

use proptest::prelude::*;

use crate::config::{
    Config, ConfigError, LogFormat, LogLevel, Metrics, Switch,
    environment::Environment,
    file::File,
    flags::Flags,
    serving::Tls,
    setting::{self, Bounds, Preset, Reach, SETTINGS, Setting},
    sources::Sources,
    value::in_one_unit,
};

/// What a test gives: flags, variables, and the text of a file.
#[derive(Default)]
struct Given<'a> {
    flags: &'a [(&'static Setting, &'a str)],
    variables: &'a [(&'a str, &'a str)],
    file: &'a str,
}

impl Given<'_> {
    fn load(&self) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keystead.toml");
        fs::write(&path, self.file).expect("a file");
        let owned = |(setting, text): &(_, &str)| (*setting, OsString::from(text));
        let flags: Flags = self.flags.iter().map(owned).collect();
        let named = [("HOME", "/home/ada"), ("KEYSTEAD_CONFIG", utf8(&path))];
        let environment: Environment = named.iter().chain(self.variables).copied().collect();
        Config::load(&flags, &environment)
    }

    /// The refusal, with the file's directory left out.
    fn refusal(&self) -> String {
        let message = self.load().expect_err("a refusal").to_string();
        let words = message
            .split(' ')
            .map(|word| match word.split_once("/keystead.toml") {
                Some(_) => "/keystead.toml",
                None => word,
            });
        words.collect::<Vec<_>>().join(" ")
    }
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[test]
fn nothing_given_is_the_default() {
    let config = Given::default().load().expect("the default");
    let hours = Duration::from_hours;
    assert_eq!(
        config.data_dir,
        Path::new("/home/ada/.local/share/keystead")
    );
    assert_eq!(config.network.listen, []);
    assert_eq!(config.network.public_url, None);
    assert_eq!(config.network.tls, Tls::Auto);
    assert_eq!(config.network.trusted_proxies, []);
    assert_eq!(config.egress_allow, []);
    assert_eq!(config.egress_ca, None);
    assert_eq!(config.webpush_contact, None);
    assert_eq!(config.metrics, Metrics::default());
    assert_eq!(
        [
            config.egress,
            config.rate_limit,
            config.registration,
            config.management_api
        ],
        [Switch::On; 4]
    );
    assert_eq!(config.experiments, [""; 0]);
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.log.level, LogLevel::Info);
    let lifetimes = config.lifetimes;
    assert_eq!(lifetimes.access_ttl, hours(1));
    assert_eq!(lifetimes.refresh_idle_ttl, hours(30 * 24));
    assert_eq!(lifetimes.refresh_absolute_ttl, hours(180 * 24));
    assert_eq!(lifetimes.code_ttl, Duration::from_mins(1));
    assert_eq!(lifetimes.replay_window, Duration::from_secs(30));
    assert_eq!(lifetimes.session_idle_ttl, hours(7 * 24));
    assert_eq!(lifetimes.session_absolute_ttl, hours(30 * 24));
    assert_eq!(lifetimes.consent_ttl, Duration::from_mins(10));
    assert_eq!(lifetimes.claim_ttl, hours(1));
    assert_eq!(lifetimes.unapproved_client_ttl, hours(7 * 24));
}

/// Three values that each setting takes, all different where there are three, for flag, variable and file.
fn samples(setting: &Setting) -> [&'static str; 3] {
    match setting.key {
        "data" | "tls_cert" | "tls_key" | "egress_ca" | "metrics_token_file" => ["/a", "/b", "/c"],
        "listen" | "metrics_listen" => ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"],
        "public_url" => ["https://a.lan", "https://b.lan", "https://c.lan"],
        "tls" => ["off", "built-in", "auto"],
        "trusted_proxy" | "egress_allow" => ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
        "experiments" | "mcp_tools_off" => ["a", "b", "c"],
        "mcp_toolsets_off" => ["standard", "readonly", "search"],
        "webpush_contact" => ["https://a.lan", "mailto:b@b.lan", "https://c.lan"],
        "log_format" => ["json", "text", "json"],
        "log_level" => ["debug", "warn", "error"],
        _ => ["off", "on", "off"],
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let given_somewhere =
        |setting: &&&Setting| matches!(setting.reach, Reach::Serve | Reach::EveryCommand);
    for setting in SETTINGS.iter().filter(given_somewhere) {
        let [flag, variable, in_file] = samples(setting);
        let flags: Flags = [(*setting, OsString::from(flag))].into_iter().collect();
        let name = setting.variable().expect("a variable");
        let environment: Environment = [(name, variable)].into_iter().collect();
        let text = format!("{} = \"{in_file}\"", setting.key);
        let path = Path::new("/etc/keystead.toml");
        let file = || Some(File::parse(path, &text).expect(&text));
        let (no_flags, no_environment) = (Flags::default(), Environment::default());
        for (flags, environment, file, expected) in [
            (&flags, &environment, file(), flag),
            (&no_flags, &environment, file(), variable),
            (&no_flags, &no_environment, file(), in_file),
        ] {
            let sources = Sources::of(flags, environment, file);
            let given = sources.find(setting).expect("UTF-8").expect("a value");
            assert_eq!(given.texts, [expected], "{}", setting.key);
        }
        let sources = Sources::of(&no_flags, &no_environment, None);
        assert!(sources.find(setting).expect("UTF-8").is_none());
    }
}

#[test]
fn every_source_reaches_the_config() {
    let config = Given {
        flags: &[
            (&setting::LISTEN, "127.0.0.1:1"),
            (&setting::LISTEN, "127.0.0.1:2, [::1]:3"),
        ],
        variables: &[
            ("KEYSTEAD_TRUSTED_PROXY", "10.0.0.7,10.1.2.3/16"),
            ("KEYSTEAD_EGRESS", "off"),
            ("KEYSTEAD_LOG_LEVEL", ""),
        ],
        file: r#"
            experiments = ["*", "mcp-server-http"]
            egress = "on"
            log_level = "warn"
            tls_cert = "cert.pem"
            tls_key = "/etc/key.pem"
            [token]
            access_ttl = "2h 30m"
            replay_window = "0s"
        "#,
    }
    .load()
    .expect("a configuration");
    let shown = |items: Vec<String>| items.join(" ");
    let listen = config.network.listen.iter().map(ToString::to_string);
    assert_eq!(shown(listen.collect()), "127.0.0.1:1 127.0.0.1:2 [::1]:3");
    let proxies = config
        .network
        .trusted_proxies
        .iter()
        .map(ToString::to_string);
    assert_eq!(shown(proxies.collect()), "10.0.0.7/32 10.1.0.0/16");
    assert_eq!(config.egress, Switch::Off);
    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!(config.experiments, ["*", "mcp-server-http"]);
    assert_eq!(config.lifetimes.access_ttl, Duration::from_mins(150));
    assert_eq!(config.lifetimes.replay_window, Duration::ZERO);
    let Tls::Files { cert, key } = config.network.tls else {
        panic!("expected files, found {:?}", config.network.tls);
    };
    assert!(cert.is_absolute() && cert.ends_with("cert.pem"), "{cert:?}");
    assert_eq!(key, Path::new("/etc/key.pem"));
}

#[test]
fn a_wrong_flag_or_variable_says_what_was_expected() {
    let long = "x".repeat(200);
    for (setting, text, expected) in [
        (
            &setting::LISTEN,
            "8420",
            "expected an address and a port such as 127.0.0.1:8420 or [::1]:8420, found \"8420\"",
        ),
        (&setting::DATA, "", "expected a path, found \"\""),
        (
            &setting::PUBLIC_URL,
            "http://box.lan",
            "expected https:// because \"box.lan\" is not this machine itself; plain http is only \
             for localhost, 127.0.0.1 and [::1]",
        ),
        (
            &setting::TLS,
            "on",
            "expected auto or built-in or off, found \"on\"",
        ),
        (
            &setting::TRUSTED_PROXY,
            "10.0.0.1, 0.0.0.0/0",
            "expected an address or a network such as 10.0.0.5 or 10.0.0.0/24, found \"0.0.0.0/0\"",
        ),
        (&setting::EGRESS, "no", "expected on or off, found \"no\""),
        (
            &setting::METRICS_LISTEN,
            "0.0.0.0:9464",
            "expected an address of this machine itself and a port, such as 127.0.0.1:9464, found \
             \"0.0.0.0:9464\"; for others there is --metrics-token-file",
        ),
        (
            &setting::EXPERIMENTS,
            "a\u{1b}[31m",
            "expected * or a name of small letters, digits and hyphens, found \"a\\u{1b}[31m\"",
        ),
        (
            &setting::LOG_LEVEL,
            &long,
            &format!(
                "expected error or warn or info or debug or trace, found \"{}\"…",
                "x".repeat(80)
            ),
        ),
        (
            &setting::TLS_CERT,
            "c.pem",
            "expected tls_key as well: a certificate and its key go together",
        ),
    ] {
        let flags = &[(setting, text)];
        let flag = setting.flag().expect("a flag");
        let refusal = Given {
            flags,
            ..Given::default()
        }
        .refusal();
        assert_eq!(refusal, format!("--{flag}: {expected}"));
        if text.is_empty() {
            continue;
        }
        let name = setting.variable().expect("a variable");
        let variables = &[(name.as_str(), text)];
        let refusal = Given {
            variables,
            ..Given::default()
        }
        .refusal();
        assert_eq!(refusal, format!("{name}: {expected}"));
    }
}

#[test]
fn a_wrong_value_in_the_file_says_where() {
    let duration = |max: &str| {
        format!("expected a duration from 1s to {max} in whole seconds, such as 90s or 1h 30m")
    };
    for (file, expected) in [
        (
            "\n\nlisten = [\"127.0.0.1:1\",\n 8420]",
            "listen in /keystead.toml line 3: expected an address and a port such as \
             127.0.0.1:8420 or [::1]:8420, found \"8420\"",
        ),
        (
            "egress = false",
            "egress in /keystead.toml line 1: expected on or off, found \"false\"",
        ),
        (
            "public_url = [\"https://a.lan\", \"https://b.lan\"]",
            "public_url in /keystead.toml line 1: expected one value, found 2",
        ),
        (
            "[token]\ncode_ttl = \"11m\"",
            &format!(
                "token.code_ttl in /keystead.toml line 2: {}, found \"11m\"",
                duration("10m")
            ),
        ),
        (
            "token.access_ttl = 3600",
            &format!(
                "token.access_ttl in /keystead.toml line 1: {}, found \"3600\"",
                duration("1d")
            ),
        ),
        (
            "claim.ttl = \"1500ms\"",
            &format!(
                "claim.ttl in /keystead.toml line 1: {}, found \"1500ms\"",
                duration("1d")
            ),
        ),
    ] {
        refused(file, expected);
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    refused(
        "token.refresh_idle_ttl = \"30m\"",
        "token.refresh_idle_ttl in /keystead.toml line 1: expected at least the 1h of the default \
         of token.access_ttl, found 30m",
    );
    refused(
        "[token]\naccess_ttl = \"2h\"\nrefresh_absolute_ttl = \"7199s\"",
        "token.refresh_absolute_ttl in /keystead.toml line 3: expected at least the 2h of \
         token.access_ttl in /keystead.toml line 2, found 7199s",
    );
    refused(
        "tls = \"off\"\ntls_cert = \"c\"\ntls_key = \"k\"",
        "tls in /keystead.toml line 1: expected auto, because tls_cert in /keystead.toml line 2 \
         is given",
    );
}

#[test]
fn a_key_that_is_no_setting_is_refused() {
    let refused_with = |file, key, hint: &str| {
        refused(file, &format!("{key}: no such setting{hint}"));
    };
    let hint = "; did you mean public_url?";
    refused_with(
        "public-url = \"x\"",
        "public-url in /keystead.toml line 1",
        hint,
    );
    refused_with(
        "[[upstreams]]",
        "upstreams in /keystead.toml line 1",
        "; did you mean upstream?",
    );
    let key = "token.lifetime in /keystead.toml line 2";
    refused_with("[token]\nlifetime = \"1h\"", key, "");
    refused_with("token = 1", "token in /keystead.toml line 1", "");
    refused_with("[quux]", "quux in /keystead.toml line 1", "");
    refused_with("config = \"other\"", "config in /keystead.toml line 1", "");
}

fn refused(file: &str, expected: &str) {
    let refusal = Given {
        file,
        ..Given::default()
    }
    .refusal();
    assert_eq!(refusal, expected, "{file}");
}

#[test]
fn a_file_that_is_no_toml_says_the_line() {
    let path = Path::new("keystead.toml");
    let refusal = |text| match File::parse(path, text) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("expected a refusal of {text:?}"),
    };
    let expected = "keystead.toml line 2: expected TOML, found a mistake: ";
    for text in ["egress = \"on\"\negress = \"on\"", "\nclaim.ttl = 1h"] {
        assert!(refusal(text).starts_with(expected), "{}", refusal(text));
    }
}

#[test]
fn a_file_that_cannot_be_read_says_who_named_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing.toml");
    let huge = dir.path().join("huge.toml");
    fs::write(&huge, "#".repeat(64 * 1024 + 1)).expect("a file");
    for (path, expected) in [
        (missing, "No such file or directory (os error 2)"),
        (huge, "expected at most 65536 bytes, found more"),
    ] {
        let flags = [(&setting::CONFIG, path.clone().into_os_string())];
        let environment = Environment::default();
        let error = Config::load(&flags.into_iter().collect(), &environment);
        let message = error.expect_err("a refusal").to_string();
        let expected = format!("--config: cannot read {}: {expected}", path.display());
        assert_eq!(message, expected);
    }
}

#[test]
fn text_that_is_not_utf_8_names_its_setting() {
    let value = OsString::from_vec(b"\xff".to_vec());
    let environment: Environment = [("KEYSTEAD_DATA", value)].into_iter().collect();
    let error = Config::load(&Flags::default(), &environment).expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "KEYSTEAD_DATA: expected UTF-8 text, found \"\u{fffd}\""
    );
}

#[test]
fn the_data_directory_is_where_the_system_has_it() {
    for (variables, expected) in [
        (
            &[
                ("STATE_DIRECTORY", "/var/lib/keystead:/var/lib/x"),
                ("HOME", "/h"),
            ][..],
            Some("/var/lib/keystead"),
        ),
        (
            &[("XDG_DATA_HOME", "/h/data"), ("HOME", "/h")],
            Some("/h/data/keystead"),
        ),
        (
            &[("XDG_DATA_HOME", "relative"), ("HOME", "/h")],
            Some("/h/.local/share/keystead"),
        ),
        (&[("HOME", "")], None),
        (&[], None),
    ] {
        let environment: Environment = variables.iter().copied().collect();
        match (Config::load(&Flags::default(), &environment), expected) {
            (Ok(config), Some(expected)) => assert_eq!(config.data_dir, Path::new(expected)),
            (Err(ConfigError::NoDataDirectory), None) => {}
            (found, expected) => panic!("{variables:?}: expected {expected:?}, found {found:?}"),
        }
    }
}

#[test]
fn a_list_has_an_end() {
    let full = ["127.0.0.1:1"; setting::LISTEN_MAX].join(",");
    let over = format!("{full},127.0.0.1:1");
    for (text, fits) in [(full, true), (over, false)] {
        let variables = &[("KEYSTEAD_LISTEN", text.as_str())];
        let loaded = Given {
            variables,
            ..Given::default()
        }
        .load();
        assert_eq!(loaded.is_ok(), fits, "{loaded:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        for setting in SETTINGS {
            let path = Path::new("keystead.toml");
            let quoted = toml::Value::from(text.as_str());
            let file = File::parse(path, &format!("{} = {quoted}", setting.key)).ok();
            let (flags, environment) = (Flags::default(), Environment::default());
            let sources = Sources::of(&flags, &environment, file);
            // What is refused says so; what is taken is within its bounds.
            if let (Bounds::Lifetime { min, max }, Ok(given)) = (setting.bounds, sources.get(setting))
                && let Ok(lifetime) = given.lifetime()
            {
                prop_assert!((min..=max).contains(&lifetime));
            }
            let variable = [(setting.variable().unwrap_or_default(), text.as_str())];
            let _ = Config::load(&flags, &variable.into_iter().collect());
        }
        let _ = File::parse(Path::new("keystead.toml"), &text);
    }
}

#[test]
fn settings_are_unique() {
    for (index, setting) in SETTINGS.iter().enumerate() {
        let earlier = &SETTINGS[..index];
        assert!(
            earlier.iter().all(|other| other.key != setting.key),
            "{}",
            setting.key
        );
    }
}

#[test]
fn the_documentation_lists_every_setting() {
    let document = include_str!("../../docs/configuration.md");
    let rows: Vec<String> = SETTINGS.iter().map(|setting| row(setting)).collect();
    for row in &rows {
        let all = rows.join("\n");
        assert!(document.contains(row), "lacks\n{row}\nof\n{all}");
    }
    // What stands below it are the keys of an upstream, which have a test of their own.
    let (settings, _) = document
        .split_once("\n## Other MCP servers\n")
        .expect("the part about upstreams");
    let listed = settings
        .lines()
        .filter(|line| line.starts_with("| `") && !line.starts_with("| `POST "))
        .count();
    assert_eq!(
        listed,
        rows.len(),
        "docs/configuration.md lists what is no setting"
    );
}

/// The line of a setting in `docs/configuration.md`.
fn row(setting: &Setting) -> String {
    let Setting {
        key, value, help, ..
    } = setting;
    let value = value.replace('|', "\\|");
    let key = match setting.reach {
        Reach::FileName => "–".to_owned(),
        Reach::EveryCommand | Reach::Serve | Reach::File => format!("`{key}`"),
    };
    let preset = match setting.preset {
        Preset::Text(text) => format!("`{text}`"),
        Preset::Words(words) => words.to_owned(),
    };
    let names = setting.flag().zip(setting.variable());
    match (names, setting.bounds) {
        (Some((flag, variable)), Bounds::List(max)) => {
            format!(
                "| `--{flag} {value}` | `{variable}` | {key} | {preset} | {help} (at most {max}) |"
            )
        }
        (Some((flag, variable)), _) => {
            format!("| `--{flag} {value}` | `{variable}` | {key} | {preset} | {help} |")
        }
        (None, Bounds::Lifetime { min, max }) => {
            let (min, max) = (in_one_unit(min), in_one_unit(max));
            format!("| {key} | {preset} | {min} | {max} | {help} |")
        }
        (None, _) => format!("| {key} | {preset} | | | {help} |"),
    }
}
