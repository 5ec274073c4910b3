//! A thousand rounds of everything that goes wrong: places and memory as before. In a
//! process of its own, whose memory nobody else uses.

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "proxy/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Proxy, connect, get, head, raw, saying};

const ROUNDS: usize = 1_000;
const WARM_UP_ROUNDS: usize = 200;
/// Allocators keep something; a leak of 4 KiB a round would show.
const GROWTH_BYTES_MAX: u64 = 4 << 20;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") * 1024
}

fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound")
}

/// Many at once: most of these rounds are waiting.
fn rounds(count: usize, round: impl Fn() + Sync) {
    const THREADS: usize = 20;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..count / THREADS).for_each(|_| round()));
        }
    });
}

#[test]
fn a_thousand_rounds_of_each_leave_nothing_behind() {
    let answered = |proxy: &Proxy, status: &str| {
        let answer = proxy.talk(&get("/v1/x", ""));
        assert_eq!(answer.get(9..12), Some(status), "{answer:?}");
    };
    let vanishing = |proxy: &Proxy| {
        let mut client = connect(proxy.address);
        client.write_all(get("/v1/x", "").as_bytes()).expect("sent");
    };
    let half = raw(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let hanging = || {
        raw(|mut stream| {
            head(&mut stream);
            let _ = stream.read(&mut [0]);
        })
    };
    type Round<'r> = Box<dyn Fn(&Proxy) + Sync + 'r>;
    let expect =
        |status: &'static str| -> Round<'_> { Box::new(move |proxy| answered(proxy, status)) };
    let troubles: Vec<(&str, SocketAddr, Round<'_>)> = vec![
        ("garbage", saying("220 smtp ready\r\n\r\n"), expect("502")),
        ("half a body", half, expect("200")),
        ("killed", raw(drop), expect("502")),
        ("refused", nobody(), expect("502")),
        ("hanging", hanging(), expect("504")),
        ("a client that vanishes", hanging(), Box::new(vanishing)),
    ];
    for (what, upstream, round) in troubles {
        let proxy = Proxy::with(upstream, |config| {
            if what == "hanging" {
                config.upstream.answer_time_max = Duration::from_millis(20);
            }
        });
        rounds(WARM_UP_ROUNDS, || round(&proxy));
        proxy.until_idle();
        let before = resident_bytes();
        rounds(ROUNDS, || round(&proxy));
        // No place is kept at any gate.
        proxy.until_idle();
        let growth = resident_bytes().saturating_sub(before);
        eprintln!("{what}: {} KiB", growth >> 10);
        assert!(growth < GROWTH_BYTES_MAX, "{what}: {} KiB", growth >> 10);
    }
}
