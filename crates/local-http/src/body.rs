//! Reading a request's body, up to a size.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All bodies of a program together, beside what each has without asking: clients choose how long a body is, how many
/// they send at once and how slowly. Who finds no room waits for it, as long as a body may take at all.
const ROOM_KIB: usize = 128 * 1024;
const WITHOUT_ASKING: usize = 64 * 1024;
const KIB: usize = 1024;

/// How much of a body that nobody wants is still read: a client that writes while the connection closes under it never
/// reads why.
const UNWANTED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why there is no body.
pub(crate) enum Unread {
    TooLarge,
    /// The client went away, or what it sends is no body.
    Broken,
}

/// Room for the bodies of a program.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Room {
        Room(Arc::new(Semaphore::new(ROOM_KIB)))
    }
}

/// What one body has of it, until it is dropped.
struct Held {
    room: Room,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Held {
    /// Waits until there is room for a body of this length.
    async fn grow_to(&mut self, bytes: usize) -> Result<(), Unread> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let more = (bytes - self.bytes).max(WITHOUT_ASKING);
        let units = u32::try_from(more.div_ceil(KIB)).map_err(|_| Unread::TooLarge)?;
        let permit = Arc::clone(&self.room.0).acquire_many_owned(units).await;
        let permit = permit.map_err(|_| Unread::Broken)?;
        self.bytes += more;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

/// A body, and its room.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    _held: Held,
}

/// The whole body of at most `most` bytes.
pub(crate) async fn read(
    mut body: Incoming,
    most: usize,
    headers: &HeaderMap,
    room: &Room,
) -> Result<Whole, Unread> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        discard(body, headers).await;
        return Err(Unread::TooLarge);
    }
    let mut held = Held {
        room: room.clone(),
        permit: None,
        bytes: WITHOUT_ASKING,
    };
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if whole.len() + data.len() > most {
            discard(body, headers).await;
            return Err(Unread::TooLarge);
        }
        held.grow_to(whole.len() + data.len()).await?;
        whole.extend_from_slice(&data);
    }
    Ok(Whole {
        bytes: whole.freeze(),
        _held: held,
    })
}

/// Reads what nobody wants, unless the client waits to be told that it may send it.
pub(crate) async fn discard(mut body: Incoming, headers: &HeaderMap) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let mut read = 0;
    while read <= UNWANTED_BYTES_MAX {
        let Some(Ok(frame)) = body.frame().await else {
            return;
        };
        read += frame.into_data().map_or(0, |data| data.len());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn body(room: &Room) -> Held {
        Held {
            room: room.clone(),
            permit: None,
            bytes: WITHOUT_ASKING,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_what_there_is_and_short_ones_need_not_wait() {
        let room = Room(Arc::new(Semaphore::new(256)));
        let (mut long, mut other, mut short) = (body(&room), body(&room), body(&room));
        assert!(long.grow_to(WITHOUT_ASKING + 200 * KIB).await.is_ok());
        let waits = tokio::time::timeout(Duration::from_secs(30), other.grow_to(WITHOUT_ASKING + 100 * KIB));
        assert!(waits.await.is_err(), "there is room for one");
        assert!(short.grow_to(WITHOUT_ASKING).await.is_ok());
        drop(long);
        assert!(other.grow_to(WITHOUT_ASKING + 100 * KIB).await.is_ok());
        drop(other);
        assert_eq!(room.0.available_permits(), 256);
    }
}
