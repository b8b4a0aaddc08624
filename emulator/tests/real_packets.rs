//! Real packets over the wire, if this machine can: `cargo test -p emulator -- --ignored`, as root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{
    net::UdpSocket,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use emulator::{Direction, Emulator, Impairment, Namespace};

fn emulator() -> Option<Emulator> {
    if let Err(missing) = Emulator::available() {
        eprintln!("\n!!! SKIPPED: the emulator on real packets: {missing}\n");
        return None;
    }
    Some(Emulator::new(3).unwrap())
}

fn socket(namespace: &Namespace) -> UdpSocket {
    let bind = || {
        namespace.enter().unwrap();
        let socket = UdpSocket::bind((namespace.address(), 7000)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    };
    thread::scope(|scope| scope.spawn(bind).join().unwrap())
}

/// Sends from one socket to the other; tells how long it took, if it arrived.
fn cross(from: &UdpSocket, to: &UdpSocket) -> Option<Duration> {
    let sent = Instant::now();
    from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 16];
    to.recv_from(&mut buffer).ok().map(|_| sent.elapsed())
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn packets_cross_late_or_never_as_set() {
    let Some(net) = emulator() else { return };
    let (a, b) = (socket(net.a()), socket(net.b()));
    assert!(cross(&a, &b).is_some() && cross(&b, &a).is_some());

    net.set(Direction::AToB, Impairment { delay: Duration::from_millis(100), ..Impairment::default() });
    assert!(cross(&a, &b).unwrap() >= Duration::from_millis(100));
    assert!(cross(&b, &a).unwrap() < Duration::from_millis(100), "the other direction is as it was");

    net.change(Direction::BToA, |path| path.cut = true);
    assert!(cross(&b, &a).is_none());
    assert!(cross(&a, &b).is_some(), "the cut is one-way");
    assert!(net.counts().1.cut > 0);
    net.set(Direction::Both, Impairment::default());
    assert!(cross(&b, &a).is_some());
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn a_command_runs_inside_and_nothing_is_left_behind() {
    let Some(net) = emulator() else { return };
    let name = net.a().name().to_owned();
    let list = || {
        let output = std::process::Command::new("ip").args(["netns", "list"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(list().contains(&name));
    let output = net.a().command("ip").args(["-brief", "addr"]).stdout(Stdio::piped()).output().unwrap();
    let addresses = String::from_utf8(output.stdout).unwrap();
    assert!(addresses.contains("10.77.0.1 peer 10.77.0.2"), "{addresses}");
    drop(net);
    assert!(!list().contains(&name));
}
