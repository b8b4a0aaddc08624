//! The receiving half of a connection: a task for each stream, and what they have read.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use link_core::transport::{Class, ConnectionError, FrameReceiver};
use quinn::{Connection, RecvStream, VarInt};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinSet,
};

use crate::{
    error::{lost, read_error},
    preface::Preface,
    record::{CHANNEL, DETACHED, LARGE, LENGTH},
    send::Sending,
    settings::{self, QuicSettings},
};

/// Frames of control, and of each data channel, that are read ahead.
const CONTROL_AHEAD: usize = 16;
const AHEAD: usize = 1;
/// Most bytes of the first control frame, HELLO: who speaks is not known before it.
const FIRST_FRAME: usize = 1 << 20;

/// A frame, and the room that it takes until it is given out.
type Frame = (Bytes, Option<OwnedSemaphorePermit>);

/// What has been read, in the order of its class.
pub(crate) struct Receiver {
    connection: Connection,
    control: mpsc::Receiver<Result<Frame, ConnectionError>>,
    data: mpsc::Receiver<(Class, Frame)>,
    fault: Arc<OnceLock<ConnectionError>>,
    // Dropping them ends the reading.
    _tasks: JoinSet<()>,
}

/// Whether the acceptor has answered the preface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    HasCome,
    /// It is the first that comes on the control stream.
    Comes,
}

/// What the tasks of one connection share.
struct Reading {
    connection: Connection,
    data: mpsc::Sender<(Class, Frame)>,
    /// Room for frames of data, and for those of control, that are read or wait to be given out. It is taken for a whole
    /// frame, by its length, in the order in which they begin.
    ///
    /// Data has room for what the window of the connection holds, and twice a frame of the largest kind: those whose end
    /// waits for credit are no more (`Sending::large`, `Sending::is_large`). So each frame of a peer that keeps the rules
    /// can come to its end, whatever the others wait for.
    room: Arc<Semaphore>,
    control_room: Arc<Semaphore>,
    /// Whether the peer has opened each of its channels.
    opened: Mutex<Vec<bool>>,
    max_frame: usize,
    large: Mutex<Large>,
    /// Streams of large frames that are being read.
    detached: AtomicUsize,
    /// Why this side ended the connection.
    fault: Arc<OnceLock<ConnectionError>>,
}

/// Large frames of which the stream or the mark has come, by the id of the stream.
#[derive(Default)]
struct Large {
    streams: HashMap<u64, RecvStream>,
    awaited: HashMap<u64, oneshot::Sender<RecvStream>>,
}

impl Receiver {
    pub(crate) fn new(
        sending: Arc<Sending>,
        control: RecvStream,
        channels: u16,
        settings: &QuicSettings,
        answer: Answer,
    ) -> Self {
        let connection = sending.connection.clone();
        let max_frame = settings.max_frame as usize;
        let room = (settings.connection_window as usize).saturating_add(2 * max_frame).min(Semaphore::MAX_PERMITS);
        let (control_queue, control_frames) = mpsc::channel(CONTROL_AHEAD);
        let (data, frames) = mpsc::channel(usize::from(channels) * AHEAD);
        let fault = Arc::new(OnceLock::new());
        let reading = Arc::new(Reading {
            connection: connection.clone(),
            data,
            room: Arc::new(Semaphore::new(room)),
            control_room: Arc::new(Semaphore::new(max_frame)),
            opened: Mutex::new(vec![false; channels.into()]),
            max_frame,
            large: Mutex::default(),
            detached: AtomicUsize::new(0),
            fault: fault.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(read_control(reading.clone(), control, control_queue, answer, sending));
        tasks.spawn(read_datagrams(reading.clone()));
        tasks.spawn(accept_streams(reading));
        Self { connection, control: control_frames, data: frames, fault, _tasks: tasks }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0), b"closed");
    }
}

#[async_trait]
impl FrameReceiver for Receiver {
    async fn recv(&mut self) -> Result<(Class, Bytes), ConnectionError> {
        // Why the peer closes is in its last control frame: that is given out, whatever came of the data. With the
        // connection both end.
        tokio::select! {
            biased;
            frame = self.control.recv() => match frame {
                Some(Ok((frame, _room))) => Ok((Class::Control, frame)),
                Some(Err(error)) => Err(self.fault.get().cloned().unwrap_or(error)),
                None => Err(ConnectionError::Closed("this side closed the connection".to_owned())),
            },
            Some((class, (frame, _room))) = self.data.recv() => Ok((class, frame)),
        }
    }
}

async fn read_control(
    reading: Arc<Reading>,
    mut stream: RecvStream,
    frames: mpsc::Sender<Result<Frame, ConnectionError>>,
    answer: Answer,
    sending: Arc<Sending>,
) {
    if answer == Answer::Comes
        && let Err(error) = read_answer(&mut stream, &sending).await
    {
        reading.end(&error);
        let _ = frames.send(Err(error)).await;
        return;
    }
    let mut limit = reading.max_frame.min(FIRST_FRAME);
    loop {
        let frame = read_control_record(&mut stream, &reading, limit).await;
        limit = reading.max_frame;
        let is_last = frame.is_err();
        if let Err(error) = &frame {
            reading.end(error);
        }
        if frames.send(frame).await.is_err() || is_last {
            return;
        }
    }
}

/// The acceptor's preface, behind which its first frame comes.
async fn read_answer(stream: &mut RecvStream, sending: &Sending) -> Result<(), ConnectionError> {
    let mut answer = [0; Preface::SIZE];
    stream.read_exact(&mut answer).await.map_err(read_error)?;
    let answer = Preface::decode(answer).map_err(|error| broken(error.to_string()))?;
    sending.max_frame.store(answer.max_frame as usize, Ordering::Relaxed);
    Ok(())
}

/// Takes datagrams as long as somebody takes them from here: what comes meanwhile waits in quinn, and the oldest are lost.
async fn read_datagrams(reading: Arc<Reading>) {
    while let Ok(frame) = reading.connection.read_datagram().await {
        if reading.data.send((Class::Datagram, (frame, None))).await.is_err() {
            return;
        }
    }
}

/// Takes the streams that the peer opens, each with a task of its own: what is lost of one delays no other.
async fn accept_streams(reading: Arc<Reading>) {
    let mut tasks = JoinSet::new();
    let error = loop {
        tokio::select! {
            // In this order: no more tasks end than have begun, and a simulated run can be repeated.
            biased;
            Some(read) = tasks.join_next() => match read {
                Ok(Err(error)) => break error,
                _ => continue,
            },
            stream = reading.connection.accept_uni() => match stream {
                Ok(stream) => tasks.spawn(read_stream(reading.clone(), stream)),
                Err(error) => break lost(error),
            },
        };
    };
    reading.end(&error);
}

async fn read_stream(reading: Arc<Reading>, mut stream: RecvStream) -> Result<(), ConnectionError> {
    let mut kind = [0];
    stream.read_exact(&mut kind).await.map_err(read_error)?;
    match kind {
        [CHANNEL] => {
            let mut channel = [0; 2];
            stream.read_exact(&mut channel).await.map_err(read_error)?;
            let channel = u16::from_be_bytes(channel);
            reading.open(channel)?;
            read_channel(&reading, channel, stream).await
        }
        [LARGE] => reading.has_come(stream),
        [other] => Err(broken(format!("a stream begins with {other:#04x}"))),
    }
}

async fn read_channel(reading: &Reading, channel: u16, mut stream: RecvStream) -> Result<(), ConnectionError> {
    loop {
        let frame = read_record(&mut stream, reading).await?;
        if reading.data.send((Class::Data(channel), frame)).await.is_err() {
            return Ok(());
        }
    }
}

/// The next frame of the control stream.
async fn read_control_record(
    stream: &mut RecvStream,
    reading: &Reading,
    limit: usize,
) -> Result<Frame, ConnectionError> {
    let (size, is_detached) = read_length(stream, limit).await?;
    if is_detached {
        return Err(broken("a control frame is on a stream of its own".to_owned()));
    }
    let room = take(&reading.control_room, size).await?;
    Ok((read_frame(stream, size).await?, Some(room)))
}

/// The next frame of a channel.
async fn read_record(stream: &mut RecvStream, reading: &Reading) -> Result<Frame, ConnectionError> {
    let (size, is_detached) = read_length(stream, reading.max_frame).await?;
    if !is_detached {
        let room = take(&reading.room, size).await?;
        return Ok((read_frame(stream, size).await?, Some(room)));
    }
    let mut id = [0; size_of::<u64>()];
    stream.read_exact(&mut id).await.map_err(read_error)?;
    let mut large = reading.wait_for(u64::from_be_bytes(id)).await?;
    let room = take(&reading.room, size).await?;
    let frame = read_frame(&mut large, size).await;
    // Before the stream is dropped: only then the peer may open another one.
    reading.detached.fetch_sub(1, Ordering::Relaxed);
    Ok((frame?, Some(room)))
}

/// The length of a frame, and whether it is on a stream of its own. Nothing is set aside before it has been checked.
async fn read_length(stream: &mut RecvStream, limit: usize) -> Result<(usize, bool), ConnectionError> {
    let mut length = [0; LENGTH];
    stream.read_exact(&mut length).await.map_err(read_error)?;
    let length = u32::from_be_bytes(length);
    let size = (length & !DETACHED) as usize;
    if size > limit {
        return Err(ConnectionError::TooLarge { size, limit });
    }
    Ok((size, length & DETACHED != 0))
}

/// Waits for room for a frame.
async fn take(room: &Arc<Semaphore>, size: usize) -> Result<OwnedSemaphorePermit, ConnectionError> {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    room.clone().acquire_many_owned(size).await.map_err(|error| ConnectionError::Lost(error.to_string()))
}

/// Reads a frame as it comes in: memory grows with what is there, not with what was said to come.
async fn read_frame(stream: &mut RecvStream, size: usize) -> Result<Bytes, ConnectionError> {
    let mut frame = bytes::BytesMut::with_capacity(size.min(AT_ONCE));
    while frame.len() < size {
        let at = frame.len();
        frame.resize(at + (size - at).min(AT_ONCE), 0);
        stream.read_exact(&mut frame[at..]).await.map_err(read_error)?;
    }
    Ok(frame.freeze())
}

const AT_ONCE: usize = 64 << 10;

impl Reading {
    /// Ends the connection, unless it has ended.
    fn end(&self, error: &ConnectionError) {
        if self.fault.set(error.clone()).is_ok() {
            self.connection.close(VarInt::from_u32(1), error.to_string().as_bytes());
        }
    }

    fn open(&self, channel: u16) -> Result<(), ConnectionError> {
        let was_opened = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.get_mut(usize::from(channel)).map(|opened| std::mem::replace(opened, true))
        };
        match was_opened {
            Some(false) => Ok(()),
            Some(true) => Err(broken(format!("channel {channel} was opened twice"))),
            None => Err(broken(format!("there is no channel {channel}"))),
        }
    }

    fn large(&self) -> std::sync::MutexGuard<'_, Large> {
        // A panic elsewhere leaves the tables whole: each call changes them in one step.
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream of a large frame has come.
    fn has_come(&self, stream: RecvStream) -> Result<(), ConnectionError> {
        if self.detached.fetch_add(1, Ordering::Relaxed) >= settings::DETACHED as usize {
            return Err(broken("more large frames are under way than allowed".to_owned()));
        }
        let id = u64::from(stream.id());
        let mut large = self.large();
        match large.awaited.remove(&id) {
            Some(waits) => {
                let _ = waits.send(stream);
            }
            None => {
                large.streams.insert(id, stream);
            }
        }
        Ok(())
    }

    /// The stream of a large frame, which may be still to come.
    async fn wait_for(&self, id: u64) -> Result<RecvStream, ConnectionError> {
        let comes = {
            let mut large = self.large();
            if let Some(stream) = large.streams.remove(&id) {
                return Ok(stream);
            }
            let (waits, comes) = oneshot::channel();
            large.awaited.insert(id, waits);
            comes
        };
        comes.await.map_err(|_| ConnectionError::Closed(format!("stream {id} was awaited twice")))
    }
}

fn broken(what: String) -> ConnectionError {
    ConnectionError::Lost(format!("the peer broke the rules: {what}"))
}
