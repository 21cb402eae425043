//! The connector, with a pool that is left as soon as one of its connections turns out to be dead.
//!
//! Lambda freezes an environment between calls, and what ends a connection meanwhile (the service, or a gateway on the
//! way that forgets it) often says nothing. Connections made together die together: after the first that does not
//! answer, the SDK's other attempts would meet the next ones, one by one, until none is left. So a request without an
//! answer takes the whole pool out of use: the next attempt, of whichever client, opens a connection of its own.
//! Requests that are under way keep theirs. How often a request is tried is still the SDK's to say, and a request that
//! may act comes again only as it was, with its token.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_smithy_runtime_api::{
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        runtime_components::RuntimeComponents,
    },
    http::Request,
};

/// Hands out the pool in use. The SDK asks for it at each attempt. Its trial of a connector when a client is built is
/// not passed on: that would read the trusted certificates once more for each client.
#[derive(Debug)]
pub struct Connections {
    pools: Arc<Pools>,
}

impl Connections {
    /// `make` makes a connector with an empty pool.
    pub fn new(make: impl Fn() -> SharedHttpClient + Send + Sync + 'static) -> Connections {
        let current = Mutex::new(Arc::new(Pool::new(make())));
        let make = Box::new(make);
        Connections {
            pools: Arc::new(Pools { make, current }),
        }
    }
}

impl HttpClient for Connections {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let pool = self.pools.current();
        SharedHttpConnector::new(Watched {
            connector: pool.client.http_connector(settings, components),
            pools: Arc::clone(&self.pools),
            pool,
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.pools.current().client.connector_metadata()
    }
}

#[derive(Debug)]
struct Pool {
    client: SharedHttpClient,
    /// Without an answer so far it holds no idle connection, and nothing is gained by leaving it.
    has_answered: AtomicBool,
}

impl Pool {
    fn new(client: SharedHttpClient) -> Pool {
        Pool {
            client,
            has_answered: AtomicBool::new(false),
        }
    }
}

struct Pools {
    make: Box<dyn Fn() -> SharedHttpClient + Send + Sync>,
    current: Mutex<Arc<Pool>>,
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

impl Pools {
    fn current(&self) -> Arc<Pool> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the pool out of use, if it is the one in use: of requests that fail together only the first does.
    fn leave(&self, pool: &Arc<Pool>) {
        if !pool.has_answered.load(Ordering::Relaxed) {
            return;
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, pool) {
            *current = Arc::new(Pool::new((self.make)()));
        }
    }
}

#[derive(Debug)]
struct Watched {
    connector: SharedHttpConnector,
    pools: Arc<Pools>,
    pool: Arc<Pool>,
}

impl HttpConnector for Watched {
    fn call(&self, request: Request) -> HttpConnectorFuture {
        let mut unanswered = Unanswered {
            pools: Arc::clone(&self.pools),
            pool: Arc::clone(&self.pool),
            is_answered: false,
        };
        let sent = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            let answer = sent.await;
            if answer.is_ok() {
                unanswered.is_over();
            }
            answer
        })
    }
}

/// A request under way. Dropped without an answer, because it failed or was given up, it leaves the pool.
struct Unanswered {
    pools: Arc<Pools>,
    pool: Arc<Pool>,
    is_answered: bool,
}

impl Unanswered {
    fn is_over(&mut self) {
        self.is_answered = true;
        self.pool.has_answered.store(true, Ordering::Relaxed);
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.is_answered {
            self.pools.leave(&self.pool);
        }
    }
}
