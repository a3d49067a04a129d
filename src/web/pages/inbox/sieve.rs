//! Which entries a page shows: read from its address or from a form, and said again in both.

use url::form_urlencoded::Serializer;

use crate::{
    http::params::Params,
    model::{id::Id, notification::Template},
    notifications::{Filter, ReadStatus, TEMPLATES},
    web::pages::inbox::views::SieveView,
};

/// Which entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sieve {
    read_status: ReadStatus,
    template: Option<Template>,
    before: Option<Id>,
}

impl Sieve {
    /// What `params` ask for. What cannot be read counts as not asked: an address that somebody
    /// cut short leads to the inbox all the same.
    pub(super) fn parse(params: &Params) -> Self {
        let value = |name| params.get(name).ok().flatten();
        Self {
            read_status: match value("show") {
                Some("unread") => ReadStatus::Unread,
                _ => ReadStatus::All,
            },
            template: value("template").and_then(Template::find),
            before: value("before").and_then(|id| id.parse().ok()),
        }
    }

    /// The same, from behind `id` on.
    pub(super) fn behind(self, id: Id) -> Self {
        Self {
            before: Some(id),
            ..self
        }
    }

    /// The same from the newest entry on, unless it begins there.
    pub(super) fn newest(self) -> Option<Self> {
        self.before.map(|_| Self {
            before: None,
            ..self
        })
    }

    /// As the service takes it.
    pub(super) fn filter(self) -> Filter {
        Filter {
            templates: self.template.into_iter().collect(),
            read_status: self.read_status,
            starting_before: self.before,
            ..Filter::default()
        }
    }

    /// As the page shows it.
    pub(super) fn view(self) -> SieveView {
        let templates = TEMPLATES.iter();
        SieveView {
            unread_only: self.read_status == ReadStatus::Unread,
            template: self.template.map(Template::as_str),
            before: self.before.map(|id| id.to_string()),
            templates: templates
                .map(|row| (row.template.as_str(), row.name))
                .collect(),
        }
    }

    /// The address of the page, and what a form did.
    pub(super) fn address(self, done: Option<&str>) -> String {
        let mut query = Serializer::new(String::new());
        if self.read_status == ReadStatus::Unread {
            query.append_pair("show", "unread");
        }
        if let Some(template) = self.template {
            query.append_pair("template", template.as_str());
        }
        if let Some(id) = self.before {
            query.append_pair("before", &id.to_string());
        }
        if let Some(word) = done {
            query.append_pair("done", word);
        }
        let query = query.finish();
        if query.is_empty() {
            "/inbox".to_owned()
        } else {
            format!("/inbox?{query}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Sieve {
        Sieve::parse(&Params::parse(query).expect("a query"))
    }

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let id = "034Shhzc9y4MuEEMErdqDU";
        for query in [
            String::new(),
            "show=unread".to_owned(),
            format!("show=unread&template=custom&before={id}"),
            format!("before={id}"),
        ] {
            let address = of(&query).address(None);
            let again = address.split_once('?').map_or("", |(_, query)| query);
            assert_eq!(again, query);
            assert_eq!(of(again), of(&query));
        }
        assert_eq!(of("").address(Some("read")), "/inbox?done=read");
    }

    #[test]
    fn what_cannot_be_read_is_not_asked_for() {
        for query in [
            "show=none",
            "template=no-such",
            "before=x",
            "show=unread&show=unread",
        ] {
            assert_eq!(of(query), Sieve::default(), "{query}");
        }
    }
}
