//! F1, F2, F3: the wire is cut, both ways or one way, for less and for more time than it takes to notice.

use std::{thread, time::Duration};

use emulator::Direction;
use examples::two_regions::Carrier;

use crate::clients::Pace;
use crate::world::{SIDES, Side, World};

/// Three missed heartbeats of a second each, and one for the machine to be busy.
const NOTICED: Duration = Duration::from_secs(6);
/// More than two keep-alives of 5 s.
const LONG: Duration = Duration::from_secs(12);

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f01_a_cut_of_a_second_goes_unnoticed() {
    let Some(world) = World::start("F1, 1 s", 1, Pace::CALM) else { return };
    world.net.change(Direction::Both, |path| path.cut = true);
    thread::sleep(Duration::from_secs(1));
    for side in SIDES {
        world.region(side).until("live", Duration::ZERO);
    }
    world.net.change(Direction::Both, |path| path.cut = false);
    thread::sleep(Duration::from_secs(2));
    world.healed();
    world.finish();
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f01_a_cut_over_the_keep_alive_is_down_at_both_sides_and_heals() {
    long("F1, 12 s", Direction::Both, Carrier::Mqtt);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f02_a_one_way_cut_towards_the_dialler() {
    long("F2, us to eu", Direction::AToB, Carrier::Mqtt);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f02_a_one_way_cut_towards_the_acceptor() {
    long("F2, eu to us", Direction::BToA, Carrier::Mqtt);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f01_a_cut_is_down_at_both_sides_and_heals_over_quic() {
    long("F1, QUIC, 12 s", Direction::Both, Carrier::Quic);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f02_a_one_way_cut_towards_the_dialler_over_quic() {
    long("F2, QUIC, us to eu", Direction::AToB, Carrier::Quic);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f02_a_one_way_cut_towards_the_acceptor_over_quic() {
    long("F2, QUIC, eu to us", Direction::BToA, Carrier::Quic);
}

/// A cut that both sides notice: the one that hears nothing by its heartbeats, the other by being closed, or unheard.
fn long(name: &'static str, direction: Direction, carrier: Carrier) {
    let Some(world) = World::over(carrier, name, 2, Pace::CALM) else { return };
    world.net.change(direction, |path| path.cut = true);
    let deaf = if direction == Direction::BToA { Side::Us } else { Side::Eu };
    for (side, within) in [(deaf, NOTICED), (deaf.other(), LONG)] {
        let status = world.region(side).until("down", within);
        world.say(format_args!("{} is {status}", side.name()));
    }
    thread::sleep(LONG.saturating_sub(NOTICED));
    for side in SIDES {
        world.region(side).assert_away();
    }
    world.net.change(direction, |path| path.cut = false);
    let took = world.healed();
    world.say(format_args!("live {took:.1?} after the heal"));
    world.finish();
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f03_a_wire_that_flaps() {
    let Some(world) = World::start("F3", 3, Pace::CALM) else { return };
    for half in 0..40 {
        world.net.change(Direction::Both, |path| path.cut = half % 2 == 0);
        thread::sleep(Duration::from_millis(500));
    }
    world.healed();
    world.finish();
}
