use super::{DecodeError, Problem, read::Reader};

/// The tag-length-value fields of a control frame, read in the order of their tags.
///
/// Tags rise strictly, so a field that is there twice is seen without remembering any, unknown ones included.
pub(super) struct Fields<'a> {
    reader: Reader<'a>,
    /// Names of the fields with the tags 1, 2, …
    names: &'static [&'static str],
    last: u64,
    /// The next field, if it has been read ahead: its tag and value.
    ahead: Option<(u64, Reader<'a>)>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(reader: Reader<'a>, names: &'static [&'static str]) -> Self {
        Self { reader, names, last: 0, ahead: None }
    }

    /// The name of a field and its value, which must be there.
    pub(super) fn required(&mut self, tag: u64) -> Result<(&'static str, Reader<'a>), DecodeError> {
        match self.optional(tag)? {
            Some(found) => Ok(found),
            None => Err(self.reader.error_at(self.reader.at(), self.name(tag), Problem::Missing { tag })),
        }
    }

    /// The name of a field and its value, if it is there. Unknown fields before it are passed over.
    pub(super) fn optional(&mut self, tag: u64) -> Result<Option<(&'static str, Reader<'a>)>, DecodeError> {
        loop {
            let (found, value) = match self.ahead.take() {
                Some(ahead) => ahead,
                None if self.reader.left() == 0 => return Ok(None),
                None => self.next()?,
            };
            if found == tag {
                return Ok(Some((self.name(tag), value)));
            }
            if found > tag {
                self.ahead = Some((found, value));
                return Ok(None);
            }
        }
    }

    /// Passes over the fields that are left.
    pub(super) fn finish(mut self) -> Result<(), DecodeError> {
        while self.reader.left() > 0 {
            self.next()?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<(u64, Reader<'a>), DecodeError> {
        let at = self.reader.at();
        let tag = self.reader.varint("tag")?;
        let name = self.name(tag);
        let problem = match tag {
            0 => Some(Problem::Value { value: 0 }),
            tag if tag == self.last => Some(Problem::Duplicate { tag }),
            tag if tag < self.last => Some(Problem::OutOfOrder { tag, after: self.last }),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(self.reader.error_at(at, name, problem));
        }
        self.last = tag;
        let length = self.reader.length(name, usize::MAX)?;
        Ok((tag, self.reader.part(name, length)?))
    }

    fn name(&self, tag: u64) -> &'static str {
        let index = usize::try_from(tag).ok().and_then(|tag| tag.checked_sub(1));
        index.and_then(|index| self.names.get(index)).copied().unwrap_or(if tag == 0 { "tag" } else { "unknown field" })
    }
}
