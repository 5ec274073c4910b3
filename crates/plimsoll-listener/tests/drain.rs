//! A drain finishes what was accepted, and ends.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use plimsoll_listener::Limits;
use tokio::net::TcpStream;

use support::{GET, Running, read_to_close, read_until, send, start, within};

const HELD: &str = "GET /held HTTP/1.1\r\nhost: x\r\n\r\n";

async fn drained(server: Running) -> usize {
    within(server.task).await.unwrap().unwrap().aborted
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_its_connection_closed() {
    let server = start(Limits::default(), None);
    let mut socket = send(server.addr, HELD).await;
    server.held.arrived.notified().await;
    server.shutdown.cancel();
    server.held.release.notify_one();
    let (answer, closed) = read_to_close(&mut socket).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("connection: close") && answer.ends_with("released"), "{answer}");
    assert!(closed);
    assert_eq!(drained(server).await, 0);
}

#[tokio::test]
async fn an_http2_request_in_flight_is_finished_and_no_new_one_begins() {
    let server = start(Limits::default(), None);
    let socket = TcpStream::connect(server.addr).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str| {
        Request::get(format!("http://{}{path}", server.addr)).body(Empty::<Bytes>::new()).unwrap()
    };
    let held = tokio::spawn(sender.send_request(request("/held")));
    server.held.arrived.notified().await;
    server.shutdown.cancel();
    server.held.release.notify_one();
    let response = within(held).await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "released");
    within(connection).await.unwrap().unwrap();
    assert!(sender.send_request(request("/")).await.is_err());
    assert_eq!(drained(server).await, 0);
}

#[tokio::test]
async fn idle_connections_close_at_once_and_new_ones_are_refused() {
    let server = start(Limits::default(), None);
    let (addr, mut idle) = (server.addr, send(server.addr, GET).await);
    read_until(&mut idle, "0 bytes").await;
    server.shutdown.cancel();
    assert!(read_to_close(&mut idle).await.1);
    assert_eq!(drained(server).await, 0);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn what_is_not_finished_at_the_drain_limit_is_cut() {
    let server = start(Limits { drain_ms_max: 50, ..Limits::default() }, None);
    let mut socket = send(server.addr, HELD).await;
    server.held.arrived.notified().await;
    server.shutdown.cancel();
    assert!(read_to_close(&mut socket).await.0.is_empty());
    assert_eq!(drained(server).await, 1);
}

#[tokio::test]
async fn a_client_that_has_not_said_anything_does_not_hold_the_drain_up() {
    let server = start(Limits::default(), None);
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    while (server.stats)().accepted == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    read_to_close(&mut silent).await;
    assert_eq!(drained(server).await, 0);
}
