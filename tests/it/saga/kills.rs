//! The function is killed after any of its requests: nothing is left that nobody needs, and the trail says what happened.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use jiff::{SignedDuration, Timestamp};
use pcs_api::{
    aws::{Clients, http_client},
    config::Config,
    gateway::Gateway,
};
use tokio::sync::Notify;

use super::*;
use crate::later::is_whole_later;

/// Lets so many requests have their answer; of the one after them the answer never comes, though it may have acted.
#[derive(Debug, Clone)]
struct Killer {
    inner: SharedHttpClient,
    left: Arc<AtomicUsize>,
    killed: Arc<Notify>,
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    killer: Killer,
}

impl HttpClient for Killer {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            inner: self.inner.http_connector(settings, components),
            killer: self.clone(),
        })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sent = self.inner.call(request);
        let killer = self.killer.clone();
        HttpConnectorFuture::new(async move {
            let answer = sent.await;
            let left = killer
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_ok() {
                return answer;
            }
            killer.killed.notify_one();
            std::future::pending().await
        })
    }
}

/// Calls the function and kills it after so many requests; whether it had come to its end before.
async fn killed_after(world: &World, requests: usize, event: &Value) -> bool {
    let config = Config::read(|name| world.stack.variables().get(name).cloned()).unwrap();
    let killer = Killer {
        inner: http_client(),
        left: Arc::new(AtomicUsize::new(requests)),
        killed: Arc::default(),
    };
    let http = OnceLock::from(SharedHttpClient::new(killer.clone()));
    let gateway = Gateway::with_clients(config.clone(), Clients::over(config.aws, http));
    tokio::select! {
        answer = invoke(&gateway, event, Duration::from_secs(28)) => {
            assert!(answer.status < 500, "{answer:?}");
            true
        }
        () = killer.killed.notified() => false,
    }
}

#[tokio::test]
async fn a_creation_that_is_killed_anywhere_is_whole_at_any_time_later() {
    let mut requests = 0;
    loop {
        let scope = ("PCS_API_REGION_SCOPE".to_owned(), "us-east-1".to_owned());
        let world = start_with(Options {
            variables: [scope].into(),
            ..Options::default()
        });
        let world = world.await;
        let ended = killed_after(&world, requests, &create(&["a", "b"])).await;
        world.settle();
        let later = Timestamp::now() + SignedDuration::from_hours(2);
        is_whole_later(&world, later).await;
        if groups(&world).await.is_empty() {
            nothing_is_left(&world).await;
        } else {
            the_role(&world, &["a", "b"]).await;
        }
        if ended {
            break;
        }
        requests += 1;
    }
    assert!(
        requests > 12,
        "opening, three policies, role, profile, PCS, closing: {requests}"
    );
}
