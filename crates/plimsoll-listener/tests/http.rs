//! Requests reach the service and answers reach the client, whatever else goes on.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use plimsoll_listener::{BindError, Limits, Listener, ListenerConfig};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use support::{GET, read_to_close, read_until, send, start, within};

#[tokio::test]
async fn the_service_sees_the_address_of_the_client() {
    let server = start(Limits::default(), None);
    let mut socket = send(server.addr, "GET /peer HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let own = socket.local_addr().unwrap().to_string();
    assert!(read_until(&mut socket, "\r\n\r\n127").await.ends_with(&own));
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = start(Limits::default(), None);
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    for _ in 0..3 {
        socket.write_all(GET.as_bytes()).await.unwrap();
        assert!(read_until(&mut socket, "0 bytes").await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!((server.stats)().accepted, 1);
}

#[tokio::test]
async fn http2_is_recognised_without_tls() {
    let server = start(Limits::default(), None);
    let socket = TcpStream::connect(server.addr).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request =
        Request::get(format!("http://{}/", server.addr)).body(Empty::<Bytes>::new()).unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "0 bytes");
}

#[tokio::test]
async fn a_head_over_the_limit_is_answered_with_431() {
    let server = start(Limits { header_bytes_max: 8 * 1024, ..Limits::default() }, None);
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(200_000));
    let mut socket = send(server.addr, &request).await;
    let (answer, _) = read_to_close(&mut socket).await;
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn too_many_header_fields_are_answered_with_431() {
    let server = start(Limits { headers_max: 10, ..Limits::default() }, None);
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(11));
    let mut socket = send(server.addr, &request).await;
    let (answer, _) = read_to_close(&mut socket).await;
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_service_that_panics_costs_its_own_connection_only() {
    let server = start(Limits::default(), None);
    let mut doomed = send(server.addr, "GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    read_to_close(&mut doomed).await;
    let mut other = send(server.addr, GET).await;
    read_until(&mut other, "0 bytes").await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let server = start(Limits::default(), None);
    let error = Listener::bind(ListenerConfig::new(server.addr)).unwrap_err();
    assert!(matches!(error, BindError::InUse { addr } if addr == server.addr));
    assert_eq!(error.to_string(), format!("address {} is already in use", server.addr));
}

#[test]
fn an_address_of_another_machine_is_named() {
    let error = Listener::bind(ListenerConfig::new("192.0.2.1:0".parse().unwrap())).unwrap_err();
    assert_eq!(error.to_string(), "address 192.0.2.1:0 does not belong to this machine");
}
