//! A bridge between two Mosquitto brokers over the same loopback, where Debian's mosquitto is installed.
//!
//! QoS 0 and 1 only: of 2,000 messages of QoS 2 this pair of broker and client delivers a few less, so that there is no
//! rate to compare.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{Failure, Figure, PATIENCE, e2e, median};
use crate::client::{Client, Login, QoS};

/// Messages a second of a Mosquitto bridge between the same clients, or `None` where no mosquitto is installed.
///
/// # Errors
/// If a broker does not start, or messages do not arrive.
pub async fn forward(count: usize, rounds: usize) -> Result<Option<Vec<Figure>>, Failure> {
    let Some(program) =
        ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().find(|path| fs::exists(path).is_ok_and(|is| is))
    else {
        return Ok(None);
    };
    let folder = std::env::temp_dir().join(format!("link-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (near, far) = (free_port()?, free_port()?);
    let common = "allow_anonymous true\nmax_queued_messages 1000000\npersistence false\nuser root\n";
    let _far = start(program, folder.join("far.conf"), &format!("listener {} 127.0.0.1\n{common}", far.port())).await?;
    wait_for(far).await?;
    let bridge = format!(
        "listener {} 127.0.0.1\n{common}connection bridge\naddress {far}\ntopic # out 2\nbridge_protocol_version mqttv50\n",
        near.port()
    );
    let _near = start(program, folder.join("near.conf"), &bridge).await?;
    wait_for(near).await?;
    let publisher = Client::connect(Login::new(near, "publisher", "", "")).await?;
    let subscriber = Client::connect(Login::new(far, "subscriber", "", "")).await?;
    subscriber.subscribe("linked/+", QoS::ExactlyOnce).await?;
    sleep(Duration::from_secs(1)).await;
    let mut figures = Vec::new();
    for (number, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce].into_iter().enumerate() {
        let mut rates = Vec::new();
        for _ in 0..rounds {
            rates.push(e2e::rate(&publisher, &subscriber, "linked/1", qos, count).await?);
        }
        figures.push(Figure::new(format!("mosquitto_bridge.qos{number}.rate"), median(&mut rates), "msg/s"));
    }
    let _ = fs::remove_dir_all(folder);
    Ok(Some(figures))
}

async fn start(program: &str, file: PathBuf, config: &str) -> Result<Child, Failure> {
    fs::write(&file, config)?;
    Ok(Command::new(program)
        .arg("-c")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?)
}

fn free_port() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn wait_for(address: SocketAddr) -> Result<(), Failure> {
    let connected = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    Ok(timeout(PATIENCE, connected).await?)
}
