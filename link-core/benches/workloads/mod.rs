//! Seeded workloads of the topic index: what is subscribed, and which topics are published.
//!
//! The same seed makes the same texts on every machine. A workload is a list of (filter, value) pairs, the value being
//! the place in the list, and one or more draws of topics to ask for.
//!
//! | Name | Filters | Topics |
//! |---|---|---|
//! | [`w1()`] | exact, one per device and metric | uniform, one in twenty is nobody's |
//! | [`w2()`] | 5 to 7 levels, 20 % with wildcards | uniform (about 61 matches of 1,000,000), and Zipf |
//! | [`w3()`] | 10 levels over 8 tokens, half the levels are `+` | uniform (about 503 matches of 100,000) |
//! | [`w4()`] | 10 filters of 100 values for each of 100 topics, W2 behind | those topics: 1,000 matches each |
//! | [`fleet()`] | vehicles with skewed brands, models and regions | vehicles, as skewed |
//! | [`homes()`] | Sparkplug B plants and Home Assistant homes | their nodes and devices |

mod fleet;
mod homes;
mod random;
mod w1;
mod w2;
mod w3;
mod w4;

pub use fleet::fleet;
pub use homes::homes;
pub use random::{Random, Zipf};
pub use w1::{stranger, w1};
pub use w2::w2;
pub use w3::w3;
pub use w4::w4;

/// Filters, and topics to ask for.
pub struct Workload {
    pub name: &'static str,
    /// Filter `n` has the value `n`. A text may occur several times: that filter has several values.
    pub filters: Texts,
    pub draws: Vec<Draw>,
}

/// Topics in the order in which they are published.
pub struct Draw {
    pub name: &'static str,
    pub topics: Texts,
}

/// Many short texts, one behind the other in memory.
#[derive(Default)]
pub struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, n: usize) -> &str {
        let start = if n == 0 { 0 } else { self.ends[n - 1] };
        &self.text[start..self.ends[n]]
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|n| self.get(n))
    }

    /// `count` of these texts in the order that `pick` gives.
    pub fn pick(&self, count: usize, mut pick: impl FnMut() -> usize) -> Self {
        let mut picked = Self::default();
        (0..count).for_each(|_| picked.push(self.get(pick())));
        picked
    }

    /// The same texts in another order.
    pub fn shuffled(&self, random: &mut Random) -> Self {
        let mut order: Vec<usize> = (0..self.len()).collect();
        random.shuffle(&mut order);
        let mut order = order.into_iter();
        self.pick(self.len(), || order.next().unwrap_or_default())
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}
