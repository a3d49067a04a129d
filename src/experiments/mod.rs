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

/// Every experiment.
pub static EXPERIMENTS: [Experiment; 1] = [MCP_SERVER_HTTP];

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

/// The feature is an experiment, and it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{display_name} is an experiment that is off here: expected the owner to start Keystead with \
     --experiments {name}"
)]
pub struct ExperimentOff {
    /// What a person calls it.
    pub display_name: &'static str,
    /// What turns it on.
    pub name: &'static str,
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

    /// The names of those that are on, in the order of the table.
    pub fn enabled(&self) -> Vec<&'static str> {
        self.0.iter().map(|experiment| experiment.name).collect()
    }

    /// Lets through what needs `experiment`, if it is on.
    ///
    /// # Errors
    /// | variant | wire | meaning |
    /// |---|---|---|
    /// | [`ExperimentOff`] | 403 | it is off; the words name it |
    pub fn require(&self, experiment: &Experiment) -> Result<(), ExperimentOff> {
        if self.is_on(experiment.name) {
            return Ok(());
        }
        Err(ExperimentOff {
            display_name: experiment.display_name,
            name: experiment.name,
        })
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
        for experiment in &EXPERIMENTS {
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
        for experiment in &EXPERIMENTS {
            assert!(!none.is_on(experiment.name));
            assert!(parse(&[experiment.name]).0.is_on(experiment.name));
        }
    }

    #[test]
    fn the_star_turns_on_what_is_safe_and_nothing_else() {
        let (all, unknown) = parse(&[ALL_SAFE]);
        assert_eq!(all.enabled(), available_safe());
        assert_eq!(unknown, Vec::<String>::new());
        for experiment in &EXPERIMENTS {
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
    fn the_refusal_names_the_experiment() {
        let (none, _) = parse(&[]);
        let refusal = none.require(&MCP_SERVER_HTTP).expect_err("it is off");
        let words = refusal.to_string();
        assert!(words.contains("MCP HTTP Server") && words.contains("mcp-server-http"));
        assert_eq!(parse(&[ALL_SAFE]).0.require(&MCP_SERVER_HTTP), Ok(()));
    }
}
