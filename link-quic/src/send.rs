//! The sending halves of a connection.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use link_core::transport::{ConnectionError, FrameSender};
use quinn::{Connection, SendStream, VarInt};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot, watch},
    time::timeout,
};

use crate::{
    error::{lost, write_error},
    record::{CHANNEL, DETACHED, LARGE, LENGTH, MARK},
};

/// How long a closing connection waits until the peer has what was sent.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Priorities of streams: quinn sends what is in those of a higher one first.
const CONTROL_PRIORITY: i32 = 2;
const CHANNEL_PRIORITY: i32 = 1;
const LARGE_PRIORITY: i32 = 0;

/// What all senders of a connection know.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) connection: Connection,
    /// Most bytes of a frame that the peer takes.
    pub(crate) max_frame: AtomicUsize,
    /// Frames of more bytes go on a stream of their own.
    detach_above: usize,
    channels: u16,
    /// Whether the streams of all channels are open.
    opened: watch::Receiver<bool>,
    /// Bytes of large frames that are being written; made with the first one.
    large: OnceLock<Semaphore>,
}

impl Sending {
    /// What sends on `channels` channels of a connection. Their streams are opened at once, before any of a large frame: what
    /// the peer allows beyond them is for those.
    pub(crate) fn new(
        connection: Connection,
        max_frame: usize,
        detach_above: usize,
        channels: u16,
    ) -> (Arc<Self>, Vec<Sender>) {
        let (open, opened) = watch::channel(false);
        let (streams, coming): (Vec<_>, Vec<_>) = (0..channels).map(|_| oneshot::channel()).unzip();
        tokio::spawn(open_channels(connection.clone(), streams, open));
        let large = OnceLock::new();
        let max_frame = AtomicUsize::new(max_frame);
        let sending = Arc::new(Self { connection, max_frame, detach_above, channels, opened, large });
        let senders = coming.into_iter().map(|stream| Sender {
            sending: sending.clone(),
            is_channel: true,
            coming: Some(stream),
            stream: None,
            cut: false,
        });
        let senders = senders.collect();
        (sending, senders)
    }

    /// Whether a frame goes on a stream of its own. What is written on the channels at one time is no more than one frame of
    /// the largest kind, so that the peer has room for all of it.
    fn is_large(&self, frame: &Bytes) -> bool {
        let share = self.max_frame.load(Ordering::Relaxed) / usize::from(self.channels.max(1));
        frame.len() > self.detach_above.min(share)
    }

    /// Waits until a large frame may be written: those that have no credit of the peer yet are together no larger than one
    /// of the largest kind. The peer has room for that much, so each of them can come to its end there.
    async fn large(&self, frame: &Bytes) -> Result<SemaphorePermit<'_>, ConnectionError> {
        let mut opened = self.opened.clone();
        if opened.wait_for(|&opened| opened).await.is_err() {
            return Err(self.ended().await);
        }
        let large = self.large.get_or_init(|| Semaphore::new(self.max_frame.load(Ordering::Relaxed)));
        let size = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        large.acquire_many(size).await.map_err(|error| ConnectionError::Lost(error.to_string()))
    }

    /// Why the streams of the channels could not be opened.
    async fn ended(&self) -> ConnectionError {
        lost(self.connection.closed().await)
    }
}

/// Opens the streams of all channels, in their order.
async fn open_channels(connection: Connection, streams: Vec<oneshot::Sender<SendStream>>, open: watch::Sender<bool>) {
    for (channel, sender) in (0_u16..).zip(streams) {
        let Ok(mut stream) = connection.open_uni().await else { return };
        let _ = stream.set_priority(CHANNEL_PRIORITY);
        let [high, low] = channel.to_be_bytes();
        // The peer learns of the stream, and takes none of a large frame for it.
        if stream.write_all(&[CHANNEL, high, low]).await.is_err() {
            return;
        }
        // Who does not want it any more ends the connection.
        let _ = sender.send(stream);
    }
    let _ = open.send(true);
}

/// Sends the frames of one class, on a stream of its own.
pub(crate) struct Sender {
    sending: Arc<Sending>,
    is_channel: bool,
    /// The stream of a data channel that is being opened.
    coming: Option<oneshot::Receiver<SendStream>>,
    stream: Option<SendStream>,
    /// A send was cancelled half-way: the next frame would be read as its rest.
    cut: bool,
}

impl Sender {
    pub(crate) fn control(sending: Arc<Sending>, stream: SendStream) -> Self {
        let _ = stream.set_priority(CONTROL_PRIORITY);
        Self { sending, is_channel: false, coming: None, stream: Some(stream), cut: false }
    }

    async fn write(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        if let Some(coming) = self.coming.take() {
            match coming.await {
                Ok(stream) => self.stream = Some(stream),
                Err(_) => return Err(self.sending.ended().await),
            }
        }
        if !self.is_channel || !self.sending.is_large(&frame) {
            return self.write_record(frame).await;
        }
        let _under_way = self.sending.large(&frame).await?;
        // The mark keeps its place among the frames of the channel.
        let mut large = self.sending.connection.open_uni().await.map_err(lost)?;
        let _ = large.set_priority(LARGE_PRIORITY);
        let id = u64::from(large.id()).to_be_bytes();
        let mark = [&(DETACHED | frame.len() as u32).to_be_bytes()[..], &id].concat();
        if let Some(stream) = &mut self.stream {
            stream.write_all(&mark).await.map_err(write_error)?;
        }
        let mut chunks = [Bytes::from_static(&[LARGE]), frame];
        large.write_all_chunks(&mut chunks).await.map_err(write_error)?;
        let _ = large.finish();
        Ok(())
    }

    async fn write_record(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let length = (frame.len() as u32).to_be_bytes();
        // A small frame is copied: one write costs less than two.
        if frame.len() <= COPIED {
            let mut record = [0; LENGTH + COPIED];
            record[..LENGTH].copy_from_slice(&length);
            record[LENGTH..][..frame.len()].copy_from_slice(&frame);
            return stream.write_all(&record[..LENGTH + frame.len()]).await.map_err(write_error);
        }
        stream.write_all_chunks(&mut [Bytes::copy_from_slice(&length), frame]).await.map_err(write_error)
    }
}

const COPIED: usize = 1024;
const _: () = assert!(MARK == LENGTH + size_of::<u64>());

#[async_trait]
impl FrameSender for Sender {
    async fn send(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        let limit = self.sending.max_frame.load(Ordering::Relaxed);
        if frame.len() > limit {
            return Err(ConnectionError::TooLarge { size: frame.len(), limit });
        }
        if std::mem::replace(&mut self.cut, true) {
            return Err(ConnectionError::Lost("a frame was cut off by a cancelled send".to_owned()));
        }
        self.write(frame).await?;
        self.cut = false;
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.finish();
            let _ = timeout(CLOSE_TIME, stream.stopped()).await;
        }
        self.sending.connection.close(VarInt::from_u32(0), b"closed");
    }
}
