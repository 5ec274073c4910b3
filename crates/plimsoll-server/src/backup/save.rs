//! Saving: a thread writes, the client reads.

use std::io::{self, Write as _};
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use crate::backup::{Outgoing, byte_stream, refused, whole};
use crate::stack::{Response, Stack};

pub(crate) fn answer(stack: &Stack) -> Response {
    let source = match stack.store.snapshot() {
        Ok(source) => source,
        Err(error) => return whole(refused(&error)),
    };
    let vault = Arc::clone(&stack.shared.vault);
    let (mut out, stream) = byte_stream();
    tokio::task::spawn_blocking(move || {
        let seal = |sums: &[u8]| vault.seal_sums(sums).map_err(io::Error::other);
        // Lent, so that a failure can break the stream off.
        let written = source.write_to(&mut out, &seal, &mut |_| {});
        match written.map_err(io::Error::other).and_then(|(summary, out)| {
            out.flush()?;
            Ok(summary)
        }) {
            Ok(summary) => {
                tracing::info!(keys = summary.keys, bytes = summary.bytes, "snapshot saved");
            }
            Err(error) => {
                tracing::warn!(%error, "a snapshot was not saved");
                out.fail(error);
            }
        }
    });
    let mut response = http::Response::new(Outgoing::Stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
