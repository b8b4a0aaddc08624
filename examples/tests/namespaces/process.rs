//! A `region` process in its namespace.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use emulator::Namespace;
use examples::two_regions::Certificates;

/// Longest wait for an answer of the process.
const PATIENCE: Duration = Duration::from_secs(20);
const PORT: u16 = 1883;

/// Ends with the value: killed, if it has not ended.
pub struct Process {
    child: Child,
    talk: Mutex<(ChildStdin, mpsc::Receiver<String>)>,
}

impl Process {
    /// Starts the region `name`; it dials `peer`'s region if that is given an address. With certificates the link runs over
    /// QUIC.
    pub fn start(
        namespace: &Namespace,
        name: &str,
        peer: &str,
        dial: Option<SocketAddr>,
        certificates: Option<&Certificates>,
    ) -> Self {
        let address = SocketAddr::from((namespace.address(), PORT));
        let mut command = namespace.command(env!("CARGO_BIN_EXE_region"));
        command.args(["--name", name, "--peer", peer, "--listen", &address.to_string()]);
        command.args(["--heartbeat", "1000", "--keep-alive", "5", "--retry", "1000"]);
        let mut scheme = "mqtt";
        if let Some(certificates) = certificates {
            scheme = "quic";
            command.args(["--transport", scheme, "--certificates"]).arg(certificates.folder());
        }
        if let Some(server) = dial {
            command.args(["--dial", &format!("{scheme}://{server}")]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (lines, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let line = answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!(line, format!("listening {address}"));
        Self { child, talk: Mutex::new((input, answers)) }
    }

    pub fn ask(&self, question: &str) -> String {
        let talk = &mut *self.talk.lock().unwrap();
        writeln!(talk.0, "{question}").unwrap();
        talk.1.recv_timeout(PATIENCE).expect("the region answers")
    }

    /// Waits until its link is in this state; gives the state with its reason.
    pub fn until(&self, state: &str, within: Duration) -> String {
        let begin = Instant::now();
        loop {
            let status = self.ask("status");
            if status.split_once(':').is_some_and(|(now, _)| now == state) {
                return status;
            }
            assert!(begin.elapsed() < within, "not {state} within {within:?}: {status}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Panics unless the link has no connection: it is down, or an attempt to bring it up again is under way.
    pub fn assert_away(&self) {
        let status = self.ask("status");
        assert!(status.starts_with("down:") || status.starts_with("connecting:"), "{status}");
    }

    /// Waits until the peer wants messages of `topic`.
    pub fn until_wanted(&self, topic: &str) {
        let begin = Instant::now();
        while self.ask(&format!("wants {topic}")) != "true" {
            assert!(begin.elapsed() < PATIENCE, "{topic} is not wanted within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as SIGKILL does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error says that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
