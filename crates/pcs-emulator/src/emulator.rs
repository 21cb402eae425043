//! The request path: from an HTTP request to its answer, on one screen, and what is shared between calls.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use local_http::{Recent, Refusal, Server};
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use crate::action::Action;
use crate::clock::{self, nanos};
use crate::context::Context;
use crate::dispatch::{apply, checked};
use crate::error::{Error, LoadError, StartError, Subject};
use crate::faults::{self, Effect, Fault};
use crate::model::Model;
use crate::options::{ClosedRegion, Options};
use crate::record::Record;
use crate::state::{ErrorInfo, Kind, Region, World};
use crate::store::Store;
use crate::wire::{self, Caller, Reply};
use crate::{control, lifecycle, tokens};

/// A PCS in memory. Clones share one state.
#[derive(Clone)]
pub struct Emulator {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    model: Arc<Model>,
    store: Option<Store>,
    record: Option<Record>,
    shared: Mutex<Shared>,
}

struct Shared {
    world: World,
    calls: Recent<ReceivedCall>,
    faults: Vec<Fault>,
    closed_regions: BTreeMap<String, ClosedRegion>,
}

/// A PCS call as it arrived. Control-plane requests are not calls.
#[derive(Clone, Debug)]
pub struct ReceivedCall {
    /// The last segment of `X-Amz-Target`, known or not.
    pub action: String,
    /// From the credential scope; empty when there was none to read.
    pub access_key_id: String,
    pub region: String,
    pub account: String,
    /// `Null` when the body was not JSON.
    pub body: Value,
    /// Status of the answer; `None` when the connection was dropped instead.
    pub status: Option<StatusCode>,
}

impl Emulator {
    /// Starts an emulator, with the state in `options.data_dir` if there is any.
    pub fn new(options: Options) -> Result<Emulator, StartError> {
        check_options(&options)?;
        let model = Model::of(&options).map_err(StartError::Model)?;
        let store = options.data_dir.as_deref().map(Store::open).transpose()?;
        let world = match &store {
            Some(store) => store.load()?.unwrap_or_else(World::new),
            None => World::new(),
        };
        let record = options.record.as_deref().map(Record::open).transpose()?;
        let shared = Shared {
            world,
            calls: Recent::default(),
            faults: Vec::new(),
            closed_regions: options.closed_regions.clone(),
        };
        Ok(Emulator {
            inner: Arc::new(Inner {
                options,
                model,
                store,
                record,
                shared: Mutex::new(shared),
            }),
        })
    }

    /// Answers one request. Needs no port and no runtime, and never blocks but for the disk.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a request is consumed, as by every HTTP service"
    )]
    pub fn handle(&self, request: Request<Bytes>) -> Reply {
        let request = &request;
        if request.uri().path().starts_with(control::PREFIX) {
            return Reply::Respond(control::handle(self, request));
        }
        let caller = wire::caller(request, &self.inner.options);
        let body = wire::body(request);
        let mut shared = self.lock();
        let (reply, struck) = self.answer(&mut shared, request, &caller, &body);
        self.note(
            &mut shared,
            request,
            caller.ok(),
            body.ok(),
            struck.as_ref(),
            reply,
        )
    }

    /// Answers a request whose body was too large to be read; it is a call like any other.
    pub(crate) fn refuse_unread(&self, head: Parts) -> Response<Bytes> {
        let refusal = wire::error_response(&Error::TooLarge, &self.inner.options);
        let request = Request::from_parts(head, Bytes::new());
        let caller = wire::caller(&request, &self.inner.options);
        let reply = Reply::Respond(refusal.clone());
        let noted = self.note(&mut self.lock(), &request, caller.ok(), None, None, reply);
        noted.into_response().unwrap_or(refusal)
    }

    /// Answers what is no request of PCS's, and no call.
    pub(crate) fn refuse_unheard(&self, refused: &Refusal) -> Response<Bytes> {
        wire::error_response(&Error::Unheard(refused.clone()), &self.inner.options)
    }

    /// Writes a call into the list of received ones and into the record.
    fn note(
        &self,
        shared: &mut Shared,
        request: &Request<Bytes>,
        caller: Option<Caller>,
        body: Option<Map<String, Value>>,
        struck: Option<&Effect>,
        reply: Reply,
    ) -> Reply {
        remember(shared, request, caller, body, &reply);
        let record = self.inner.record.as_ref();
        match record.map_or(Ok(()), |record| record.write(request, &reply, struck)) {
            Ok(()) => reply,
            // A run whose record has holes must not pass for a recorded one.
            Err(e) => self.refusal(&Error::Internal(format!("the record could not be written: {e}"))),
        }
    }

    /// Serves HTTP/1.1 with keep-alive until `shutdown`; calls under way are then finished.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        self.serve_as(Server::default(), listener, shutdown).await
    }

    /// As [`serve`](Self::serve), in the manner of `server`.
    pub async fn serve_as(
        self,
        server: Server,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        server.serve(self, listener, shutdown).await
    }

    /// Every PCS call since the start or the last [`clear_calls`](Self::clear_calls); the last 10,000, and of large
    /// ones the last 32 MiB.
    pub fn calls(&self) -> Vec<ReceivedCall> {
        self.lock().calls.iter().cloned().collect()
    }

    pub fn clear_calls(&self) {
        self.lock().calls.clear();
    }

    /// Moves the emulator's clock forward; transitions that end by then have ended.
    pub fn advance(&self, by: Duration) {
        let mut shared = self.lock();
        shared.world.clock_offset = shared.world.clock_offset.saturating_add(nanos(by));
        // A disk that fails here fails the next changing call too, and that one reports it.
        let _saved = self.save(&shared.world);
    }

    /// Orders something to go wrong; faults strike in the order they were ordered.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Forgets every fault ordered and not yet struck.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Closes a Region for every account, or opens it again. What is in it stays.
    pub fn close_region(&self, region: &str, how: Option<ClosedRegion>) {
        let closed = &mut self.lock().closed_regions;
        match how {
            Some(how) => closed.insert(region.to_owned(), how),
            None => closed.remove(region),
        };
    }

    /// Forgets all resources, tokens, calls and faults, in every account and Region.
    pub fn reset(&self) -> io::Result<()> {
        let mut shared = self.lock();
        *shared = Shared {
            world: World::new(),
            calls: Recent::default(),
            faults: Vec::new(),
            closed_regions: self.inner.options.closed_regions.clone(),
        };
        self.save(&shared.world)
    }

    /// Everything that is stored, as a document for [`load`](Self::load): resources, client tokens, clock.
    /// Faults and received calls are not in it.
    pub fn snapshot(&self) -> io::Result<Value> {
        Ok(serde_json::to_value(&self.lock().world)?)
    }

    /// Every cluster of every account and Region as it is now: the members that PCS answers, `accountId`,
    /// `region`, and the details of its `computeNodeGroups` and `queues`. No secret is in it, nothing is
    /// changed, and it is no call.
    pub fn clusters(&self) -> Vec<Value> {
        let shared = self.lock();
        let now = clock::now(shared.world.clock_offset);
        let mut found = Vec::new();
        for (account, regions) in &shared.world.accounts {
            for (name, region) in regions {
                // Transitions end when somebody looks; this look leaves no trace.
                let mut region = region.clone();
                lifecycle::settle(&mut region, now);
                for cluster in region.of(Kind::Cluster, None) {
                    let parts = |kind: Kind| {
                        let parts = region.of(kind, Some(&cluster.id));
                        Value::Array(parts.map(|part| Value::Object(part.detail())).collect())
                    };
                    let mut shown = cluster.detail();
                    for kind in [Kind::ComputeNodeGroup, Kind::Queue] {
                        shown.insert(kind.list_member().to_owned(), parts(kind));
                    }
                    shown.insert("accountId".to_owned(), Value::from(account.as_str()));
                    shown.insert("region".to_owned(), Value::from(name.as_str()));
                    found.push(Value::Object(shown));
                }
            }
        }
        found
    }

    /// Replaces everything that is stored by what a [`snapshot`](Self::snapshot) holds. A document that no
    /// emulator of this version made, or that somebody broke, is refused and changes nothing.
    pub fn load(&self, document: Value) -> Result<(), LoadError> {
        let world = World::read(document).map_err(LoadError::Document)?;
        let mut shared = self.lock();
        self.save(&world).map_err(LoadError::Store)?;
        shared.world = world;
        Ok(())
    }

    /// Makes the transition under way of a resource (by id or ARN) fail, or else its next one.
    /// False when no account and Region has such a resource.
    pub fn fail_resource(&self, id_or_arn: &str, code: &str, message: &str) -> io::Result<bool> {
        let error = ErrorInfo {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        self.change_world(|region, now| {
            let found = region
                .resources
                .iter_mut()
                .find(|r| r.id == id_or_arn || r.arn == id_or_arn);
            found
                .map(|resource| lifecycle::fail(resource, error.clone(), now))
                .is_some()
        })
    }

    /// Suspends a cluster (by id or ARN) and all it holds, as AWS does to end-of-life schedulers. What is
    /// not up (being made, being deleted, never made) stays as it is.
    /// False when no account and Region has such a cluster.
    pub fn suspend(&self, id_or_arn: &str) -> io::Result<bool> {
        let lasts = self.inner.options.transition;
        self.change_world(|region, now| {
            let named = region
                .of(Kind::Cluster, None)
                .find(|c| c.id == id_or_arn || c.arn == id_or_arn);
            let Some(id) = named.map(|cluster| cluster.id.clone()) else {
                return false;
            };
            for part in &mut region.resources {
                let in_it = part.id == id || part.cluster_id.as_deref() == Some(id.as_str());
                if in_it && part.status.can_be_suspended() {
                    lifecycle::begin(part, lifecycle::Change::Suspend, now, lasts);
                }
            }
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic under the lock is a bug elsewhere; the state is replaced whole, so it is still sound.
        self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `change` to the first Region it returns true for, and stores that.
    fn change_world(&self, mut change: impl FnMut(&mut Region, i64) -> bool) -> io::Result<bool> {
        let mut shared = self.lock();
        let now = clock::now(shared.world.clock_offset);
        let regions = shared
            .world
            .accounts
            .values_mut()
            .flat_map(|regions| regions.values_mut());
        let mut changed = false;
        for region in regions {
            lifecycle::settle(region, now);
            changed = change(region, now);
            if changed {
                break;
            }
        }
        if changed {
            self.save(&shared.world)?;
        }
        Ok(changed)
    }

    fn save(&self, world: &World) -> io::Result<()> {
        self.inner
            .store
            .as_ref()
            .map_or(Ok(()), |store| store.save(world))
    }

    /// THE request path: route, caller, action, body, fault, call. Also returns the fault that struck.
    fn answer(
        &self,
        shared: &mut Shared,
        request: &Request<Bytes>,
        caller: &Result<Caller, Error>,
        body: &Result<Map<String, Value>, Error>,
    ) -> (Reply, Option<Effect>) {
        if let Err(error) = wire::check_route(request) {
            return (self.refusal(&error), None);
        }
        let (caller, action, body) = match (caller, wire::action(request.headers()), body) {
            (Ok(caller), Ok(action), Ok(body)) => (caller, action, body),
            (Err(error), _, _) | (Ok(_), Ok(_), Err(error)) => return (self.refusal(error), None),
            (Ok(_), Err(error), _) => return (self.refusal(&error), None),
        };
        let effect = faults::take(&mut shared.faults, action);
        let mut call = |failure| {
            let result = self.call(shared, caller, action, body, failure);
            wire::response(&result, &self.inner.options)
        };
        let reply = match &effect {
            None => Reply::Respond(call(None)),
            Some(Effect::Throttle) => self.refusal(&Error::Throttled),
            Some(Effect::Error {
                status,
                code,
                message,
            }) => self.refusal(&Error::Injected {
                status: *status,
                code: code.clone(),
                message: message.clone(),
                subject: Subject::named_in(body),
            }),
            Some(Effect::Garbage(bytes)) => Reply::Respond(wire::raw(StatusCode::OK, bytes.clone())),
            Some(Effect::DropBefore) => Reply::Drop { applied: false },
            Some(Effect::DropAfter) => {
                let _lost = call(None);
                Reply::Drop { applied: true }
            }
            Some(Effect::Delay(by)) => Reply::RespondAfter(*by, call(None)),
            Some(Effect::FailTransition { code, message }) => Reply::Respond(call(Some(&ErrorInfo {
                code: code.clone(),
                message: message.clone(),
            }))),
        };
        (reply, effect)
    }

    fn refusal(&self, error: &Error) -> Reply {
        Reply::Respond(wire::error_response(error, &self.inner.options))
    }

    /// Validates and applies one call; what it changed is on disk when this returns.
    fn call(
        &self,
        shared: &mut Shared,
        caller: &Caller,
        action: Action,
        body: &Map<String, Value>,
        failure: Option<&ErrorInfo>,
    ) -> Result<Value, Error> {
        let cx = Context {
            options: &self.inner.options,
            model: &self.inner.model,
            account: &caller.account,
            region: &caller.region,
            now: clock::now(shared.world.clock_offset),
            failure,
        };
        match shared.closed_regions.get(&caller.region) {
            Some(ClosedRegion::NotEnabled) => return Err(Error::UnrecognizedClient),
            Some(ClosedRegion::Denied(message)) => return Err(Error::AccessDenied(message.clone())),
            Some(ClosedRegion::Throttled) => return Err(Error::Throttled),
            None => {}
        }
        let input = checked(&cx, action, body)?;
        if !action.changes_state() {
            let page_key = shared.world.page_key.clone();
            let mut untouched = Region::default();
            let region = shared
                .world
                .region_mut(cx.account, cx.region)
                .unwrap_or(&mut untouched);
            lifecycle::settle(region, cx.now);
            return apply(&cx, region, action, &input, &page_key);
        }
        // A change works on a copy, so that neither an error nor a full disk leaves half of it.
        let mut region = shared.world.region(cx.account, cx.region);
        lifecycle::settle(&mut region, cx.now);
        if let Some(original) = tokens::replay(&cx, &region, action, &input)? {
            return Ok(original);
        }
        let answer = apply(&cx, &mut region, action, &input, &shared.world.page_key)?;
        tokens::remember(&cx, &mut region, action, &input, &answer);
        let before = shared.world.put_region(cx.account, cx.region, region);
        if let Err(error) = self.save(&shared.world) {
            shared
                .world
                .put_region(cx.account, cx.region, before.unwrap_or_default());
            return Err(Error::Internal(format!("the state could not be stored: {error}")));
        }
        Ok(answer)
    }
}

fn remember(
    shared: &mut Shared,
    request: &Request<Bytes>,
    caller: Option<Caller>,
    body: Option<Map<String, Value>>,
    reply: &Reply,
) {
    let caller = caller.unwrap_or_else(Caller::unknown);
    let call = ReceivedCall {
        action: wire::target(request.headers()).unwrap_or_default().to_owned(),
        access_key_id: caller.access_key_id,
        region: caller.region,
        account: caller.account,
        body: body.map_or(Value::Null, Value::Object),
        status: reply.response().map(Response::status),
    };
    shared.calls.push(call, request.body().len());
}

fn check_options(options: &Options) -> Result<(), StartError> {
    let accounts = std::iter::once(&options.account_id).chain(options.accounts.values());
    for account in accounts {
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("`{account}` is not an account id of twelve digits");
            return Err(StartError::Option {
                name: "account_id",
                message,
            });
        }
    }
    Ok(())
}
