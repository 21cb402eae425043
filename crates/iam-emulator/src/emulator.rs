//! The account behind a request: authentication, faults, the call log, the answer.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use jiff::Timestamp;
use local_http::Recent;
use local_program::Damage;

use crate::action::Action;
use crate::actions::{self, Call};
use crate::control;
use crate::error::IamError;
use crate::fault::{Effect, Fault, Faults};
use crate::query::Query;
use crate::quotas::Quotas;
use crate::seed::{Seed, SeedError};
use crate::state::Account;
use crate::store::Store;
use crate::validate;
use crate::xml::Xml;

/// How an account is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Twelve digits.
    pub account_id: String,
    /// `aws`, `aws-cn`, `aws-us-gov`: the second part of every ARN.
    pub partition: String,
    /// Where the account is kept; `None` keeps it in memory only.
    pub data_dir: Option<PathBuf>,
    /// The longest page of a list. Tests set it to 1 to see that callers read page 2.
    pub page_size: usize,
    /// How long an instance profile that a call has made, or put a role into, stays unseen by
    /// [`Emulator::instance_profile_exists`]. IAM's own reads see it at once. In AWS it is seconds to minutes.
    pub propagation: Duration,
    /// How much the account may hold.
    pub quotas: Quotas,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            account_id: "123456789012".to_owned(),
            partition: "aws".to_owned(),
            data_dir: None,
            page_size: 100,
            propagation: Duration::ZERO,
            quotas: Quotas::default(),
        }
    }
}

/// Why there is no emulator.
#[derive(Debug)]
pub enum StartError {
    /// Not twelve digits.
    InvalidAccountId(String),
    /// Not of the form of `aws` or `aws-us-gov`.
    InvalidPartition(String),
    /// The data folder cannot be used, or what is in it is not this account.
    Data(Damage),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidAccountId(id) => write!(f, "--account-id: `{id}` is not twelve digits"),
            Self::InvalidPartition(name) => write!(
                f,
                "--partition: `{name}` is not a partition; give one such as `aws`, `aws-cn` or `aws-us-gov`"
            ),
            Self::Data(damage) => write!(f, "{damage}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A call as it came in and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedCall {
    /// Empty when the request named none.
    pub action: String,
    /// Form parameters without Action and Version.
    pub params: BTreeMap<String, String>,
    /// Status of the answer; `None` when the connection was dropped instead.
    pub status: Option<StatusCode>,
}

impl ReceivedCall {
    /// Whether the action is one that changes the account, whatever came of this call. An action that is not
    /// answered here counts as one unless its name begins with Get, List or Simulate.
    pub fn is_write(&self) -> bool {
        let reads = ["Get", "List", "Simulate"];
        Action::from_name(&self.action).map_or_else(
            || !reads.iter().any(|verb| self.action.starts_with(verb)),
            Action::is_write,
        )
    }
}

/// What to do with the connection.
#[derive(Debug)]
pub enum Reply {
    Response(Response<Bytes>),
    /// The response, after this long.
    Delay(Duration, Response<Bytes>),
    /// Close without answering.
    Drop,
}

/// An IAM account that answers requests. Clones share it.
#[derive(Clone, Debug)]
pub struct Emulator {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    store: Option<Store>,
    account: Account,
    faults: Faults,
    calls: Recent<ReceivedCall>,
}

impl Emulator {
    /// An empty account, or the one saved in `options.data_dir`.
    pub fn new(options: Options) -> Result<Self, StartError> {
        if !validate::is_account_id(&options.account_id) {
            return Err(StartError::InvalidAccountId(options.account_id));
        }
        if !validate::is_partition(&options.partition) {
            return Err(StartError::InvalidPartition(options.partition));
        }
        let store = options.data_dir.as_deref().map(Store::open).transpose();
        let store = store.map_err(StartError::Data)?;
        let (id, partition) = (&options.account_id, &options.partition);
        let saved = match &store {
            Some(store) => store.load(id, partition).map_err(StartError::Data)?,
            None => None,
        };
        let account = saved.unwrap_or_else(|| Account::new(id, partition, Timestamp::now()));
        let shared = Shared {
            options,
            store,
            account,
            faults: Faults::default(),
            calls: Recent::default(),
        };
        Ok(Self {
            shared: Arc::new(Mutex::new(shared)),
        })
    }

    /// Puts entities into the account: all of them, or none and the reason.
    pub fn seed(&self, seed: Seed) -> Result<(), SeedError> {
        let mut shared = self.lock();
        let mut account = shared.account.clone();
        let now = account.now();
        account.plant(seed, now)?;
        shared.replace(account).map_err(SeedError::NotSaved)
    }

    /// Puts into the account what it begins with, unless that was done before in this data folder: what was changed or
    /// deleted since stays so. Says whether it was done now.
    pub fn seed_once(&self, seed: Seed) -> Result<bool, SeedError> {
        let mut shared = self.lock();
        if shared.account.seeded {
            return Ok(false);
        }
        let mut account = shared.account.clone();
        let now = account.now();
        account.plant(seed, now)?;
        account.seeded = true;
        shared.replace(account).map_err(SeedError::NotSaved)?;
        Ok(true)
    }

    /// Whether another service, such as PCS when it checks `iam:PassRole`, sees an instance profile of exactly
    /// this ARN: the account has it, and [`Options::propagation`] has passed since a call made it or put a
    /// role into it.
    pub fn instance_profile_exists(&self, arn: &str) -> bool {
        let shared = self.lock();
        let now = shared.account.now();
        shared.account.passes(arn, now, shared.options.propagation)
    }

    /// Moves the account's clock forward.
    pub fn advance(&self, by: Duration) {
        let mut shared = self.lock();
        shared.account.advance(by);
        // A disk that fails here fails the next write too, and that one reports it.
        let _saved = shared.save(&shared.account);
    }

    /// Every IAM call since the start or the last [`clear_calls`](Self::clear_calls), oldest first; the last
    /// 10,000.
    pub fn calls(&self) -> Vec<ReceivedCall> {
        self.lock().calls.iter().cloned().collect()
    }

    pub fn clear_calls(&self) {
        self.lock().calls.clear();
    }

    /// Makes coming calls go wrong.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Forgets every fault that has not struck yet.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Empties the account and forgets calls, faults and advances of the clock.
    pub fn reset(&self) -> io::Result<()> {
        let mut shared = self.lock();
        shared.faults.clear();
        shared.calls.clear();
        let (id, partition) = (&shared.options.account_id, &shared.options.partition);
        let mut account = Account::new(id, partition, Timestamp::now());
        // Emptied is not new: a restart does not fill it.
        account.seeded = shared.account.seeded;
        shared.replace(account)
    }

    /// Answers one request. Never blocks for long: a delay is the caller's to wait for.
    #[expect(clippy::needless_pass_by_value, reason = "a request is answered once")]
    pub fn handle(&self, request: Request<Bytes>) -> Reply {
        if request.uri().path().starts_with(control::PREFIX) {
            return Reply::Response(control::handle(self, &request));
        }
        let query = Query::parse(&request);
        let action = query.get("Action").unwrap_or_default().to_owned();
        let mut shared = self.lock();
        let reply = shared.reply(&request, &query, &action);
        let status = match &reply {
            Reply::Response(response) | Reply::Delay(_, response) => Some(response.status()),
            Reply::Drop => None,
        };
        let call = ReceivedCall {
            action,
            params: query.into_params(),
            status,
        };
        shared.calls.push(call, request.body().len());
        reply
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // INVARIANT: the account is replaced whole, so a panic elsewhere cannot have left it half changed.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn reply(&mut self, request: &Request<Bytes>, query: &Query, action: &str) -> Reply {
        match self.faults.take(action) {
            None => Reply::Response(self.answer(request, query)),
            Some(Effect::Delay(delay)) => Reply::Delay(delay, self.answer(request, query)),
            Some(Effect::Throttle) => Reply::Response(refusal(&IamError::throttling())),
            Some(Effect::Error {
                status,
                code,
                message,
            }) => Reply::Response(refusal(&IamError::injected(status, &code, &message))),
            Some(Effect::Garbage(body)) => Reply::Response(response(StatusCode::OK, &request_id(), body)),
            Some(Effect::DropBefore) => Reply::Drop,
            Some(Effect::DropAfter) => {
                let _unsent = self.answer(request, query);
                Reply::Drop
            }
        }
    }

    fn answer(&mut self, request: &Request<Bytes>, query: &Query) -> Response<Bytes> {
        match authenticated(request, query).and_then(|()| self.call(query)) {
            Ok((action, result)) => {
                let request_id = request_id();
                let body = Xml::response(action.name(), &request_id, result.as_ref());
                response(StatusCode::OK, &request_id, body.into())
            }
            Err(error) => refusal(&error),
        }
    }

    /// Does what is asked; what it changed is on disk when this returns.
    fn call(&mut self, query: &Query) -> Result<(Action, Option<Xml>), IamError> {
        let action = query.action()?;
        let call = Call {
            query,
            options: &self.options,
            now: self.account.now(),
        };
        if !action.is_write() {
            return Ok((action, actions::answer(&mut self.account, action, &call)?));
        }
        // A write works on a copy, so that neither an error nor a full disk leaves half of it.
        let mut account = self.account.clone();
        let result = actions::answer(&mut account, action, &call)?;
        self.replace(account)
            .map_err(|error| IamError::service_failure(format!("the state could not be saved: {error}")))?;
        Ok((action, result))
    }

    /// Saves `account`, then puts it in the place of the old one.
    fn replace(&mut self, account: Account) -> io::Result<()> {
        self.save(&account)?;
        self.account = account;
        Ok(())
    }

    fn save(&self, account: &Account) -> io::Result<()> {
        self.store.as_ref().map_or(Ok(()), |store| store.save(account))
    }
}

/// IAM answers nobody who has not signed. Whether the signature is right is not looked at: the emulator knows
/// no secrets, but a client that forgot to sign must not pass here and fail in an account. A signed URL will do for
/// reads alone: for a write every page that shows an image could make one up.
fn authenticated(request: &Request<Bytes>, query: &Query) -> Result<(), IamError> {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let signed_url = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("X-Amz-Signature="));
    let is_read = query.action().is_ok_and(|action| !action.is_write());
    if header.starts_with(b"AWS4-HMAC-SHA256 ") || (signed_url && is_read) {
        return Ok(());
    }
    Err(IamError::missing_authentication_token())
}

pub(crate) fn refusal(error: &IamError) -> Response<Bytes> {
    let request_id = request_id();
    let body = Xml::error(error.fault().as_str(), &error.code, &error.message, &request_id);
    response(error.status, &request_id, body.into())
}

fn response(status: StatusCode, request_id: &str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}

fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests;
