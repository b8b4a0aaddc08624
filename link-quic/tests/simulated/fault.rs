//! What the network and the hosts do, and undo.

use std::time::Duration;

use turmoil::Sim;

use crate::{
    pass,
    world::{End, Random},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing passes, for less than it takes to give the peer up.
    Partition,
    /// Nothing passes in one direction.
    OneWay,
    /// Packets stand still, and all go on at once.
    Hold,
    /// Nothing passes, until both sides have given each other up; at times until QUIC has too.
    LongCut,
    /// Each packet is lost with a probability of up to a fifth, and takes up to 200 ms.
    Loss,
    /// A host, or both, are gone with their memory, and start anew.
    Crash,
}

impl Fault {
    /// The fault, from its beginning to its end.
    pub fn strike(self, sim: &mut Sim<'_>, random: &mut Random) {
        let end = End::BOTH[random.between(0, 1) as usize];
        let (one, other) = (end.name(), end.other().name());
        match self {
            Self::Partition => {
                sim.partition("us", "eu");
                pass(sim, random.between(50, 350));
                sim.repair("us", "eu");
            }
            Self::OneWay => {
                sim.partition_oneway(one, other);
                pass(sim, random.between(50, 2_500));
                sim.repair_oneway(one, other);
            }
            Self::Hold => {
                sim.hold("us", "eu");
                pass(sim, random.between(50, 1_500));
                sim.release("us", "eu");
            }
            Self::LongCut => {
                sim.partition("us", "eu");
                pass(sim, random.between(800, 5_000));
                sim.repair("us", "eu");
            }
            Self::Loss => {
                sim.set_fail_rate(random.between(1, 20) as f64 / 100.0);
                sim.set_max_message_latency(Duration::from_millis(random.between(40, 200)));
                pass(sim, random.between(1_000, 3_000));
                sim.set_fail_rate(0.0);
                sim.set_max_message_latency(Duration::from_millis(40));
            }
            Self::Crash => {
                let gone = if random.between(0, 3) == 0 { vec![one, other] } else { vec![one] };
                gone.iter().for_each(|&host| sim.crash(host));
                pass(sim, random.between(20, 2_000));
                gone.iter().for_each(|&host| sim.bounce(host));
            }
        }
    }
}
