use super::*;

fn estimator(ids: &[RouteId]) -> Estimator {
    let mut estimator = Estimator::new();
    ids.iter().for_each(|id| estimator.enter(*id));
    estimator
}

/// The same sets differ in nothing; beyond, the errors of `seeds` sets as a share of the truth.
#[test]
fn errors() {
    let (same, again) = (estimator(&ids(1, 500)), estimator(&ids(1, 500)));
    assert_eq!(same.estimate(&again), 0);
    let mut sizes = vec![(100, 100), (1_000, 100), (10_000, 30)];
    if !cfg!(debug_assertions) {
        sizes = vec![(100, 2_000), (1_000, 2_000), (10_000, 1_000), (100_000, 200), (1_000_000, 20)];
    }
    for (differences, seeds) in sizes {
        let shares = (0..seeds).map(|seed| {
            // Half of it is here, half there, and as much is in both.
            let (ids, both) = (ids(seed << 20, differences), ids(seed << 20 | 1, differences));
            let (here, there) = ids.split_at(differences / 2);
            let [here, there] = [here, there].map(|ids| estimator(&[ids, &both].concat()));
            here.estimate(&there) as f64 / differences as f64
        });
        let shares: Vec<_> = shares.collect();
        let of = |each: &dyn Fn(f64) -> f64| shares.iter().copied().map(each).sum::<f64>() / shares.len() as f64;
        let (mean, rms) = (of(&|share| share), of(&|share| (share - 1.0).powi(2)).sqrt());
        let least = shares.iter().copied().fold(f64::MAX, f64::min);
        let most = shares.iter().copied().fold(0.0, f64::max);
        println!("{differences}: mean {mean:.3} rms {rms:.3}, {least:.2} to {most:.2}");
        assert!((mean - 1.0).abs() < 0.02 && rms < 0.035, "{differences}: mean {mean:.3} rms {rms:.3}");
        assert!(least > 0.85 && most < 1.15, "{differences}: {least:.2} to {most:.2}");
    }
}

/// With more than a sketch has cells for, the sums turn over: it does not say that there are few.
#[test]
fn millions() {
    let none = Estimator::new();
    for differences in [3_000_000, 12_000_000] {
        let estimate = estimator(&ids(3, differences)).estimate(&none);
        assert!(estimate > 2_900_000, "{differences}: {estimate}");
    }
}

#[test]
fn bytes_of_estimators() {
    let one = estimator(&ids(1, 1_000));
    let bytes = one.to_bytes();
    assert_eq!((bytes.len(), Estimator::BYTES), (4_096, 4_096));
    let again = Estimator::from_bytes(&bytes).unwrap();
    assert_eq!((again.to_bytes(), again.estimate(&one)), (bytes.clone(), 0));
    let fault = SketchFault::Length { bytes: 4_095, expected: 4_096 };
    assert_eq!(Estimator::from_bytes(&bytes[1..]).unwrap_err(), fault);
}

/// Whatever has come and gone, it is as one that is built anew.
#[test]
fn what_leaves_leaves_nothing() {
    let (stays, goes) = (ids(1, 1_000), ids(2, 100_000));
    let mut one = estimator(&stays);
    goes.iter().for_each(|id| one.enter(*id));
    goes.iter().rev().for_each(|id| one.leave(*id));
    assert_eq!(one, estimator(&stays));
}

/// Whatever the bytes, an answer, and no larger one than the sums can say.
#[test]
fn any_bytes() {
    let none = Estimator::new();
    for seed in 0..50 {
        let bytes: Vec<_> = ids(seed, Estimator::BYTES / 8).iter().flat_map(|id| id.0.to_be_bytes()).collect();
        assert!(Estimator::from_bytes(&bytes).unwrap().estimate(&none) <= 64 << 20);
    }
    assert_eq!(Estimator::from_bytes(&[128; Estimator::BYTES]).unwrap().estimate(&none), 64 << 20);
}
