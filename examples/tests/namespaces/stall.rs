//! F10: a process stops for 20 s and goes on, with its sockets as they were: the kernel acknowledges for it meanwhile.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::clients::Pace;
use crate::world::{Side, World};

const STALL: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f10_the_dialler_stalls_and_goes_on() {
    stall("F10, eu", Side::Eu);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f10_the_acceptor_stalls_and_goes_on() {
    stall("F10, us", Side::Us);
}

fn stall(name: &'static str, side: Side) {
    let Some(world) = World::start(name, 10, Pace::CALM) else { return };
    world.region(side).signal("STOP");
    let stopped = Instant::now();
    let status = world.region(side.other()).until("down", Duration::from_secs(8));
    world.say(format_args!("{} is {status}", side.other().name()));
    thread::sleep(STALL.saturating_sub(stopped.elapsed()));
    world.region(side.other()).assert_away();
    world.region(side).signal("CONT");
    let took = world.healed();
    world.say(format_args!("live {took:.1?} after it goes on"));
    world.finish();
}
