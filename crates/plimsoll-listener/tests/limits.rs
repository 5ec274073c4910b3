//! A slow client costs one connection and nothing else.

#![allow(clippy::unwrap_used)]

mod support;

use plimsoll_listener::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use support::{GET, read_to_close, read_until, send, start, within};

#[tokio::test]
async fn a_head_that_stalls_is_cut_off() {
    let server = start(Limits { header_read_ms_max: 40, ..Limits::default() }, None);
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    let mut stalled = send(server.addr, "GET / HTTP/1.1\r\nho").await;
    let mut preface = send(server.addr, "PRI * HT").await;
    for socket in [&mut silent, &mut stalled, &mut preface] {
        assert!(read_to_close(socket).await.0.is_empty());
    }
    assert_eq!((server.stats)().timed_out, 3);
}

#[tokio::test]
async fn a_second_head_that_stalls_is_cut_off() {
    let server = start(Limits { header_read_ms_max: 40, ..Limits::default() }, None);
    let mut socket = send(server.addr, GET).await;
    read_until(&mut socket, "0 bytes").await;
    socket.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    read_to_close(&mut socket).await;
    assert_eq!((server.stats)().timed_out, 1);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_head_limit_and_ends_at_the_idle_limit() {
    let limits = Limits { header_read_ms_max: 10, idle_ms_max: 100, ..Limits::default() };
    let server = start(limits, None);
    let mut socket = send(server.addr, GET).await;
    read_until(&mut socket, "0 bytes").await;
    let (rest, closed) = read_to_close(&mut socket).await;
    assert!(rest.is_empty() && closed);
    assert_eq!((server.stats)().timed_out, 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let server = start(Limits { write_stall_ms_max: 40, ..Limits::default() }, None);
    let mut socket = send(server.addr, "GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(async {
        while (server.stats)().timed_out == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut received = Vec::new();
    let _ = within(socket.read_to_end(&mut received)).await;
    assert!(received.len() < 64 * 1024 * 1024);
}

#[tokio::test]
async fn at_the_connection_limit_the_next_client_waits_and_is_then_served() {
    let server = start(Limits { connections_max: 1, ..Limits::default() }, None);
    let mut first = send(server.addr, GET).await;
    read_until(&mut first, "0 bytes").await;
    // The kernel completes the connection; nobody accepts it.
    let mut second = send(server.addr, GET).await;
    first.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut first, "0 bytes").await;
    assert_eq!((server.stats)().accepted, 1);
    drop(first);
    read_until(&mut second, "0 bytes").await;
    assert_eq!((server.stats)().accepted, 2);
}
