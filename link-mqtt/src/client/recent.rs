use std::collections::VecDeque;

/// The ids of the last packets that came in, by which a repetition is known.
///
/// A broker may send a packet again on the same connection when its acknowledgement is late. Acknowledgements leave in
/// the order of arrival, so between a packet and its repetition come fewer new ones than Receive Maximum.
#[derive(Debug)]
pub(super) struct Recent {
    ids: VecDeque<u16>,
    most: usize,
}

impl Recent {
    pub(super) fn new(receive_maximum: u16) -> Self {
        Self { ids: VecDeque::new(), most: receive_maximum.max(1).into() }
    }

    /// Notes a packet; tells whether it is a new one. The flag alone proves nothing, nor does the id: ids come round.
    pub(super) fn is_new(&mut self, id: u16, dup: bool) -> bool {
        if dup && self.ids.contains(&id) {
            return false;
        }
        if self.ids.len() == self.most {
            self.ids.pop_front();
        }
        self.ids.push_back(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_a_recent_id_with_the_flag() {
        let mut recent = Recent::new(3);
        assert!(recent.is_new(1, false) && recent.is_new(2, false) && recent.is_new(3, true));
        for id in 1..=3 {
            assert!(!recent.is_new(id, true));
        }
        assert!(recent.is_new(1, false), "an id that is used anew");
        assert!(!recent.is_new(2, true) && recent.is_new(4, false));
        assert!(recent.is_new(2, true), "too long ago");
    }

    #[test]
    fn it_remembers_no_more_than_it_must() {
        let mut recent = Recent::new(8);
        for id in 0..1_000 {
            assert!(recent.is_new(id, false));
            assert!(recent.ids.len() <= 8);
        }
    }
}
