// SPDX-License-Identifier: MIT
//! HTML. Every value in a page is escaped, unless it is markup.

use console_proto::browser::escape;

/// A piece of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(pub(crate) String);

/// A value that a page can contain.
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
        escape(self)
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

/// Markup from a literal with `{}` for each value.
macro_rules! html {
    ($template:literal $(, $part:expr)* $(,)?) => {
        $crate::html::Html(format!($template $(, $crate::html::Markup::markup(&$part))*))
    };
}
pub(crate) use html;

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_is_put_in_is_text() {
        assert_eq!(
            html!("<b title=\"{}\">{}</b>", "\"&<", html!("<i>{}</i>", "a<b")).0,
            "<b title=\"&quot;&amp;&lt;\"><i>a&lt;b</i></b>"
        );
    }
}
