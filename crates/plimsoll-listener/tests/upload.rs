//! A client whose upload is refused gets the answer, not a reset.

#![allow(clippy::unwrap_used)]

mod support;

use plimsoll_listener::Limits;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use support::{read_to_close, send, start, within};

const UPLOAD_BYTES: usize = 10 * 1024 * 1024;

fn put_head(path: &str) -> String {
    format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {UPLOAD_BYTES}\r\n\r\n")
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_still_gets_the_413() {
    let server = start(Limits::default(), None);
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    within(async {
        socket.write_all(put_head("/refuse").as_bytes()).await.unwrap();
        for _ in 0..UPLOAD_BYTES / 65_536 {
            socket.write_all(&[b'x'; 65_536]).await.unwrap();
        }
    })
    .await;
    let (answer, closed) = read_to_close(&mut socket).await;
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{:?}", String::from_utf8_lossy(&answer));
    assert!(closed, "the connection was reset");
}

#[tokio::test]
async fn a_client_that_goes_on_sending_is_cut_off_at_the_byte_limit() {
    let server = start(Limits { linger_bytes_max: 65_536, ..Limits::default() }, None);
    let mut socket = send(server.addr, &put_head("/refuse")).await;
    let sent_all = within(async {
        for _ in 0..UPLOAD_BYTES / 65_536 {
            if socket.write_all(&[b'x'; 65_536]).await.is_err() {
                return false;
            }
        }
        true
    })
    .await;
    // The kernel's buffers hold some megabytes; what counts is that it ends.
    let (_, closed) = read_to_close(&mut socket).await;
    assert!(!(sent_all && closed), "10 MB were read beyond a limit of 64 KiB");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_let_go_at_the_time_limit() {
    let server = start(Limits { linger_ms_max: 50, ..Limits::default() }, None);
    let mut socket = send(server.addr, &put_head("/refuse")).await;
    let (answer, _) = read_to_close(&mut socket).await;
    assert!(answer.starts_with(b"HTTP/1.1 413"));
    while (server.stats)().open() > 0 {
        within(tokio::task::yield_now()).await;
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_refused_without_it() {
    let server = start(Limits::default(), None);
    let head = put_head("/refuse").replace("host: x", "host: x\r\nexpect: 100-continue");
    let mut socket = send(server.addr, &head).await;
    let (answer, _) = read_to_close(&mut socket).await;
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{:?}", String::from_utf8_lossy(&answer));
}
