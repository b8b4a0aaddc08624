//! F10: a process stops for 20 s and goes on, with its sockets as they were: the kernel acknowledges for it meanwhile.

use std::{thread, time::Duration};

use crate::world::{Side, World};

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
    let Some(world) = World::start(name, 10) else { return };
    world.region(side).signal("STOP");
    let status = world.region(side.other()).until("down", Duration::from_secs(8));
    world.say(format_args!("{} is {status}", side.other().name()));
    thread::sleep(Duration::from_secs(20).saturating_sub(Duration::from_secs(4)));
    world.region(side.other()).until("down", Duration::ZERO);
    world.region(side).signal("CONT");
    let took = world.healed();
    world.say(format_args!("live {took:.1?} after it goes on"));
    world.finish();
}
