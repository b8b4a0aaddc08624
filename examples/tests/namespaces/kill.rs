//! F9: a region is killed (SIGKILL) while it receives and sends, and is started again without its memory.
//!
//! What holds then, for a subscriber at the killed region, whose session is gone too: each of its two sessions gets
//! every message at most once, in order; the first one without a gap; the second one everything that was published
//! after its subscription was known at the other side. A message may be in both: the killed process took it, gave it to
//! its subscriber, and could not acknowledge it any more. It is one that came shortly before the end.
//!
//! For a subscriber at the other region, whose session goes on: every message at most once, in order; without a gap
//! until the kill, and everything that was published after the restart, once the route is known there. What the killed
//! process had accepted and not yet sent is lost with its queue, which is in memory.

use std::{thread, time::Duration};

use examples::two_regions::Carrier;

use crate::{
    clients::{Pace, Subscriber, assert_exactly, assert_rising},
    world::{HEALING, Side, World},
};

/// An acknowledgement crosses the link within this time.
const ACKNOWLEDGED: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f09_the_dialler_is_killed_and_restarted() {
    kill("F9, eu", Side::Eu, Carrier::Mqtt);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f09_the_acceptor_is_killed_and_restarted() {
    kill("F9, us", Side::Us, Carrier::Mqtt);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f09_the_dialler_is_killed_and_restarted_over_quic() {
    kill("F9, QUIC, eu", Side::Eu, Carrier::Quic);
}

#[test]
#[ignore = "needs root and /dev/net/tun: .ci/run namespaces"]
fn f09_the_acceptor_is_killed_and_restarted_over_quic() {
    kill("F9, QUIC, us", Side::Us, Carrier::Quic);
}

fn kill(name: &'static str, side: Side, carrier: Carrier) {
    let Some(mut world) = World::over(carrier, name, 9, Pace::BUSY) else { return };
    thread::sleep(ACKNOWLEDGED + Duration::from_secs(1));
    let other = side.other();
    let killed = std::time::Instant::now();
    world.regions[side as usize].kill();
    let status = world.region(other).until("down", Duration::from_secs(8));
    world.say(format_args!("{} is {status}", other.name()));
    // Its publishers are gone with it; those at the other side publish on.
    let dead = std::mem::take(&mut world.publishers[side as usize]);
    let unused = dead.iter().map(|publisher| publisher.unused()).max().unwrap();
    let before: Vec<_> = dead.into_iter().map(|publisher| (publisher.id.clone(), publisher.stop())).collect();
    let first_session = world.subscribers[side as usize].take().unwrap().stop();
    thread::sleep(Duration::from_secs(1));

    world.restart(side);
    let second_session = Subscriber::start(&world.net, side);
    let took = world.healed();
    world.say(format_args!("live {took:.1?} after the restart"));
    world.region(other).until_wanted(&format!("{}/x", other.topics()));
    // Accepted from here on, of a publisher that goes on: its batch under way began earlier.
    let since: Vec<_> =
        world.publishers[other as usize].iter().map(|publisher| (publisher.id.clone(), publisher.unused())).collect();
    world.region(side).until_wanted(&format!("{}/x", side.topics()));
    world.publish(side, unused);
    thread::sleep(Duration::from_secs(2));

    let survivors = std::mem::take(&mut world.publishers[other as usize]);
    let mut repeated = 0;
    for ((publisher, since), survivor) in since.iter().zip(survivors) {
        let accepted = survivor.stop();
        assert!(accepted > since + 10);
        second_session.until(publisher, accepted - 1, HEALING);
        let (first, second) = (&first_session[publisher], second_session.numbers(publisher));
        assert_exactly(publisher, first, 0..first.len() as u64);
        assert_rising(publisher, &second);
        let known = second.iter().position(|(number, _)| number >= since).unwrap();
        assert_exactly(publisher, &second[known..], *since..accepted);
        for (number, _) in &second {
            let Some((_, came)) = first.iter().find(|(earlier, _)| earlier == number) else { continue };
            assert!(killed - *came < ACKNOWLEDGED, "{publisher}: {number} was acknowledged, and comes again");
            repeated += 1;
        }
    }

    let subscriber = world.subscribers[other as usize].take().unwrap();
    let mut lost = 0;
    for ((publisher, accepted), restarted) in before.iter().zip(std::mem::take(&mut world.publishers[side as usize])) {
        let end = restarted.stop();
        subscriber.until(publisher, end - 1, HEALING);
        let numbers = subscriber.numbers(publisher);
        assert_rising(publisher, &numbers);
        let old = numbers.iter().position(|(number, _)| *number >= unused).unwrap();
        assert_exactly(publisher, &numbers[..old], 0..old as u64);
        assert_exactly(publisher, &numbers[old..], unused..end);
        lost += accepted.saturating_sub(old as u64);
    }
    world.say(format_args!("{repeated} messages repeated to a new session, {lost} lost with the killed queue"));
}
