/// The values that were found for one topic or for several: a buffer to be used again and again.
///
/// It allocates only while it grows to the largest result that it has held.
#[derive(Debug, Clone)]
pub struct Matches<V> {
    values: Vec<V>,
    /// Where the values of each topic end.
    ends: Vec<usize>,
}

impl<V> Matches<V> {
    /// Room for nothing yet.
    pub const fn new() -> Self {
        Self { values: Vec::new(), ends: Vec::new() }
    }

    /// The values of all topics, one topic after the other.
    pub fn as_slice(&self) -> &[V] {
        &self.values
    }

    /// The values of one of several topics, by its place among them; none if there is no such topic.
    pub fn of(&self, topic: usize) -> &[V] {
        let start = topic.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        start.zip(self.ends.get(topic)).and_then(|(start, &end)| self.values.get(start..end)).unwrap_or_default()
    }

    /// The values of each topic.
    pub fn iter(&self) -> impl Iterator<Item = &[V]> {
        (0..self.ends.len()).map(|topic| self.of(topic))
    }

    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.ends.len()
    }

    /// Number of values, of all topics together.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets the values and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
    }
}

/// Where a search puts what it finds.
pub(super) trait Sink<V> {
    /// Takes the values of a filter, or some of them. Whether it wants more.
    fn values(&mut self, values: &[V]) -> bool;

    /// What comes now is for the next topic.
    #[inline]
    fn end_topic(&mut self) {}
}

impl<V: Copy> Sink<V> for Matches<V> {
    #[inline]
    fn values(&mut self, values: &[V]) -> bool {
        match values {
            &[value] => self.values.push(value),
            values => self.values.extend_from_slice(values),
        }
        true
    }

    #[inline]
    fn end_topic(&mut self) {
        self.ends.push(self.values.len());
    }
}

/// Calls a function with all values.
pub(super) struct Each<F>(pub(super) F);

impl<V, F: FnMut(&[V])> Sink<V> for Each<F> {
    #[inline]
    fn values(&mut self, values: &[V]) -> bool {
        (self.0)(values);
        true
    }
}

/// Notes whether there was any value, and wants no more.
pub(super) struct First(pub(super) bool);

impl<V> Sink<V> for First {
    #[inline]
    fn values(&mut self, _: &[V]) -> bool {
        self.0 = true;
        false
    }
}

impl<V> Default for Matches<V> {
    fn default() -> Self {
        Self::new()
    }
}
