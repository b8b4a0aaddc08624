//! Every scenario, a few seeds of it; every seed that ever failed; and that a seed is always the same run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use link_core::{host::Origin, message::Message, topic::TopicFilter};
use link_sim::{
    Broker, Law, ModelBroker, Plan, Reports, Rng, Verdict, World, plan::Disk, run, run_plan, run_seeds, scenario,
    shrink,
};

#[test]
fn each_scenario_keeps_every_law() {
    for scenario in scenario::all() {
        let summary = run_seeds(&scenario, 0..20, 2);
        if let Some(failure) = summary.failures.into_iter().next() {
            panic!("{}", shrink(&scenario, failure, 200));
        }
        assert!(summary.stats.acked > 0, "{}: nobody waits for acknowledgements", scenario.name);
        assert!(summary.stats.accepted > 0 && summary.stats.taken > 0, "{} does nothing", scenario.name);
    }
}

#[test]
fn what_failed_once_does_not_fail_again() {
    let text = include_str!("../regressions");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let scenario = scenario::named(words.next().unwrap()).unwrap();
        let seed = words.next().unwrap().parse().unwrap();
        if let Err(failure) = run(&scenario, seed) {
            panic!("{line}: {}", shrink(&scenario, failure, 200));
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for scenario in scenario::all() {
        let trace = |seed| {
            let mut world = World::new(Plan::new(&scenario, seed)).keep_trace();
            let _ = world.run();
            (world.trace().digest(), world.trace().text().to_owned())
        };
        let (digest, text) = trace(7);
        assert!(text.lines().count() > 100, "{} has no events", scenario.name);
        assert_eq!((digest, &text), (trace(7).0, &trace(7).1), "{}", scenario.name);
        assert_ne!(digest, trace(8).0);
    }
}

#[test]
fn bytes_make_a_world_too() {
    let mut rng = Rng::new(1);
    for scenario in scenario::all() {
        for length in [0, 1, 40, 400, 1500] {
            let bytes: Vec<u8> = (0..length).map(|_| rng.word() as u8).collect();
            let plan = Plan::from_bytes(&scenario, &bytes);
            assert!(length < 400 || plan.steps.len() > 20);
            let (_, result) = run_plan(plan);
            assert_eq!(result, Ok(()), "{} with {length} bytes", scenario.name);
        }
    }
}

/// A broker that never tells its linker of a subscription.
struct Silent(ModelBroker);

impl Broker for Silent {
    fn start(&mut self, disk: Disk, linker: &mut Reports<'_>) {
        self.0.start(disk, linker);
    }
    fn subscribe(&mut self, client: &str, filter: &TopicFilter, durable: bool, linker: &mut Reports<'_>) {
        self.0.subscribe(client, filter, durable, linker);
        linker.unsubscribe(client, filter);
    }
    fn unsubscribe(&mut self, client: &str, filter: &TopicFilter, linker: &mut Reports<'_>) {
        self.0.unsubscribe(client, filter, linker);
    }
    fn leave(&mut self, client: &str, linker: &mut Reports<'_>) {
        self.0.leave(client, linker);
    }
    fn publish(&mut self, client: &str, message: &Message, linker: &mut Reports<'_>) {
        self.0.publish(client, message, linker);
    }
    fn deliver(&mut self, message: &Message, origin: &Origin) -> Verdict {
        self.0.deliver(message, origin)
    }
    fn subscriptions(&self) -> Vec<(String, TopicFilter)> {
        self.0.subscriptions()
    }
}

#[test]
fn a_host_that_does_not_report_is_found() {
    let plan = Plan::new(&scenario::named("churn").unwrap(), 3);
    let mut world = World::with_brokers(plan, |_| Box::new(Silent(ModelBroker::new(0))));
    let law = world.run().unwrap_err().law;
    assert!(matches!(law, Law::InterestIsKnown | Law::Host), "{law:?}");
}
