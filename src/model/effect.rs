//! What an operation does to the world: the one source of a tool's hints and of consent's words.

/// The effect of a tool or of a scope. Contradictory hints cannot be written with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Changes nothing.
    Reads,
    /// Adds something; a second time adds again.
    Adds,
    /// Adds something; a second time adds nothing.
    AddsOnce,
    /// Changes something that exists, and can be changed back.
    Changes,
    /// Removes or ends something; a second time finds nothing to end.
    Destroys,
}

impl Effect {
    /// Its word on the wire, which does not say whether a second time adds again.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Adds | Self::AddsOnce => "adds",
            Self::Changes => "changes",
            Self::Destroys => "destroys",
        }
    }

    /// Whether nothing changes (`readOnlyHint`).
    pub const fn is_read_only(self) -> bool {
        matches!(self, Self::Reads)
    }

    /// Whether something may be lost (`destructiveHint`).
    pub const fn is_destructive(self) -> bool {
        matches!(self, Self::Changes | Self::Destroys)
    }

    /// Whether a second time changes nothing more (`idempotentHint`).
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Adds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_neither_destroys_nor_adds_twice() {
        assert!(Effect::Reads.is_read_only() && Effect::Reads.is_idempotent());
        assert!(!Effect::Reads.is_destructive());
        assert!(Effect::Destroys.is_destructive() && !Effect::Destroys.is_read_only());
        assert!(!Effect::Adds.is_idempotent() && Effect::AddsOnce.is_idempotent());
    }
}
