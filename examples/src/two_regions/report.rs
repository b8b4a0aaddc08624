use std::fmt::Write as _;

use super::Outcome;

/// The transcript, printed as it grows, and the table at its end.
#[derive(Default)]
pub struct Report {
    rows: Vec<(&'static str, Outcome)>,
    titles: usize,
}

impl Report {
    /// Begins a part.
    pub fn title(&mut self, title: &str) {
        self.titles += 1;
        println!("\n{}. {title}", self.titles);
    }

    /// Says what has happened.
    pub fn say(&mut self, line: impl AsRef<str>) {
        println!("   {}", line.as_ref());
    }

    /// Notes the outcome of a check.
    pub fn row(&mut self, name: &'static str, outcome: Outcome) {
        match &outcome {
            Ok(held) => println!("   OK: {held}"),
            Err(failed) => println!("   FAILED: {failed}"),
        }
        self.rows.push((name, outcome));
    }

    /// Prints the table; `true` if every check held.
    pub fn finish(&self) -> bool {
        print!("\n{}", self.table());
        let failed = self.rows.iter().filter(|(_, outcome)| outcome.is_err()).count();
        match failed {
            0 => println!("\nAll {} checks held.", self.rows.len()),
            _ => println!("\n{failed} of {} checks FAILED.", self.rows.len()),
        }
        failed == 0 && !self.rows.is_empty()
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut table = String::new();
        for (name, outcome) in &self.rows {
            let (mark, text) = match outcome {
                Ok(held) => ("ok    ", held.clone()),
                Err(failed) => ("FAILED", failed.to_string()),
            };
            // Writing to a string does not fail.
            let _ = writeln!(table, "{mark}  {name:width$}  {text}");
        }
        table
    }
}

/// A number with commas.
pub(super) fn commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::two_regions::Failed;

    #[test]
    fn one_failed_check_fails_the_report_and_so_does_none() {
        let mut report = Report::default();
        assert!(!report.finish());
        report.row("first", Ok("held".to_owned()));
        assert!(report.finish());
        report.row("the second", Err(Failed::Wrong("lost 3".to_owned())));
        assert!(!report.finish());
        assert_eq!(report.table(), "ok      first       held\nFAILED  the second  lost 3\n");
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(commas), ["0", "999", "1,000", "1,234,567"]);
    }
}
