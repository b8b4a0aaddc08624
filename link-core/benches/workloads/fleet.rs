use super::{Draw, Random, Texts, Workload, Zipf};

const BRANDS: [(&str, &[&str]); 8] = [
    ("volta", &["v40", "v60", "v90", "v40-estate", "v60-sport"]),
    ("norda", &["glimt", "storm", "dis"]),
    ("astrel", &["one", "two", "two-long", "three"]),
    ("kiwa", &["city", "cross", "van", "van-xl"]),
    ("montane", &["m1", "m3", "m5", "m7", "m9"]),
    ("ferrin", &["gt", "s"]),
    ("yaro", &["hatch", "sedan"]),
    ("brisk", &["cargo"]),
];
const REGIONS: [&str; 24] = [
    "eu-de", "us-ca", "cn-gd", "eu-fr", "us-tx", "eu-uk", "cn-sh", "eu-it", "us-ny", "eu-es", "jp-13", "us-fl",
    "eu-nl", "cn-bj", "eu-se", "eu-pl", "us-wa", "kr-11", "eu-no", "br-sp", "in-mh", "au-ns", "ca-on", "mx-mx",
];
/// What each vehicle subscribes to, and what is published to it.
const INBOX: [&str; 6] = ["cmd/lock", "cmd/climate", "cmd/charge", "cfg/set", "ota/offer", "route/push"];
/// What each vehicle publishes.
const OUTBOX: [&str; 5] = ["battery/soc", "battery/temp", "gps", "doors/state", "alert/tyre"];
/// What services subscribe to. A brand, a model and a region are filled in.
const SERVICES: [&str; 8] = [
    "B/+/R/+/alert/#",
    "B/M/R/+/battery/+",
    "B/M/+/+/ota/offer",
    "+/+/R/+/gps",
    "B/M/R/+/doors/state",
    "B/+/+/+/battery/soc",
    "B/M/R/+/#",
    "+/+/+/+/alert/tyre",
];

/// Vehicles as `brand/model/region/vin/...`: brands, models and regions are as skewed as those of real fleets. A
/// vehicle subscribes to its six inboxes; the owner's phone of every second one follows it by `.../vin/#`; one filter
/// in 20,000 is a service that watches many vehicles.
pub fn fleet(name: &'static str, filters: usize, topics: usize, seed: u64) -> Workload {
    let mut random = Random::new(seed);
    let mut vehicles = Vec::new();
    let mut all = Texts::default();
    let skew = Skew::new();
    while all.len() < filters {
        let vehicle = skew.vehicle(&mut random);
        let name = vehicle.name();
        INBOX.iter().for_each(|inbox| all.push(&format!("{name}/{inbox}")));
        if random.chance(0.5) {
            all.push(&format!("{name}/#"));
        }
        if random.chance(6.5 / 20_000.0) {
            let (brand, model, region, _) = skew.vehicle(&mut random).0;
            let service = random.of(&SERVICES).replace('B', brand).replace('M', model).replace('R', region);
            all.push(&service);
        }
        vehicles.push(vehicle);
    }
    let mut drawn = Texts::default();
    for _ in 0..topics {
        let ends: &[&str] = if random.chance(0.2) { &INBOX } else { &OUTBOX };
        drawn.push(&format!("{}/{}", vehicles[random.below(vehicles.len())].name(), random.of(ends)));
    }
    let count = filters;
    let shuffled = all.shuffled(&mut random);
    let filters = shuffled.iter().take(count).collect();
    Workload { name, filters, draws: vec![Draw { name, topics: drawn }] }
}

/// Brand, model, region, serial number.
struct Vehicle((&'static str, &'static str, &'static str, u64));

impl Vehicle {
    fn name(&self) -> String {
        let (brand, model, region, serial) = self.0;
        format!("{brand}/{model}/{region}/W{:02}ZZZ{model:.2}{serial:09}", brand.len() * 7)
    }
}

struct Skew {
    brands: Zipf,
    models: Zipf,
    regions: Zipf,
}

impl Skew {
    fn new() -> Self {
        Self { brands: Zipf::new(BRANDS.len(), 1.0), models: Zipf::new(5, 1.0), regions: Zipf::new(REGIONS.len(), 1.0) }
    }

    fn vehicle(&self, random: &mut Random) -> Vehicle {
        let (brand, models) = BRANDS[self.brands.draw(random)];
        let model = models[self.models.draw(random) % models.len()];
        Vehicle((brand, model, REGIONS[self.regions.draw(random)], random.below(1_000_000_000) as u64))
    }
}
