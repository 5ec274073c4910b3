//! The face that a client asks for (RFC 9110 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

use crate::refusal::{Face, HtmlFace, ProblemFace, Rendered, TextFace, Told};

/// The API's own face, unless the client prefers a page, plain text or problem
/// details: a person who opens the address in a browser reads a sentence.
#[derive(Clone, Debug, Default)]
pub struct Negotiated<F>(pub F);

impl<F: Face> Face for Negotiated<F> {
    fn render(&self, told: &Told, headers: &HeaderMap) -> Rendered {
        match preferred(headers).as_deref() {
            Some("text/html") => HtmlFace::default().render(told, headers),
            Some("text/plain") => TextFace::default().render(told, headers),
            Some("application/problem+json") => ProblemFace::default().render(told, headers),
            _ => self.0.render(told, headers),
        }
    }

    fn status_page(&self) -> Option<&str> {
        self.0.status_page()
    }
}

/// The media range with the highest weight, the first of equals.
pub(crate) fn preferred(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut best: Option<(&str, f32)> = None;
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let Some(media) = parts.next().filter(|media| !media.is_empty()) else { continue };
        let weight =
            parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if weight > best.map_or(0.0, |(_, best)| best) {
            best = Some((media, weight));
        }
    }
    best.map(|(media, _)| media.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Option<String> {
        let accept = accept.parse().expect("a header");
        preferred(&HeaderMap::from_iter([(ACCEPT, accept)]))
    }

    #[test]
    fn the_heaviest_range_is_preferred_and_the_first_of_equals() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(chosen(browser).as_deref(), Some("text/html"));
        assert_eq!(
            chosen("text/html;q=0.2, application/json").as_deref(),
            Some("application/json")
        );
        assert_eq!(chosen("*/*").as_deref(), Some("*/*"));
    }

    #[test]
    fn what_is_refused_or_malformed_is_not_preferred() {
        for accept in ["text/html;q=0", "text/html;q=high", "", ",,;", "text/html;q=-1"] {
            assert_eq!(chosen(accept), None, "{accept}");
        }
        assert_eq!(chosen("text/html;q=NaN, text/plain;q=0.1").as_deref(), Some("text/plain"));
    }
}
