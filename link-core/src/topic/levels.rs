use std::iter::FusedIterator;

/// The levels of a topic name or topic filter, in order. Never empty; a level may be.
#[derive(Debug, Clone)]
pub struct Levels<'a> {
    rest: Option<&'a str>,
}

impl<'a> Levels<'a> {
    /// The levels of any text.
    pub fn new(text: &'a str) -> Self {
        Self { rest: Some(text) }
    }

    /// What follows the levels taken so far, without the `/` between; `None` at the end.
    pub fn rest(&self) -> Option<&'a str> {
        self.rest
    }
}

impl<'a> Iterator for Levels<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        match rest.bytes().position(|byte| byte == b'/') {
            Some(at) => {
                self.rest = Some(&rest[at + 1..]);
                Some(&rest[..at])
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }
}

impl FusedIterator for Levels<'_> {}
