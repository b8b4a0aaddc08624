//! F21: the dialler's address changes, as behind a NAT that has forgotten it, or on another network.

use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use emulator::{Emulator, Namespace};
use examples::two_regions::Carrier;

use crate::{
    clients::Pace,
    world::{SIDES, Side, World},
};

const NEW: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// More than the silence of three heartbeats of a second.
const WATCHED: Duration = Duration::from_secs(6);

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f21_the_address_of_the_dialler_changes_and_a_link_over_quic_stays_live() {
    let Some(world) = World::over(Carrier::Quic, "F21, QUIC", 21, Pace::CALM) else { return };
    move_dialler(&world.net);
    let (since, before) = (Instant::now(), received(&world));
    while since.elapsed() < WATCHED {
        for side in SIDES {
            let status = world.region(side).ask("status");
            assert!(status.starts_with("live:"), "{} after {:.1?}: {status}", side.name(), since.elapsed());
        }
        thread::sleep(Duration::from_millis(20));
    }
    for (side, (before, after)) in SIDES.into_iter().zip(before.into_iter().zip(received(&world))) {
        assert!(after > before + 100, "{} has received {before}, and then {after}", side.name());
    }
    world.finish();
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f21_the_address_of_the_dialler_changes_and_a_link_over_mqtt_comes_back() {
    let Some(world) = World::start("F21, MQTT", 21, Pace::CALM) else { return };
    move_dialler(&world.net);
    // A TCP connection is bound to its addresses.
    let status = world.region(Side::Eu).until("down", Duration::from_secs(8));
    world.say(format_args!("eu is {status}"));
    let took = world.healed();
    world.say(format_args!("live {took:.1?} later"));
    world.finish();
}

/// From now on what leaves its namespace for the other one comes from the new address, and nothing finds the way to the old
/// one. There the old one is still that of its broker, for the clients beside it.
fn move_dialler(net: &Emulator) {
    let (us, old, new) = (Side::Us.address().to_string(), Side::Eu.address().to_string(), NEW.to_string());
    ip(net.b(), &["address", "add", &new, "dev", "wire"]);
    ip(net.b(), &["route", "replace", &us, "dev", "wire", "proto", "kernel", "scope", "link", "src", &new]);
    ip(net.a(), &["route", "delete", &old, "dev", "wire"]);
    ip(net.a(), &["route", "add", &new, "dev", "wire"]);
}

fn ip(namespace: &Namespace, arguments: &[&str]) {
    let output = namespace.command("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// How much the subscribers of each side have.
fn received(world: &World) -> [usize; 2] {
    SIDES.map(|side| {
        let publishers = &world.publishers[side.other() as usize];
        let subscriber = world.subscribers[side as usize].as_ref().unwrap();
        publishers.iter().map(|publisher| subscriber.numbers(&publisher.id).len()).sum()
    })
}
