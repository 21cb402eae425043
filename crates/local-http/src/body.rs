//! Reading a request's body, up to a size.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

/// How much of a body that nobody wants is still read: a client that writes while the connection closes under it never
/// reads why.
const UNWANTED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why there is no body.
pub(crate) enum Unread {
    TooLarge,
    /// The client went away, or what it sends is no body.
    Broken,
}

/// The whole body of at most `most` bytes.
pub(crate) async fn read(mut body: Incoming, most: usize, headers: &HeaderMap) -> Result<Bytes, Unread> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        discard(body, headers).await;
        return Err(Unread::TooLarge);
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if whole.len() + data.len() > most {
            discard(body, headers).await;
            return Err(Unread::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
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
