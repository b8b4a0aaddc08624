//! The tasks of one connection: one reader, one writer per class.

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, timeout},
};

use crate::{
    node::{ConnectionId, Input},
    transport::{Class, Connection, Datagrams, FrameReceiver, FrameSender},
};

/// Longest time that the last control frames of a closing connection may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// The event loop's hold on a connection. Dropping it ends the tasks at once.
pub(super) struct ConnectionTasks {
    // Unbounded in type only: the node counts what is queued, by `Input::Sent`.
    control: mpsc::UnboundedSender<Bytes>,
    data: Vec<mpsc::UnboundedSender<Bytes>>,
    datagrams: Option<mpsc::UnboundedSender<Bytes>>,
    control_task: JoinSet<()>,
    other_tasks: JoinSet<()>,
}

impl ConnectionTasks {
    pub(super) fn spawn(id: ConnectionId, connection: Connection, inputs: &mpsc::Sender<Input>) -> Self {
        let Connection { identity: _, control: mut sender, data: senders, datagrams, receiver, max_frame: _ } =
            connection;
        let mut other_tasks = JoinSet::new();
        other_tasks.spawn(read(id, receiver, inputs.clone()));
        let mut data = Vec::with_capacity(senders.len());
        for (channel, mut sender) in (0..).zip(senders) {
            let (queue, frames) = mpsc::unbounded_channel();
            data.push(queue);
            let inputs = inputs.clone();
            other_tasks.spawn(async move { write(id, Class::Data(channel), sender.as_mut(), frames, &inputs).await });
        }
        let datagrams = datagrams.map(|Datagrams { mut sender, .. }| {
            let (queue, frames) = mpsc::unbounded_channel();
            let inputs = inputs.clone();
            other_tasks.spawn(async move { write(id, Class::Datagram, sender.as_mut(), frames, &inputs).await });
            queue
        });
        let (control, frames) = mpsc::unbounded_channel();
        let mut control_task = JoinSet::new();
        let inputs = inputs.clone();
        control_task.spawn(async move {
            write(id, Class::Control, sender.as_mut(), frames, &inputs).await;
            sender.close().await;
        });
        Self { control, data, datagrams, control_task, other_tasks }
    }

    pub(super) fn transmit(&self, class: Class, frame: Bytes) {
        let queue = match class {
            Class::Control => Some(&self.control),
            Class::Datagram => self.datagrams.as_ref(),
            Class::Data(channel) => self.data.get(usize::from(channel) % self.data.len().max(1)),
        };
        // A writer that has ended has reported the loss of the connection.
        let _ = queue.map(|queue| queue.send(frame));
    }

    /// Lets the control frames out, then closes, within a bounded time.
    pub(super) fn close(self) -> impl Future<Output = ()> + Send + 'static {
        let Self { control, data, datagrams, mut control_task, other_tasks } = self;
        drop(control);
        async move {
            let _ = timeout(CLOSE_PATIENCE, control_task.join_next()).await;
            drop((data, datagrams, other_tasks));
        }
    }
}

async fn read(id: ConnectionId, mut receiver: Box<dyn FrameReceiver>, inputs: mpsc::Sender<Input>) {
    loop {
        let input = match receiver.recv().await {
            Ok((_, frame)) => Input::Frame { connection: id, frame },
            Err(error) => Input::Lost { connection: id, reason: error.to_string() },
        };
        let lost = matches!(input, Input::Lost { .. });
        if inputs.send(input).await.is_err() || lost {
            return;
        }
    }
}

async fn write(
    id: ConnectionId,
    class: Class,
    sender: &mut dyn FrameSender,
    mut frames: mpsc::UnboundedReceiver<Bytes>,
    inputs: &mpsc::Sender<Input>,
) {
    while let Some(frame) = frames.recv().await {
        let bytes = frame.len();
        let input = match sender.send(frame).await {
            Ok(()) => Input::Sent { connection: id, class, bytes },
            Err(error) => Input::Lost { connection: id, reason: error.to_string() },
        };
        let lost = matches!(input, Input::Lost { .. });
        // Nobody listens any more where the loop has ended; the frames that it left, CLOSE last, still go out.
        let _ = inputs.send(input).await;
        if lost {
            return;
        }
    }
}
