//! The small part of Markdown that a notification may have, as HTML.
//!
//! The parser and the writer are a library's. Between them stands the list of what may pass:
//! paragraphs, emphasis, code, lists and links that are a [`Link`]. Markup becomes the text that it
//! is, a picture its description, and whatever is not on the list loses its tags and keeps its
//! words.

use pulldown_cmark::{
    CodeBlockKind, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html::push_html,
};

use crate::model::{https_url::HttpsUrl, notification::Link};

/// `markdown`, which somebody else wrote, as HTML that can be put into a page as it is.
pub fn html(markdown: &str) -> String {
    let mut sieve = Sieve::default();
    let events = Parser::new_ext(markdown, Options::empty());
    let mut html = String::with_capacity(markdown.len() * 2);
    push_html(
        &mut html,
        events.flat_map(|event| sieve.pass(event)).flatten(),
    );
    html
}

/// The host that a link leads to, if it leads away from the box.
pub(in crate::web) fn host_of(link: &Link) -> Option<String> {
    let url: HttpsUrl = link.as_str().parse().ok()?;
    Some(url.host())
}

/// The link that is open, if its tags are kept.
#[derive(Default)]
enum Open {
    #[default]
    None,
    /// With the host that is written behind it.
    Kept(Option<String>),
}

/// What was seen so far.
#[derive(Default)]
struct Sieve {
    link: Open,
}

/// What one event becomes.
type Passed<'a> = [Option<Event<'a>>; 2];

impl Sieve {
    fn pass<'a>(&mut self, event: Event<'a>) -> Passed<'a> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                one(Event::Text(readable(text)))
            }
            Event::Code(code) => one(Event::Code(readable(code))),
            Event::SoftBreak | Event::HardBreak => one(event),
            Event::Rule
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => NOTHING,
        }
    }

    fn start<'a>(&mut self, tag: Tag<'a>) -> Passed<'a> {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => one(Event::Start(Tag::Paragraph)),
            // The page has its own headings, and nobody else may put one among them.
            Tag::Heading { .. } => [
                Some(Event::Start(Tag::Paragraph)),
                Some(Event::Start(Tag::Strong)),
            ],
            // What stands behind the fence would become a class.
            Tag::CodeBlock(_) => one(Event::Start(Tag::CodeBlock(CodeBlockKind::Indented))),
            Tag::List(_) | Tag::Item | Tag::Emphasis | Tag::Strong => one(Event::Start(tag)),
            Tag::Link {
                link_type,
                dest_url,
                ..
            } => self.start_link(link_type, &dest_url),
            _ => NOTHING,
        }
    }

    fn start_link<'a>(&mut self, link_type: LinkType, dest_url: &str) -> Passed<'a> {
        let Ok(link) = dest_url.parse::<Link>() else {
            return NOTHING;
        };
        // An address that is its own words says where it leads; any other words can say anything.
        let host = host_of(&link).filter(|_| link_type != LinkType::Autolink);
        self.link = Open::Kept(host);
        one(Event::Start(Tag::Link {
            link_type: LinkType::Inline,
            dest_url: link.as_str().to_owned().into(),
            title: CowStr::Borrowed(""),
            id: CowStr::Borrowed(""),
        }))
    }

    fn end<'a>(&mut self, tag: TagEnd) -> Passed<'a> {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => one(Event::End(TagEnd::Paragraph)),
            TagEnd::Heading(_) => [
                Some(Event::End(TagEnd::Strong)),
                Some(Event::End(TagEnd::Paragraph)),
            ],
            TagEnd::CodeBlock
            | TagEnd::List(_)
            | TagEnd::Item
            | TagEnd::Emphasis
            | TagEnd::Strong => one(Event::End(tag)),
            // CommonMark §6.3: a link has no other one inside, so one that ends is the last begun.
            TagEnd::Link => match std::mem::take(&mut self.link) {
                Open::None => NOTHING,
                Open::Kept(host) => {
                    let host = host.map(|host| Event::Text(format!(" ({host})").into()));
                    [Some(Event::End(TagEnd::Link)), host]
                }
            },
            _ => NOTHING,
        }
    }
}

const NOTHING: Passed<'static> = [None, None];

fn one(event: Event<'_>) -> Passed<'_> {
    [Some(event), None]
}

/// `text` without the marks that turn the direction of what is around them.
pub(in crate::web) fn readable(text: CowStr<'_>) -> CowStr<'_> {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.contains(turns) {
        text.replace(turns, "").into()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emphasis_code_lists_and_paragraphs_are_kept() {
        for (markdown, expected) in [
            ("a *b* **c**", "<p>a <em>b</em> <strong>c</strong></p>\n"),
            ("`x < y`", "<p><code>x &lt; y</code></p>\n"),
            ("one\n\ntwo", "<p>one</p>\n<p>two</p>\n"),
            ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
            ("3. a", "<ol start=\"3\">\n<li>a</li>\n</ol>\n"),
            ("a  \nb", "<p>a<br />\nb</p>\n"),
            (
                "```rust\" onload=\"x\nlet a = 1;\n```",
                "<pre><code>let a = 1;\n</code></pre>\n",
            ),
        ] {
            assert_eq!(html(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn what_is_not_on_the_list_keeps_its_words_only() {
        for (markdown, expected) in [
            ("# Big", "<p><strong>Big</strong></p>\n"),
            ("> said", "<p>said</p>\n"),
            ("a\n\n---\n\nb", "<p>a</p>\n<p>b</p>\n"),
            (
                "![a *cat*](https://a.example/cat.png)",
                "<p>a <em>cat</em></p>\n",
            ),
        ] {
            assert_eq!(html(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn markup_is_the_text_that_it_is() {
        for (markdown, expected) in [
            (
                "a <b onclick=\"x()\">b</b>",
                "<p>a &lt;b onclick=\"x()\"&gt;b&lt;/b&gt;</p>\n",
            ),
            (
                "<script>alert(1)</script>",
                "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n",
            ),
            ("<!-- a -->", "<p>&lt;!-- a --&gt;</p>\n"),
        ] {
            assert_eq!(html(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn a_link_stays_on_the_box_or_says_where_it_leads() {
        for (markdown, expected) in [
            ("[in](/inbox)", "<p><a href=\"/inbox\">in</a></p>\n"),
            (
                "[bank](https://evil.example/x \"title\")",
                "<p><a href=\"https://evil.example/x\">bank</a> (evil.example)</p>\n",
            ),
            (
                "<https://a.example/?a=1&b=2>",
                "<p><a href=\"https://a.example/?a=1&amp;b=2\">https://a.example/?a=1&amp;b=2</a></p>\n",
            ),
            (
                "[![pic](https://a.example/p)](https://b.example/)",
                "<p><a href=\"https://b.example/\">pic</a> (b.example)</p>\n",
            ),
        ] {
            assert_eq!(html(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn nothing_else_becomes_a_link() {
        for target in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java&#x09;script:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "http://a.example/",
            "//a.example/",
            "/\\\\a.example/",
            "mailto:a@a.example",
            "inbox",
            "#x",
            "https://user@a.example/",
        ] {
            let html = html(&format!("[a]({target}) b"));
            assert_eq!(html, "<p>a b</p>\n", "{target}");
        }
        assert_eq!(html("<a@a.example>"), "<p>a@a.example</p>\n");
        assert_eq!(html("<javascript:x>"), "<p>javascript:x</p>\n");
    }

    #[test]
    fn nothing_turns_the_direction() {
        assert_eq!(
            html("a\u{202e}b `c\u{2066}d`"),
            "<p>ab <code>cd</code></p>\n"
        );
    }
}
