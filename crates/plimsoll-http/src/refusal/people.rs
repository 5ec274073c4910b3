//! Refusals for people: plain text, and a page.

use core::fmt::Write as _;

use http::HeaderMap;

use crate::refusal::{Face, Rendered, Told};

/// A few lines of text.
#[derive(Clone, Debug, Default)]
pub struct TextFace {
    /// Where people find out more.
    pub status_page: Option<String>,
}

impl Face for TextFace {
    fn render(&self, told: &Told, _: &HeaderMap) -> Rendered {
        let mut text = format!("{}\n\n", told.refusal.status());
        for line in lines(told) {
            text.push_str(&line);
            text.push('\n');
        }
        if let Some(page) = &told.status_page {
            let _ = writeln!(text, "Status: {page}");
        }
        Rendered { content_type: "text/plain; charset=utf-8", body: text.into() }
    }

    fn status_page(&self) -> Option<&str> {
        self.status_page.as_deref()
    }
}

/// A page that needs nothing else.
#[derive(Clone, Debug, Default)]
pub struct HtmlFace {
    /// Where people find out more.
    pub status_page: Option<String>,
}

impl Face for HtmlFace {
    fn render(&self, told: &Told, _: &HeaderMap) -> Rendered {
        let status = told.refusal.status();
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <title>{status}</title>\n<h1>{status}</h1>\n"
        );
        for line in lines(told) {
            let _ = writeln!(html, "<p>{}</p>", escaped(&line));
        }
        if let Some(page) = &told.status_page {
            let _ = writeln!(html, "<p><a href=\"{}\">Status</a></p>", escaped(page));
        }
        html.push_str("</html>\n");
        Rendered { content_type: "text/html; charset=utf-8", body: html.into() }
    }

    fn status_page(&self) -> Option<&str> {
        self.status_page.as_deref()
    }
}

fn lines(told: &Told) -> Vec<String> {
    let mut lines = vec![told.refusal.message(), "Nothing was executed.".to_owned()];
    if let Some(seconds) = told.retry_after_s() {
        lines.push(format!("Try again in {seconds} seconds."));
    }
    lines
}

/// Text that may stand anywhere in a page.
pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
