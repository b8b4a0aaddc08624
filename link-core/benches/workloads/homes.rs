use super::{Draw, Random, Texts, Workload, Zipf};

const GROUPS: usize = 400;
const DEVICES: usize = 8;
const ROOMS: [&str; 10] = ["kitchen", "living", "bed", "bath", "hall", "garage", "office", "garden", "attic", "cellar"];
const SENSORS: [&str; 8] = ["temperature", "humidity", "power", "battery", "motion", "lux", "co2", "energy"];
const COMPONENTS: [(&str, &str); 5] =
    [("sensor", "state"), ("light", "set"), ("switch", "set"), ("climate", "mode/set"), ("cover", "set")];

/// Half of it plants that speak Sparkplug B, half of it homes that speak Home Assistant's dialect, on one broker.
///
/// An edge node subscribes to its commands and to those of its devices (`NCMD/node/#`, `DCMD/node/#`), to the state of
/// its host application and, one in four, to the data of a neighbour; a host application follows its group. A home's
/// devices subscribe to their own command topics, panels follow single sensors, and every hub follows the discovery
/// topics of its own home.
pub fn homes(filters: usize, topics: usize, seed: u64) -> Workload {
    let mut random = Random::new(seed);
    let mut all = Texts::default();
    let groups = Zipf::new(GROUPS, 0.8);
    let mut nodes = Vec::new();
    for group in 0..GROUPS {
        for kind in ["NBIRTH/+", "NDATA/+", "NDEATH/+", "DBIRTH/+/+", "DDATA/+/+", "DDEATH/+/+"] {
            all.push(&format!("spBv1.0/plant-{group:03}/{kind}"));
        }
    }
    ["spBv1.0/#", "homeassistant/#", "+/+/status"].iter().for_each(|historian| all.push(historian));
    while all.len() < filters / 2 {
        let (group, node) = (groups.draw(&mut random), nodes.len());
        all.push(&format!("spBv1.0/plant-{group:03}/NCMD/edge-{node:06}/#"));
        all.push(&format!("spBv1.0/plant-{group:03}/DCMD/edge-{node:06}/#"));
        all.push(&format!("spBv1.0/STATE/host-{group:03}"));
        if random.chance(0.25) && node > 0 {
            let other = random.below(node);
            let group: usize = nodes[other];
            all.push(&format!("spBv1.0/plant-{group:03}/DDATA/edge-{other:06}/dev-{}", random.below(DEVICES)));
        }
        nodes.push(group);
    }
    let mut homes = 0;
    while all.len() < filters {
        for room in &ROOMS[..3 + random.below(7)] {
            let (component, command) = COMPONENTS[random.below(COMPONENTS.len())];
            all.push(&format!("homeassistant/{component}/h{homes:06}_{room}/{command}"));
            all.push(&format!("homeassistant/sensor/h{homes:06}_{room}_{}/state", random.of(&SENSORS)));
        }
        all.push(&format!("homeassistant/+/h{homes:06}_hub/config"));
        all.push(&format!("homeassistant/device_automation/h{homes:06}_hub/+/config"));
        homes += 1;
    }
    let mut drawn = Texts::default();
    for _ in 0..topics {
        let text = match random.below(8) {
            0..3 => {
                let home = random.below(homes);
                format!("homeassistant/sensor/h{home:06}_{}_{}/state", random.of(&ROOMS), random.of(&SENSORS))
            }
            3 => {
                let (component, command) = COMPONENTS[1 + random.below(COMPONENTS.len() - 1)];
                format!("homeassistant/{component}/h{:06}_{}/{command}", random.below(homes), random.of(&ROOMS))
            }
            kind => {
                let node = random.below(nodes.len());
                let (group, device) = (nodes[node], random.below(DEVICES));
                match kind {
                    4 => format!("spBv1.0/plant-{group:03}/NDATA/edge-{node:06}"),
                    5 => format!("spBv1.0/plant-{group:03}/DCMD/edge-{node:06}/dev-{device}"),
                    _ => format!("spBv1.0/plant-{group:03}/DDATA/edge-{node:06}/dev-{device}"),
                }
            }
        };
        drawn.push(&text);
    }
    let count = filters;
    let shuffled = all.shuffled(&mut random);
    let filters = shuffled.iter().take(count).collect();
    Workload { name: "homes", filters, draws: vec![Draw { name: "homes", topics: drawn }] }
}
