//! Requests that two readers could understand in two ways, and bombs: refused, or
//! brought to one form. What never happens is that the upstream sees two requests
//! where the proxy saw one.

use crate::support::counted;

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect()
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (what, request) in [
        ("two lengths", format!("{post}Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello")),
        ("a list of lengths", format!("{post}Content-Length: 5, 6\r\n\r\nhello")),
        ("a signed length", format!("{post}Content-Length: +5\r\n\r\nhello")),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n")),
        (
            "chunked, but not last",
            format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n{smuggled}"),
        ),
        ("an unknown coding", format!("{post}Transfer-Encoding: xchunked\r\n\r\n{smuggled}")),
        ("an obs-fold", format!("{post}X-A: b\r\n c\r\n\r\n")),
        ("a space before the colon", format!("{post}Content-Length : 5\r\n\r\nhello")),
        ("a bare CR", format!("{post}X-A: b\rX-B: c\r\n\r\n")),
        ("a NUL", format!("{post}X-A: b\0c\r\n\r\n")),
        ("two spaces in the first line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a tab in the first line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a version that is none", "GET / HTTP/1.7\r\nHost: a\r\n\r\n".to_owned()),
        (
            "chunks in HTTP/1.0",
            post.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a space before the colon of chunks",
            format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size in C",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size and less than it",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n9\r\nhello\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a chunk size with a bomb behind it",
            format!(
                "{post}Transfer-Encoding: chunked\r\n\r\n5;{}\r\nhello\r\n0\r\n\r\n",
                "x".repeat(64 * 1024)
            ),
        ),
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned()),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        ),
        (
            "a user in the host",
            "GET / HTTP/1.1\r\nConnection: close\r\nHost: a@b\r\n\r\n".to_owned(),
        ),
        (
            "another host in the target",
            "GET http://b/ HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n".to_owned(),
        ),
        ("a tunnel", "CONNECT b:80 HTTP/1.1\r\nConnection: close\r\nHost: b:80\r\n\r\n".to_owned()),
        ("no path", "GET nowhere HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n".to_owned()),
        (
            "a broken chunk size",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n5g\r\nhello\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size beyond 64 bits",
            format!(
                "{post}Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\nhello\r\n0\r\n\r\n"
            ),
        ),
    ] {
        let (proxy, count) = counted();
        let answer = proxy.talk(&request);
        let refused = statuses(&answer).iter().all(|status| ["400", "501", "502"].contains(status));
        assert!(refused && !answer.contains(" 200 "), "{what}: {answer:?}");
        // The head before a chunk that is none may have been passed on.
        assert!(count() <= usize::from(what.contains("chunk size")), "{what}");
        proxy.until_idle();
    }
}

#[test]
fn what_has_one_meaning_is_brought_to_one_form() {
    for (what, request) in [
        (
            "a length beside chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "the same length twice",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        ),
        ("a bare LF", "GET / HTTP/1.1\nHost: a\nConnection: close\n\n"),
        (
            "a chunk extension",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "a field of the message named as one of the connection",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, content-length, host\r\nContent-Length: 5\r\n\r\nhello",
        ),
        (
            "a request behind a body that is refused unread",
            "POST / HTTP/1.1\r\nHost: a\r\nX-Vault-AOP-Force-Reject: true\r\nContent-Length: 100000\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "chunked twice",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "another coding before the chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: identity, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "bare LFs between chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        ),
        ("empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        (
            "a target that is a URI",
            "GET http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ),
        (
            "a body where there is none usually",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
    ] {
        let (proxy, count) = counted();
        let answer = proxy.talk(request);
        // Refusing is as safe as normalising; guessing is not.
        assert!(["200", "400", "501", "503"].contains(&statuses(&answer)[0]), "{what}: {answer:?}");
        assert_eq!(statuses(&answer).len(), 1, "{what}: {answer:?}");
        assert!(count() <= 1, "{what}");
        proxy.until_idle();
    }
}

#[test]
fn bombs_are_refused_and_the_proxy_goes_on() {
    let (proxy, _) = counted();
    let many = "X-A: b\r\n".repeat(200);
    let long = format!("X-A: {}\r\n", "b".repeat(128 * 1024));
    let uri = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(128 * 1024));
    for request in [
        format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{long}\r\n"),
        uri,
    ] {
        let answer = proxy.talk(&request);
        assert!(["414", "431"].contains(&statuses(&answer)[0]), "{answer:?}");
    }
    let fine = proxy.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(statuses(&fine), ["200"]);
}
