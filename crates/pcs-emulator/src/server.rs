//! The emulator on a port; carries out delays and drops.

use std::net::SocketAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use local_http::{Refusal, Service};

use crate::control;
use crate::emulator::Emulator;
use crate::wire::{BODY_BYTES_MAX, Reply};

impl Service for Emulator {
    fn body_bytes_max(&self, head: &Parts) -> usize {
        if head.method == Method::PUT && head.uri.path() == control::STATE {
            control::STATE_BYTES_MAX
        } else {
            BODY_BYTES_MAX
        }
    }

    async fn answer(&self, request: Request<Bytes>, _: SocketAddr) -> Option<Response<Bytes>> {
        if let Some(refusal) = control::refuse_simple(&request) {
            return Some(refusal);
        }
        match self.handle(request) {
            Reply::Respond(response) => Some(response),
            Reply::RespondAfter(delay, response) => {
                tokio::time::sleep(delay).await;
                Some(response)
            }
            Reply::Drop { .. } => None,
        }
    }

    fn refuse(&self, refused: &Refusal, head: Option<Parts>) -> Response<Bytes> {
        match head {
            Some(head) if head.uri.path().starts_with(control::PREFIX) => {
                control::refuse(refused.status(), &refused.to_string())
            }
            Some(head) if matches!(refused, Refusal::TooLarge { .. }) => self.refuse_unread(head),
            Some(_) | None => self.refuse_unheard(refused),
        }
    }
}
