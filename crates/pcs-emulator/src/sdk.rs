//! The emulator as the HTTP client of AWS's Rust SDK: no port, no task, and every byte the SDK would have
//! sent. The SDK's own serializers, signer, retries and error parsers all run.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;

use crate::emulator::Emulator;
use crate::wire::Reply;

impl Emulator {
    /// This emulator in the place of the network, for the `http_client` of an SDK configuration. Delays a
    /// test ordered last as long as they would on the wire (up to the client's read timeout), and a dropped
    /// connection is the connector error that it is there. Needs a tokio runtime with its clock enabled.
    ///
    /// `aws_sdk_pcs::Config::builder().http_client(emulator.http_client())`, and the whole of it in
    /// `examples/in_process.rs`.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(InProcess {
            emulator: self.clone(),
            read_timeout: None,
        })
    }
}

/// A client with no settings yet, and a connector once it has them.
#[derive(Clone)]
struct InProcess {
    emulator: Emulator,
    read_timeout: Option<Duration>,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess")
            .field("read_timeout", &self.read_timeout)
            .finish_non_exhaustive()
    }
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(InProcess {
            emulator: self.emulator.clone(),
            read_timeout: settings.read_timeout(),
        })
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.answer(request).await })
    }
}

impl InProcess {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let user = |e: Box<dyn std::error::Error + Send + Sync>| ConnectorError::user(e);
        let request = request.try_into_http1x().map_err(|e| user(e.into()))?;
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(user)?.to_bytes();
        let mut request = Request::from_parts(parts, body);
        add_host(&mut request);
        match self.emulator.handle(request) {
            Reply::Respond(response) => answered(response),
            Reply::RespondAfter(delay, response) => {
                self.wait(delay).await?;
                answered(response)
            }
            Reply::Drop { .. } => Err(ConnectorError::io(
                std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
            )),
        }
    }

    async fn wait(&self, delay: Duration) -> Result<(), ConnectorError> {
        if let Some(patience) = self.read_timeout.filter(|patience| *patience < delay) {
            tokio::time::sleep(patience).await;
            let timed_out = std::io::Error::from(std::io::ErrorKind::TimedOut);
            return Err(ConnectorError::timeout(timed_out.into()));
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

/// A connection would send the URI's authority as `Host`, which is part of what was signed.
fn add_host(request: &mut Request<Bytes>) {
    if request.headers().contains_key(HOST) {
        return;
    }
    let host = request.uri().authority().map(http::uri::Authority::as_str);
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
        request.headers_mut().insert(HOST, host);
    }
}

fn answered(response: Response<Bytes>) -> Result<HttpResponse, ConnectorError> {
    HttpResponse::try_from(response.map(SdkBody::from)).map_err(|e| ConnectorError::other(e.into(), None))
}
