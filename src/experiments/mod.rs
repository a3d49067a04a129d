//! Floor 2: features that are off until they are named.

/// Stands for every safe experiment.
pub const ALL_SAFE: &str = "*";

/// Whether an experiment may be turned on without having been named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Safety {
    /// Listed, and on with [`ALL_SAFE`].
    Safe,
    /// Never listed, and on only by its own name.
    Hidden,
}

/// A feature that may still change, or go.
#[derive(Debug, PartialEq, Eq)]
pub struct Experiment {
    /// What one writes to turn it on.
    pub name: &'static str,
    /// What a person reads.
    pub display_name: &'static str,
    /// Whether it is on with [`ALL_SAFE`].
    pub safety: Safety,
    /// What it does, as one sentence.
    pub words: &'static str,
}

/// The second address of the MCP endpoint. It is the same endpoint behind the same credential, so
/// nothing is lost by turning it on.
pub const MCP_SERVER_HTTP: Experiment = Experiment {
    name: "mcp-server-http",
    display_name: "MCP HTTP Server",
    safety: Safety::Safe,
    words: "Serves MCP at /api/experimental/mcp/http as well.",
};

/// Notifications in browsers that are not open. A message is encrypted for its browser, so a push
/// service learns that there is one and not what it says.
pub const WEB_PUSH: Experiment = Experiment {
    name: "web-push",
    display_name: "Web Push",
    safety: Safety::Safe,
    words: "Sends notifications to browsers and phones that ask for them.",
};

/// Every experiment. A build of the tests has one more, which is hidden: no release has one now.
pub static EXPERIMENTS: &[Experiment] = &[
    MCP_SERVER_HTTP,
    WEB_PUSH,
    #[cfg(test)]
    HIDDEN_SAMPLE,
];

#[cfg(test)]
const HIDDEN_SAMPLE: Experiment = Experiment {
    name: "hidden-sample",
    display_name: "Hidden Sample",
    safety: Safety::Hidden,
    words: "Does nothing.",
};

/// The experiment with that name.
pub fn find(name: &str) -> Option<&'static Experiment> {
    EXPERIMENTS
        .iter()
        .find(|experiment| experiment.name == name)
}

/// The names of those that may be turned on with [`ALL_SAFE`].
pub fn available_safe() -> Vec<&'static str> {
    EXPERIMENTS
        .iter()
        .filter(|experiment| experiment.safety == Safety::Safe)
        .map(|experiment| experiment.name)
        .collect()
}

/// The experiments that are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Experiments(Vec<&'static Experiment>);

/// The feature needs experiments that are off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{display_names}: off here, because this is experimental; expected the owner to start Keystead \
     with --experiments {names}",
    display_names = list(.0, " and ", |off| off.display_name),
    names = list(.0, ",", |off| off.name)
)]
pub struct ExperimentsOff(pub Vec<&'static Experiment>);

fn list(
    off: &[&'static Experiment],
    separator: &str,
    word: fn(&Experiment) -> &'static str,
) -> String {
    let words: Vec<_> = off.iter().map(|experiment| word(experiment)).collect();
    words.join(separator)
}

impl Experiments {
    /// Those that `names` turn on, and the names that are none.
    ///
    /// An unknown name is not an error: an experiment ends in one release and a configuration
    /// outlives it. The caller warns of it.
    pub fn parse(names: &[String]) -> (Self, Vec<String>) {
        let (known, unknown): (Vec<&String>, Vec<&String>) = names
            .iter()
            .partition(|name| *name == ALL_SAFE || find(name).is_some());
        let all_safe = known.iter().any(|name| *name == ALL_SAFE);
        let on = EXPERIMENTS
            .iter()
            .filter(|experiment| {
                all_safe && experiment.safety == Safety::Safe
                    || known.iter().any(|name| *name == experiment.name)
            })
            .collect();
        (Self(on), unknown.into_iter().cloned().collect())
    }

    /// Whether the experiment of that name is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.0.iter().any(|experiment| experiment.name == name)
    }

    /// The names of those that are on and may be listed, in the order of the table: a hidden one
    /// is known to whoever named it and to nobody else.
    pub fn enabled(&self) -> Vec<&'static str> {
        let shown = |experiment: &&&Experiment| experiment.safety == Safety::Safe;
        let enabled = self.0.iter().filter(shown);
        enabled.map(|experiment| experiment.name).collect()
    }

    /// Lets through what needs all of `needed`, if they are on.
    ///
    /// # Errors
    /// | variant | wire | meaning |
    /// |---|---|---|
    /// | [`ExperimentsOff`] | 403 | some are off; the words name each of them |
    pub fn require(&self, needed: &[&'static Experiment]) -> Result<(), ExperimentsOff> {
        let is_off = |experiment: &&&Experiment| !self.is_on(experiment.name);
        let off: Vec<_> = needed.iter().filter(is_off).copied().collect();
        if off.is_empty() {
            Ok(())
        } else {
            Err(ExperimentsOff(off))
        }
    }

    /// Everything on, for tests of what is behind a gate. No other build can do this.
    #[cfg(test)]
    pub fn bypass() -> Self {
        Self(EXPERIMENTS.iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parse(names: &[&str]) -> (Experiments, Vec<String>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Experiments::parse(&names)
    }

    #[test]
    fn every_experiment_has_a_name_of_its_own_and_words() {
        let names: BTreeSet<_> = EXPERIMENTS.iter().map(|each| each.name).collect();
        assert_eq!(names.len(), EXPERIMENTS.len(), "a name stands twice");
        for experiment in EXPERIMENTS {
            let is_kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(experiment.name.chars().all(is_kebab), "{}", experiment.name);
            assert!(!experiment.display_name.is_empty());
            assert!(experiment.words.ends_with('.'), "{}", experiment.words);
        }
    }

    #[test]
    fn nothing_is_on_until_it_is_named() {
        let (none, unknown) = parse(&[]);
        assert_eq!(none.enabled(), Vec::<&str>::new());
        assert_eq!(unknown, Vec::<String>::new());
        for experiment in EXPERIMENTS {
            assert!(!none.is_on(experiment.name));
            assert!(parse(&[experiment.name]).0.is_on(experiment.name));
        }
    }

    #[test]
    fn the_star_turns_on_what_is_safe_and_nothing_else() {
        let (all, unknown) = parse(&[ALL_SAFE]);
        assert_eq!(all.enabled(), available_safe());
        assert_eq!(unknown, Vec::<String>::new());
        for experiment in EXPERIMENTS {
            let safe = experiment.safety == Safety::Safe;
            assert_eq!(all.is_on(experiment.name), safe, "{}", experiment.name);
        }
    }

    #[test]
    fn an_unknown_name_is_handed_back_and_turns_on_nothing() {
        let (on, unknown) = parse(&["mcp-server", "mcp-server-http", "**"]);
        assert_eq!(on.enabled(), ["mcp-server-http"]);
        assert_eq!(unknown, ["mcp-server", "**"]);
    }

    #[test]
    fn a_hidden_one_is_on_by_its_name_and_never_listed() {
        let (on, _) = parse(&["hidden-sample", ALL_SAFE]);
        assert!(on.is_on("hidden-sample"));
        assert_eq!(on.enabled(), ["mcp-server-http", "web-push"]);
        assert_eq!(available_safe(), ["mcp-server-http", "web-push"]);
    }

    #[test]
    fn the_refusal_names_every_experiment_that_is_off_and_no_other() {
        let both = [&MCP_SERVER_HTTP, &HIDDEN_SAMPLE];
        let words = |on: &Experiments| on.require(&both).expect_err("off").to_string();
        let (none, _) = parse(&[]);
        assert_eq!(
            words(&none),
            "MCP HTTP Server and Hidden Sample: off here, because this is experimental; expected \
             the owner to start Keystead with --experiments mcp-server-http,hidden-sample"
        );
        let (safe, _) = parse(&[ALL_SAFE]);
        let of_one = words(&safe);
        assert!(of_one.starts_with("Hidden Sample: off here"), "{of_one}");
        assert_eq!(safe.require(&[&MCP_SERVER_HTTP]), Ok(()));
        assert_eq!(Experiments::bypass().require(&both), Ok(()));
    }
}
