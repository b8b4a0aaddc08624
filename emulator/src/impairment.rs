use std::{str::FromStr, time::Duration};

use thiserror::Error;

/// Which packets a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From namespace a to namespace b.
    AToB,
    /// Back.
    BToA,
    /// Each of the two, by itself.
    Both,
}

/// How bad one direction is. The default is a perfect wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// Time on the way.
    pub delay: Duration,
    /// Most that the time on the way differs from `delay`, evenly distributed. Packets overtake each other then.
    pub jitter: Duration,
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that arrive twice.
    pub duplicate: f64,
    /// Share of packets that arrive with one bit flipped.
    pub corrupt: f64,
    /// Bits a second, of whole IP packets; `None` for no limit.
    pub rate: Option<u64>,
    /// How long a packet waits at most for its turn under `rate`; one that would wait longer is dropped.
    pub queue: Duration,
    /// Nothing enters. What is on its way already arrives.
    pub cut: bool,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            rate: None,
            queue: Duration::from_millis(200),
            cut: false,
        }
    }
}

/// A change as text: a direction and settings, as in `ab delay_ms=40 loss=0.01`; what is not named stays.
///
/// Directions: `ab`, `ba`, `both`. Settings: `delay_ms`, `jitter_ms`, `loss`, `dup`, `corrupt`, `rate_mbit` (0: no
/// limit), `queue_ms`, `cut` (0 or 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Which direction it changes.
    pub direction: Direction,
    settings: Vec<Setting>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Setting {
    Delay(Duration),
    Jitter(Duration),
    Loss(f64),
    Duplicate(f64),
    Corrupt(f64),
    Rate(Option<u64>),
    Queue(Duration),
    Cut(bool),
}

/// What is wrong with a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    /// It does not begin with a direction.
    #[error("`{0}` is not a direction: `ab`, `ba` or `both`")]
    Direction(String),
    /// There is no such setting.
    #[error("`{0}` is not a setting with `=` and a number")]
    Setting(String),
    /// A value is out of range.
    #[error("the value of `{0}` is out of range")]
    Value(String),
}

impl Command {
    /// Changes what it names.
    pub fn apply(&self, to: &mut Impairment) {
        for setting in &self.settings {
            match *setting {
                Setting::Delay(delay) => to.delay = delay,
                Setting::Jitter(jitter) => to.jitter = jitter,
                Setting::Loss(share) => to.loss = share,
                Setting::Duplicate(share) => to.duplicate = share,
                Setting::Corrupt(share) => to.corrupt = share,
                Setting::Rate(rate) => to.rate = rate,
                Setting::Queue(queue) => to.queue = queue,
                Setting::Cut(cut) => to.cut = cut,
            }
        }
    }
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let mut words = line.split_whitespace();
        let direction = match words.next().unwrap_or_default() {
            "ab" => Direction::AToB,
            "ba" => Direction::BToA,
            "both" => Direction::Both,
            other => return Err(CommandError::Direction(other.to_owned())),
        };
        Ok(Self { direction, settings: words.map(Setting::parse).collect::<Result<_, _>>()? })
    }
}

impl Setting {
    fn parse(word: &str) -> Result<Self, CommandError> {
        let unknown = || CommandError::Setting(word.to_owned());
        let (key, value) = word.split_once('=').ok_or_else(unknown)?;
        let value: f64 = value.parse().map_err(|_| unknown())?;
        // A day is more than any wire needs, and far from the end of what times can hold.
        let time = (0.0..=86_400_000.0).contains(&value).then(|| Duration::from_secs_f64(value.max(0.0) / 1e3));
        let share = (0.0..=1.0).contains(&value).then_some(value);
        let rate = (0.0..=1e6).contains(&value).then(|| Some((value * 1e6) as u64).filter(|rate| *rate > 0));
        let setting = match key {
            "delay_ms" => time.map(Self::Delay),
            "jitter_ms" => time.map(Self::Jitter),
            "loss" => share.map(Self::Loss),
            "dup" => share.map(Self::Duplicate),
            "corrupt" => share.map(Self::Corrupt),
            "rate_mbit" => rate.map(Self::Rate),
            "queue_ms" => time.map(Self::Queue),
            "cut" => share.filter(|value| [0.0, 1.0].contains(value)).map(|value| Self::Cut(value == 1.0)),
            _ => return Err(unknown()),
        };
        setting.ok_or_else(|| CommandError::Value(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_changes_what_it_names_and_nothing_else() {
        let mut path = Impairment { cut: true, ..Impairment::default() };
        let all = "ab delay_ms=40 jitter_ms=2.5 loss=0.01 dup=0.5 corrupt=1 rate_mbit=50 queue_ms=100";
        let command: Command = all.parse().unwrap_or_else(|error| panic!("{error}"));
        command.apply(&mut path);
        assert_eq!(command.direction, Direction::AToB);
        let expected = Impairment {
            delay: Duration::from_millis(40),
            jitter: Duration::from_micros(2500),
            loss: 0.01,
            duplicate: 0.5,
            corrupt: 1.0,
            rate: Some(50_000_000),
            queue: Duration::from_millis(100),
            cut: true,
        };
        assert_eq!(path, expected);
        for line in ["both cut=0", "ba rate_mbit=0"] {
            line.parse::<Command>().unwrap_or_else(|error| panic!("{error}")).apply(&mut path);
        }
        assert_eq!(path, Impairment { cut: false, rate: None, ..expected });
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, reason) in [
            ("", "`` is not a direction: `ab`, `ba` or `both`"),
            ("up cut=1", "`up` is not a direction: `ab`, `ba` or `both`"),
            ("ab speed=1", "`speed=1` is not a setting with `=` and a number"),
            ("ab loss", "`loss` is not a setting with `=` and a number"),
            ("ab loss=much", "`loss=much` is not a setting with `=` and a number"),
            ("ab loss=1.1", "the value of `loss=1.1` is out of range"),
            ("ab delay_ms=-1", "the value of `delay_ms=-1` is out of range"),
            ("ab delay_ms=NaN", "the value of `delay_ms=NaN` is out of range"),
            ("ab rate_mbit=inf", "the value of `rate_mbit=inf` is out of range"),
            ("ab cut=0.5", "the value of `cut=0.5` is out of range"),
        ] {
            assert_eq!(line.parse::<Command>().map_err(|error| error.to_string()), Err(reason.to_owned()));
        }
    }
}
