/// A stack that allocates only when it grows beyond `N`.
pub(super) struct Stack<T, const N: usize> {
    inline: [Option<T>; N],
    len: usize,
    /// What is above the inline part; empty unless that is full.
    spilled: Vec<T>,
}

impl<T: Copy, const N: usize> Stack<T, N> {
    pub(super) fn new() -> Self {
        Self { inline: [None; N], len: 0, spilled: Vec::new() }
    }

    pub(super) fn push(&mut self, item: T) {
        match self.inline.get_mut(self.len) {
            Some(place) => {
                *place = Some(item);
                self.len += 1;
            }
            None => self.spilled.push(item),
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.spilled.pop().or_else(|| {
            self.len = self.len.checked_sub(1)?;
            self.inline[self.len]
        })
    }
}
