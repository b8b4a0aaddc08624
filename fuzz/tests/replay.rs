//! The committed corpus, and some thousand made-up inputs, without libFuzzer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what its functions call as well")]

use std::{collections::BTreeSet, fs, path::Path};

fn replay(name: &str, target: fn(&[u8]), alphabet: &[&[u8]], rounds: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} has a corpus", folder.display());
    let corpus: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    corpus.iter().for_each(|input| target(input));

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..rounds {
        let words = random.below(40);
        target(&(0..words).flat_map(|_| alphabet[random.below(alphabet.len())]).copied().collect::<Vec<_>>());

        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(input.len() + 1);
            match random.below(3) {
                0 => input.truncate(at),
                1 => input.insert(at, random.below(256) as u8),
                _ => {
                    input.splice(at..at, alphabet[random.below(alphabet.len())].iter().copied());
                }
            }
        }
        target(&input);
    }
}

/// xorshift64: the same inputs in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

const TEXT: [&[u8]; 12] = [b"/", b"/", b"/", b"+", b"#", b"a", b"b", b"$", b"\n", b"\n", b"$share/g/", "é".as_bytes()];

#[test]
fn topic_match() {
    replay("topic_match", fuzz::topic_match, &TEXT, 4_000);
}

#[test]
fn filter_intersect() {
    replay("filter_intersect", fuzz::filter_intersect, &TEXT, 4_000);
}

#[test]
fn frame_decode() {
    let bytes: Vec<[u8; 1]> = (0..=255).map(|byte| [byte]).collect();
    let alphabet: Vec<&[u8]> = bytes.iter().map(|byte| byte.as_slice()).collect();
    replay("frame_decode", fuzz::frame_decode, &alphabet, 4_000);
}

#[test]
fn index_ops() {
    let lines: [&[u8]; 24] = [
        b"\n+1a/b",
        b"\n+2+/#",
        b"\n+3#",
        b"\n+1",
        b"\n-1",
        b"\n-2a/b",
        b"\n*6",
        b"\n*7a/N/+",
        b"\n*8N/b",
        b"\n%7a/N/+",
        b"\n%8N/b",
        b"\n=7a/+",
        b"\n_7a/+",
        b"\n!",
        b"\n!",
        b"\ns",
        b"\nx",
        b"\n?a/b",
        b"\n?",
        b"\n~a/+",
        b"\n~",
        b"\n.",
        b"N",
        b"0",
    ];
    replay("index_ops", fuzz::index_ops, &[&TEXT[..], &lines[..]].concat(), 400);
}

#[test]
fn sketch_decode() {
    let bytes: Vec<[u8; 1]> = (0..=255).map(|byte| [byte]).collect();
    let alphabet: Vec<&[u8]> = bytes.iter().map(|byte| byte.as_slice()).chain([&[0; 12][..], &[255; 12]]).collect();
    replay("sketch_decode", fuzz::sketch_decode, &alphabet, 1_000);
}

#[test]
fn node_inputs() {
    let bytes: Vec<[u8; 1]> = (0..=255).map(|byte| [byte]).collect();
    let alphabet: Vec<&[u8]> = bytes.iter().map(|byte| byte.as_slice()).collect();
    replay("node_inputs", |input| drop(fuzz::node_inputs(input)), &alphabet, 100);
}

/// Its corpus reaches every kind of event and of frame, and every reason to be thrown out but those below.
#[test]
fn the_corpus_of_node_inputs_reaches_everything() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/node_inputs");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let bytes: usize = files.iter().map(Vec::len).sum();
    assert!(files.len() < 200 && bytes < 300_000, "{} files of {bytes} bytes", files.len());
    let reached: BTreeSet<String> = files.iter().flat_map(|file| fuzz::node_inputs(file)).collect();
    let events = "Subscribe Unsubscribe Leave Move Publish Break Cut Partition Stall Throttle LoseFrame RepeatFrame \
        TruncateFrame Crash Stop Freeze Jump SlowHost Topics Disable Delete Misconfigure Reconcile Attack";
    let attacks = "Mute Stranger Noise Truncated Impostor Gap Flood AckUnsent WrongDigest TooManyRoutes \
        EndlessSnapshot Lives NotImported HelloTwice";
    // A siege has no frame over 16 MiB, and nobody who dials both ways under the smaller name.
    let codes = "Shutdown Restart Superseded Version SelfLink UnknownCluster Disabled WrongCluster Identity Malformed \
        Protocol Window TooManyRoutes Timeout";
    let words =
        |text: &'static str, before: &'static str| text.split_whitespace().map(move |word| format!("{before}{word}"));
    let expected = words(events, "")
        .chain(words(attacks, "Attack "))
        .chain(words("Kept Lost Old Torn", "Crash "))
        .chain(words("ByBoth ByFirst ByNobody", "Break "))
        .chain(words("1 2 3 4 16 17 18 19 32 33", "frame of kind "))
        .chain(words(codes, ""));
    let missing: Vec<_> = expected.filter(|name| !reached.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing; there is {reached:?}");
}
