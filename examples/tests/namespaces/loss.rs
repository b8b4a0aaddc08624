//! F4, F5, F6: packets are lost, late, out of order, doubled or damaged.

use std::{thread, time::Duration};

use emulator::{Direction, Impairment};
use examples::two_regions::Carrier;

use crate::clients::Pace;
use crate::world::World;

const LASTS: Duration = Duration::from_secs(10);

fn lossy(name: &'static str, loss: f64) -> Option<()> {
    let world = World::start(name, 4, Pace::CALM)?;
    let delay = Duration::from_millis(5);
    world.net.set(Direction::Both, Impairment { loss, delay, ..Impairment::default() });
    thread::sleep(LASTS);
    let (to_b, to_a) = world.net.counts();
    for counts in [to_b, to_a] {
        let share = counts.lost as f64 / counts.offered as f64;
        assert!((loss * 0.5..loss * 1.5).contains(&share), "{counts:?}");
    }
    world.say(format_args!("{} of {} packets lost to eu", to_b.lost, to_b.offered));
    world.net.set(Direction::Both, Impairment::default());
    world.healed();
    world.finish();
    Some(())
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f04_one_packet_of_a_hundred_is_lost() {
    let _ = lossy("F4, 1 %", 0.01);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f04_one_packet_of_twenty_is_lost() {
    let _ = lossy("F4, 5 %", 0.05);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f04_one_packet_of_five_is_lost() {
    let _ = lossy("F4, 20 %", 0.2);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f05_f06_late_out_of_order_doubled_and_damaged() {
    bad("F5, F6", Carrier::Mqtt, 0.0);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f04_f05_f06_all_of_it_over_quic() {
    bad("F4, F5, F6, QUIC", Carrier::Quic, 0.05);
}

fn bad(name: &'static str, carrier: Carrier, loss: f64) {
    let Some(world) = World::over(carrier, name, 6, Pace::CALM) else { return };
    let (delay, jitter) = (Duration::from_millis(40), Duration::from_millis(20));
    let bad = Impairment { delay, jitter, loss, duplicate: 0.01, corrupt: 0.001, ..Impairment::default() };
    world.net.set(Direction::Both, bad);
    thread::sleep(LASTS);
    let (to_b, to_a) = world.net.counts();
    assert_eq!(to_b.lost > 0 && to_a.lost > 0, loss > 0.0, "{to_b:?} {to_a:?}");
    assert!(to_b.duplicated > 0 && to_a.duplicated > 0 && to_b.corrupted + to_a.corrupted > 0, "{to_b:?} {to_a:?}");
    world.healed();
    world.finish();
}
