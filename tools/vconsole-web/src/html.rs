// SPDX-License-Identifier: MIT
//! Markup. Whatever is put into a page is escaped, unless it is markup already.

/// A piece of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(pub(crate) String);

/// Something that can be put into a page.
pub(crate) trait Markup {
    fn markup(&self) -> String;
}

impl Markup for Html {
    fn markup(&self) -> String {
        self.0.clone()
    }
}

impl Markup for str {
    fn markup(&self) -> String {
        let mut out = String::with_capacity(self.len());
        for letter in self.chars() {
            match letter {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                // What turns the direction of text around would disguise names.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
                '\n' | '\t' => out.push(letter),
                _ if letter.is_control() => out.push('\u{fffd}'),
                _ => out.push(letter),
            }
        }
        out
    }
}

impl Markup for String {
    fn markup(&self) -> String {
        self.as_str().markup()
    }
}

impl<T: Markup + ?Sized> Markup for &T {
    fn markup(&self) -> String {
        (**self).markup()
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(pieces: I) -> Self {
        Self(pieces.into_iter().map(|piece| piece.0).collect())
    }
}

/// A number, which needs no escaping.
pub(crate) fn number(number: impl Into<u64>) -> Html {
    Html(number.into().to_string())
}

/// Markup from a literal with `{}` for what is put in.
macro_rules! html {
    ($template:literal $(, $part:expr)* $(,)?) => {
        $crate::html::Html(format!($template $(, $crate::html::Markup::markup(&$part))*))
    };
}
pub(crate) use html;

/// A text as part of a query.
pub(crate) fn query(text: &str) -> String {
    let part = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            vec![byte]
        } else {
            format!("%{byte:02X}").into_bytes()
        }
    };
    let bytes = text.bytes().flat_map(part);
    bytes.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_put_in_is_text() {
        let name = "<script>alert(\"1\")</script>&'\u{202e}\u{7}";
        assert_eq!(
            html!("<b title=\"{}\">{}</b>", name, html!("<i>{}</i>", "a<b")).0,
            "<b title=\"&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\u{fffd}\u{fffd}\">\
             <i>a&lt;b</i></b>"
        );
        assert_eq!(query("a b&c=d/\u{e4}"), "a%20b%26c%3Dd/%C3%A4");
    }
}
