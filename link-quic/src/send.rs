//! The sending halves of a connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use link_core::transport::{Class, ConnectionError, FrameSender};
use quinn::{Connection, SendDatagramError, SendStream, VarInt};
use tokio::time::timeout;

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
    pub(crate) detach_above: usize,
}

/// Sends the frames of one class, on a stream of its own.
pub(crate) struct Sender {
    sending: Arc<Sending>,
    class: Class,
    /// Opened with the first frame of a data channel.
    stream: Option<SendStream>,
    /// A send was cancelled half-way: the next frame would be read as its rest.
    cut: bool,
}

impl Sender {
    pub(crate) fn control(sending: Arc<Sending>, stream: SendStream) -> Self {
        let _ = stream.set_priority(CONTROL_PRIORITY);
        Self { sending, class: Class::Control, stream: Some(stream), cut: false }
    }

    pub(crate) fn channel(sending: Arc<Sending>, channel: u16) -> Self {
        Self { sending, class: Class::Data(channel), stream: None, cut: false }
    }

    async fn write(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        let Class::Data(channel) = self.class else {
            return self.write_record(frame).await;
        };
        if self.stream.is_none() {
            let mut stream = self.sending.connection.open_uni().await.map_err(lost)?;
            let _ = stream.set_priority(CHANNEL_PRIORITY);
            let [high, low] = channel.to_be_bytes();
            stream.write_all(&[CHANNEL, high, low]).await.map_err(write_error)?;
            self.stream = Some(stream);
        }
        if frame.len() <= self.sending.detach_above {
            return self.write_record(frame).await;
        }
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

/// Sends frames that may be lost (RFC 9221).
pub(crate) struct DatagramSender(pub(crate) Connection);

#[async_trait]
impl FrameSender for DatagramSender {
    async fn send(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        match self.0.send_datagram_wait(frame).await {
            Err(SendDatagramError::ConnectionLost(error)) => Err(lost(error)),
            // Too large: the path takes less than at the beginning. It is as good as lost on the way.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn close(&mut self) {}
}
