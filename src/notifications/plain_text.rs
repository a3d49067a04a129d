//! The content of a notification where nothing shows Markdown: a push, a badge, a terminal.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

/// `markdown` as it reads without any markup. A link keeps its words and loses its address; what
/// looks like HTML is text.
pub fn plain_text(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    for event in Parser::new(markdown) {
        match event {
            Event::Text(words)
            | Event::Code(words)
            | Event::Html(words)
            | Event::InlineHtml(words) => {
                text.push_str(&words);
            }
            Event::SoftBreak => text.push(' '),
            Event::Start(Tag::Item) => {
                end_line(&mut text);
                text.push_str("- ");
            }
            Event::HardBreak
            | Event::Rule
            | Event::End(
                TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::Item,
            ) => end_line(&mut text),
            _ => {}
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Begins another line, if there is anything in this one.
fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_goes_and_words_stay() {
        for (markdown, text) in [
            ("", ""),
            (
                "You allowed **Claude** to *act*.",
                "You allowed Claude to act.",
            ),
            ("see [the log](https://a.example/x)", "see the log"),
            (
                "`rm -rf` is ![a picture](https://a.example/p.png)",
                "rm -rf is a picture",
            ),
            (
                "# Done\n\ntwo\nlines\n\n- one\n- *two*",
                "Done\ntwo lines\n- one\n- two",
            ),
            ("```\nlet x = 1;\n```", "let x = 1;"),
            (r"\<b\>bold\<\/b\>", "<b>bold</b>"),
            ("a <b>b</b>", "a <b>b</b>"),
            ("a\\\nb", "a\nb"),
        ] {
            assert_eq!(plain_text(markdown), text, "{markdown:?}");
        }
    }

    proptest! {
        /// What Keystead escapes so that it is not read as Markdown comes out as it went in.
        #[test]
        fn escaped_words_are_words(words in "[!-~]{1,40}") {
            let escaped = crate::notifications::send::as_text(&words);
            prop_assert_eq!(plain_text(&escaped), words);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = plain_text(&text);
        }
    }
}
