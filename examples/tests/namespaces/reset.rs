//! F8: the TCP connection is reset, again and again, while messages cross.

use std::{thread, time::Duration};

use crate::clients::Pace;
use crate::world::{Side, World};

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f08_ten_resets() {
    let Some(world) = World::start("F8", 8, Pace::BUSY) else { return };
    for reset in 0..10 {
        // The kernel of either end in turn; it tells the other end with a RST.
        let side = if reset % 2 == 0 { Side::Eu } else { Side::Us };
        let peer = side.other().address().to_string();
        let output = side.namespace(&world.net).command("ss").args(["-HtK", "dst", &peer]).output().unwrap();
        let sockets = String::from_utf8(output.stdout).unwrap();
        assert!(sockets.contains("ESTAB"), "reset {reset} hits the link: {sockets}");
        thread::sleep(Duration::from_millis(100));
        world.healed();
        thread::sleep(Duration::from_millis(300));
    }
    world.finish();
}
