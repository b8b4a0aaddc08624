//! What was measured, what was wanted, and both as a text.

use std::fmt::{self, Display, Formatter};

use serde::{Serialize, Serializer};

use crate::engines::{Role, Way};

/// A whole run.
#[derive(Serialize)]
pub struct Report {
    pub machine: String,
    pub cores: usize,
    pub quick: bool,
    pub rounds: usize,
    /// Nanoseconds that the clock takes, subtracted from the times of single calls.
    pub clock: f64,
    pub tables: Vec<Table>,
    pub presence: Vec<Presence>,
    pub growth: Vec<Growth>,
    pub churn: Vec<Churn>,
    pub thresholds: Vec<Threshold>,
}

/// One draw of topics.
#[derive(Serialize)]
pub struct Table {
    pub draw: &'static str,
    /// (filter, value) pairs.
    pub filters: usize,
    pub distinct: usize,
    /// Values for a topic, on average.
    pub matches: f64,
    /// Topics whose answers were compared with those of every single filter.
    pub checked: usize,
    pub speeds: Vec<Speed>,
    pub skipped: Vec<String>,
}

#[derive(Serialize)]
pub struct Speed {
    pub engine: &'static str,
    pub role: Role,
    pub way: Way,
    /// Topics per CPU second: the median of all rounds.
    pub rate: f64,
    pub rates: Vec<f64>,
    /// Nanoseconds for a topic.
    pub p50: f64,
    pub p99: f64,
    /// Bytes for a filter.
    pub bytes: Option<f64>,
    /// Bytes for a filter if they were inserted one by one, where there is another way.
    pub grown_bytes: Option<f64>,
    /// Inserts per CPU second into the index that grows.
    pub grow_rate: Option<f64>,
    /// Filters per CPU second.
    pub build_rate: f64,
    /// Changes per CPU second of the index in its full size.
    pub insert_rate: f64,
    pub remove_rate: f64,
    /// Wrong answers among those that were checked.
    pub wrong: usize,
}

/// `is_match`, the same few topics again and again.
#[derive(Serialize)]
pub struct Presence {
    pub engine: &'static str,
    pub role: Role,
    /// Nanoseconds where nothing is subscribed.
    pub nothing: f64,
    /// Nanoseconds where W1 is, but not this.
    pub miss: f64,
    pub filters: usize,
}

#[derive(Serialize)]
pub struct Growth {
    pub workload: &'static str,
    pub engine: &'static str,
    pub role: Role,
    pub way: Way,
    pub filters: usize,
    /// Nanoseconds for a topic.
    pub topic: f64,
    /// Values for a topic.
    pub matches: f64,
}

/// Topics, and writes, a second: per CPU second, and by the clock on the wall.
#[derive(Serialize)]
pub struct Churn {
    pub engine: &'static str,
    pub role: Role,
    pub alone: f64,
    pub paced: f64,
    pub unpaced: f64,
    pub alone_wall: f64,
    pub paced_wall: f64,
    pub unpaced_wall: f64,
    pub paced_writes: f64,
    pub writes: f64,
    pub writes_wall: f64,
}

/// What is wanted of our index.
#[derive(Serialize)]
pub struct Threshold {
    pub what: String,
    pub wanted: f64,
    pub found: f64,
    pub holds: bool,
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self {
            Self::Ours => "ours",
            Self::Peer => "peer",
            Self::Copy => "copy",
            Self::Floor => "floor",
        })
    }
}

impl Serialize for Way {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self {
            Self::Single => "single",
            Self::Batched => "batched",
        })
    }
}

impl Table {
    pub fn ours(&self, way: Way) -> Option<&Speed> {
        self.speeds.iter().find(|speed| speed.role == Role::Ours && speed.way == way)
    }

    pub fn floor(&self) -> Option<&Speed> {
        self.speeds.iter().find(|speed| speed.role == Role::Floor)
    }

    /// The fastest peer of those that are right.
    pub fn best_peer(&self) -> Option<&Speed> {
        let peers = self.speeds.iter().filter(|speed| speed.role == Role::Peer && speed.wrong == 0);
        peers.max_by(|a, b| a.rate.total_cmp(&b.rate))
    }
}

impl Report {
    /// Holds what was found against what is wanted, as far as it was measured.
    pub fn judge(&mut self) {
        let mut all = Vec::new();
        for table in &self.tables {
            let (times_peer, times_floor, times_single, bytes) = match table.draw {
                "W1" => (5.0, 1.2, 4.0, 65.0),
                "W2" => (6.0, 0.0, 1.5, 70.0),
                "W2z" => (6.0, 0.0, 1.5, 0.0),
                "W3" => (15.0, 0.0, 0.0, 60.0),
                "W4" => (4.0, 0.0, 0.0, 0.0),
                _ => continue,
            };
            let Some(ours) = table.ours(Way::Single) else { continue };
            let mut least = |what: &str, wanted: f64, other: Option<f64>| {
                if let Some(other) = other.filter(|_| wanted > 0.0) {
                    all.push(Threshold::least(format!("{}: {what}", table.draw), wanted, other));
                }
            };
            least("single, times the best peer", times_peer, table.best_peer().map(|peer| ours.rate / peer.rate));
            least("single, times the HashMap", times_floor, table.floor().map(|floor| ours.rate / floor.rate));
            least("batched, times single", times_single, table.ours(Way::Batched).map(|both| both.rate / ours.rate));
            if let Some(found) = ours.bytes.filter(|_| bytes > 0.0) {
                all.push(Threshold::most(format!("{}: bytes for a filter", table.draw), bytes, found));
            }
        }
        for presence in self.presence.iter().filter(|presence| presence.role == Role::Ours) {
            all.push(Threshold::most("is_match, nothing subscribed: ns".into(), 30.0, presence.nothing));
            all.push(Threshold::most(format!("is_match, miss in {}: ns", presence.filters), 150.0, presence.miss));
        }
        for churn in self.churn.iter().filter(|churn| churn.role == Role::Ours) {
            all.push(Threshold::least("W5: readers beside 10,000 writes/s".into(), 0.9, churn.paced / churn.alone));
            all.push(Threshold::least("W5: readers beside a busy writer".into(), 0.6, churn.unpaced / churn.alone));
            all.push(Threshold::least("W5: writes/s".into(), 200_000.0, churn.writes));
        }
        self.thresholds = all;
    }
}

impl Threshold {
    fn least(what: String, wanted: f64, found: f64) -> Self {
        Self { what, wanted, found, holds: found >= wanted }
    }

    fn most(what: String, wanted: f64, found: f64) -> Self {
        Self { what, wanted, found, holds: found <= wanted }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} cores; medians of {} rounds", self.machine, self.cores, self.rounds)?;
        writeln!(f, "times of single calls are less {:.0} ns for the clock", self.clock)?;
        self.tables.iter().try_for_each(|table| write!(f, "\n{table}"))?;
        if !self.presence.is_empty() {
            writeln!(f, "\nis_match, hot, ns              nothing subscribed     miss")?;
        }
        for row in &self.presence {
            writeln!(f, "  {:<28} {:>18.1} {:>8.1}  in {}", row.engine, row.nothing, row.miss, row.filters)?;
        }
        self.growth(f)?;
        if !self.churn.is_empty() {
            writeln!(
                f,
                "\nW5, k/s by CPU (by the clock)        alone         paced writer        busy writer       its writes"
            )?;
        }
        let kilo = |cpu: f64, wall: f64| format!("{:>7.1} ({:>7.1})", cpu / 1e3, wall / 1e3);
        for row in &self.churn {
            let (alone, paced) = (kilo(row.alone, row.alone_wall), kilo(row.paced, row.paced_wall));
            let (unpaced, writes) = (kilo(row.unpaced, row.unpaced_wall), kilo(row.writes, row.writes_wall));
            writeln!(f, "  {:<24} {alone}  {paced}  {unpaced}  {writes}", row.engine)?;
        }
        if !self.thresholds.is_empty() {
            let note = if self.quick { " (of the full size; this run was smaller)" } else { "" };
            writeln!(f, "\nthreshold                                      wanted      found{note}")?;
        }
        for row in &self.thresholds {
            let holds = if row.holds { "holds" } else { "MISSED" };
            writeln!(f, "  {:<40} {:>10.1} {:>10.1}  {holds}", row.what, row.wanted, row.found)?;
        }
        Ok(())
    }
}

impl Report {
    fn growth(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for row in &self.growth {
            if last != Some((row.workload, row.filters)) {
                writeln!(
                    f,
                    "\ngrowth of {}, {} filters: {:.1} matches for a topic",
                    row.workload, row.filters, row.matches
                )?;
                last = Some((row.workload, row.filters));
            }
            let per_match = row.topic / row.matches;
            writeln!(f, "  {:<28} {:>12.0} ns a topic {:>10.1} ns a match", row.name(), row.topic, per_match)?;
        }
        Ok(())
    }
}

impl Growth {
    pub fn name(&self) -> String {
        name(self.engine, self.way)
    }
}

impl Speed {
    pub fn name(&self) -> String {
        name(self.engine, self.way)
    }
}

fn name(engine: &str, way: Way) -> String {
    match way {
        Way::Single => engine.to_owned(),
        Way::Batched => format!("{engine}, batches"),
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} pairs of {} filters, {:.1} matches for a topic, {} topics checked against each filter",
            self.draw, self.filters, self.distinct, self.matches, self.checked
        )?;
        writeln!(
            f,
            "  {:<26} {:>10} {:>7} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9}",
            "", "k topics/s", "x best", "p50 ns", "p99 ns", "B/filter", "build k/s", "ins. k/s", "rem. k/s"
        )?;
        let best = self.best_peer().map_or(f64::NAN, |peer| peer.rate);
        for speed in &self.speeds {
            let bytes = speed.bytes.map_or("-".into(), |bytes| format!("{bytes:.1}"));
            write!(
                f,
                "  {:<26} {:>10.1} {:>7.2} {:>9.0} {:>9.0} {:>8} {:>9.0} {:>9.0} {:>9.0}",
                speed.name(),
                speed.rate / 1e3,
                speed.rate / best,
                speed.p50,
                speed.p99,
                bytes,
                speed.build_rate / 1e3,
                speed.insert_rate / 1e3,
                speed.remove_rate / 1e3,
            )?;
            if speed.wrong > 0 {
                write!(f, "  WRONG {} times", speed.wrong)?;
            }
            if let (Some(bytes), Some(rate)) = (speed.grown_bytes, speed.grow_rate) {
                write!(f, "  grown by inserts: {bytes:.1} B, {:.0} k/s", rate / 1e3)?;
            }
            writeln!(f)?;
        }
        self.skipped.iter().try_for_each(|skipped| writeln!(f, "  left out: {skipped}"))
    }
}
