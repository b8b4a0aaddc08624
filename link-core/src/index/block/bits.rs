//! Rows of bits.

/// A table of bits: rows of whole words, and columns that can be put in and taken out.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    /// Words of a row: 1, 2, or a multiple of 4.
    words: usize,
    bits: Vec<u64>,
}

impl Bits {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        let words = words(columns);
        Self { words, bits: vec![0; rows * words] }
    }

    pub(super) fn from_words(words: usize, bits: Vec<u64>) -> Self {
        Self { words, bits }
    }

    /// All words, row by row.
    pub(super) fn all(&self) -> &[u64] {
        &self.bits
    }

    #[inline]
    pub(super) fn words(&self) -> usize {
        self.words
    }

    pub(super) fn rows(&self) -> usize {
        self.bits.len() / self.words
    }

    #[inline]
    pub(super) fn row(&self, row: usize) -> &[u64] {
        &self.bits[row * self.words..(row + 1) * self.words]
    }

    #[inline]
    pub(super) fn set(&mut self, row: usize, column: usize) {
        self.bits[row * self.words + column / 64] |= 1 << (column % 64);
    }

    pub(super) fn clear(&mut self, row: usize, column: usize) {
        self.bits[row * self.words + column / 64] &= !(1 << (column % 64));
    }

    /// Adds a row, the same as another one.
    pub(super) fn push_copy(&mut self, row: usize) -> usize {
        self.bits.extend_from_within(row * self.words..(row + 1) * self.words);
        self.rows() - 1
    }

    /// Takes a row out; the last one gets its place.
    pub(super) fn swap_remove(&mut self, row: usize) {
        let last = (self.rows() - 1) * self.words;
        self.bits.copy_within(last.., row * self.words);
        self.bits.truncate(last);
    }

    /// Puts in a column of zeros, of `columns` afterwards.
    pub(super) fn insert_column(&mut self, column: usize, columns: usize) {
        self.resize(columns);
        for row in self.bits.chunks_exact_mut(self.words) {
            let (word, bit) = (column / 64, column % 64);
            let below = (1 << bit) - 1;
            let mut carry = row[word] >> 63;
            row[word] = row[word] & below | (row[word] & !below) << 1;
            for word in &mut row[word + 1..] {
                let next = *word >> 63;
                *word = *word << 1 | carry;
                carry = next;
            }
        }
    }

    /// Takes a column out, which leaves `columns`.
    pub(super) fn remove_column(&mut self, column: usize, columns: usize) {
        for row in self.bits.chunks_exact_mut(self.words) {
            let (word, bit) = (column / 64, column % 64);
            let mut carry = 0;
            for word in row[word + 1..].iter_mut().rev() {
                let next = *word & 1;
                *word = *word >> 1 | carry << 63;
                carry = next;
            }
            let below = (1_u64 << bit) - 1;
            row[word] = row[word] & below | row[word] >> 1 & !below | carry << 63;
        }
        self.resize(columns);
    }

    fn resize(&mut self, columns: usize) {
        let words = words(columns);
        if words == self.words {
            return;
        }
        let mut bits = vec![0; self.rows() * words];
        for (new, old) in bits.chunks_exact_mut(words).zip(self.bits.chunks_exact(self.words)) {
            let same = words.min(self.words);
            new[..same].copy_from_slice(&old[..same]);
        }
        *self = Self { words, bits };
    }
}

fn words(columns: usize) -> usize {
    match columns.div_ceil(64) {
        few @ 0..=2 => few.max(1),
        many => many.next_multiple_of(4),
    }
}

/// The bit of a column, in one word of a row.
#[inline]
pub(super) fn bit(word: usize, column: usize) -> u64 {
    if column / 64 == word { 1 << (column % 64) } else { 0 }
}

/// The columns whose bits are set.
pub(super) fn ones(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(word, &bits)| {
        std::iter::successors(Some(bits), |bits| bits.checked_sub(1).map(|below| bits & below))
            .take_while(|&bits| bits != 0)
            .map(move |bits| word * 64 + bits.trailing_zeros() as usize)
    })
}

/// How many bits before a column are set.
pub(super) fn rank(words: &[u64], column: usize) -> usize {
    let before: u32 = words[..column / 64].iter().map(|word| word.count_ones()).sum();
    (before + (words[column / 64] & !(u64::MAX << (column % 64))).count_ones()) as usize
}
