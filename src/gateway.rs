//! THE request path. Every call of every operation takes it, from top to bottom:
//!
//! principal -> route and validate -> facts -> decide -> (dry run stops) -> record -> PCS -> close the record
//!
//! A request with `iam` has its role prepared before the facts are read, and settled after PCS has answered
//! (`gateway/node_role.rs`).
//!
//! Steps do not branch on the operation; what differs between operations is data. The one order that matters is
//! kept by types: `pcs::call` takes a `Permit`, which only `guardrails` makes, and an `Opened`, which only
//! `Audit::open` makes.

mod audit_events;
mod node_role;
mod reads;
mod unseen;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    audit::{
        Audit, Opened,
        record::{Decision, Downstream, Entry, Outcome, Step},
    },
    aws::Clients,
    client_token::ScopedToken,
    config::Config,
    contract,
    error::{Error, FieldError},
    guardrails::{self, Facts, Needs},
    iam::{self, facts::Unavailable},
    metrics::{self, Metric},
    operations::{Action, Operation},
    path,
    pcs::{self, Answer, Failure},
    principal::Principal,
    request::{ApiRequest, ApiResponse, Deadline},
    router::{self, Call},
    upstream,
};

/// One execution environment's gateway. Shared by concurrent calls.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) config: Arc<Config>,
    pub(crate) audit: Audit,
    pub(crate) clients: Clients,
}

/// A call on its way: its record, and the proof that the record is open.
struct Passage {
    entry: Entry,
    opened: Option<Opened>,
    /// When AWS must have answered.
    deadline: Instant,
    /// What PCS is sent in place of the caller's token.
    token: Option<ScopedToken>,
    /// PCS may have carried out the call, though it did not say so; what it said last can come from that.
    is_in_doubt: bool,
}

impl Gateway {
    pub fn new(config: Config) -> Gateway {
        let clients = Clients::new(config.aws.clone());
        Gateway::with_clients(config, clients)
    }

    /// With clients made elsewhere.
    pub fn with_clients(config: Config, clients: Clients) -> Gateway {
        let config = Arc::new(config);
        Gateway {
            audit: Audit::new(Arc::clone(&config)),
            config,
            clients,
        }
    }

    /// Answers a request, until `deadline`; never fails, never panics.
    pub async fn answer(
        &self,
        request: &ApiRequest,
        lambda_request_id: &str,
        deadline: Deadline,
    ) -> ApiResponse {
        let mut passage = Passage {
            entry: Entry::begin(request, lambda_request_id, Timestamp::now()).until(deadline),
            opened: None,
            deadline: deadline.work,
            token: None,
            is_in_doubt: false,
        };
        let carried_out = AssertUnwindSafe(self.carry_out(request, &mut passage))
            .catch_unwind()
            .await;
        let panicked = carried_out.is_err();
        let result = carried_out.unwrap_or(Err(Error::Internal));
        let result = self.close(&passage, result, panicked).await;
        let result = result.map_err(|error| match &passage.token {
            Some(token) => token.translate(error),
            None => error,
        });
        respond(result, &passage.entry)
    }

    async fn carry_out(&self, request: &ApiRequest, passage: &mut Passage) -> Result<Success, Error> {
        let principal = Principal::establish(request, &self.config.deployment).inspect_err(|_| {
            passage.entry.decision = Decision::Deny;
        })?;
        passage.entry.called_by(&principal);
        let operation = router::route(request);
        if let Ok(operation) = operation {
            passage.entry.routed_to(operation);
        }
        if request.overrides_method {
            passage.entry.decision = Decision::Deny;
            return Err(Error::MethodOverridden);
        }
        let (operation, call) = self.read(operation, request, passage)?;
        match operation {
            Operation::Pcs(action) => self.carry_out_by_pcs(action, call, &principal, passage).await,
            Operation::GetGuardrails => {
                passage.entry.decision = Decision::Allow;
                self.open(passage).await?;
                Ok(Success {
                    status: 200,
                    output: Map::from_iter([(
                        "guardrails".to_owned(),
                        json!(self.config.policy.describe(&self.config.regions)),
                    )]),
                })
            }
            Operation::ListAuditEvents => self.list_audit_events(&call, &principal, passage).await,
            Operation::GetAuditEvent => self.get_audit_event(&call, passage).await,
        }
    }

    /// Reads the request. A path in another form is somebody's try to get past the policies of API Gateway, whatever
    /// else is wrong with the request; what the caller can change besides is told with it.
    fn read(
        &self,
        operation: Result<Operation, Error>,
        request: &ApiRequest,
        passage: &mut Passage,
    ) -> Result<(Operation, Call), Error> {
        let read = operation.and_then(|operation| {
            let call = router::read(operation, request, &self.config, Timestamp::now())?;
            passage.entry.read_as(&call);
            Ok((operation, call))
        });
        let Some(fault) = path::fault(request) else {
            return read;
        };
        passage.entry.decision = Decision::Deny;
        let mut faults = vec![fault];
        if let Err(Error::Validation(others)) = read {
            faults.extend(others);
        }
        faults.truncate(FieldError::MOST);
        Err(Error::Validation(faults))
    }

    async fn carry_out_by_pcs(
        &self,
        action: Action,
        mut call: Call,
        principal: &Principal,
        passage: &mut Passage,
    ) -> Result<Success, Error> {
        let client_token = call.scoped_client_token(action, principal, &passage.entry.event_id.to_string());
        passage.token = client_token.clone().map(|sent| ScopedToken {
            sent,
            given: call.client_token.clone(),
        });
        let prepared = self
            .prepare_role(action, &mut call, client_token.as_deref(), passage)
            .await?;
        let result = self.ask_pcs(action, call, client_token, passage).await;
        self.settle_role(prepared, result, passage).await
    }

    /// Gathers, decides, records, asks PCS, checks again.
    async fn ask_pcs(
        &self,
        action: Action,
        call: Call,
        client_token: Option<String>,
        passage: &mut Passage,
    ) -> Result<Success, Error> {
        let facts = self.gather(action, &call, passage).await?;
        let permit = guardrails::decide(&self.config.policy, action, call, &facts)
            .map_err(|denial| node_role::deny(passage, denial))?;
        passage.entry.decision = Decision::Allow;
        node_role::stop_if_dry(permit.call(), permit.passed())?;
        let deadline = passage.deadline;
        let (opened, ()) = tokio::join!(self.open(passage), self.clients.prepare_pcs());
        let answer = pcs::call(&self.clients, &permit, opened?, client_token, deadline).await;
        passage.is_in_doubt = answer.as_ref().is_err_and(Failure::may_have_acted);
        let answer = note(&mut passage.entry, action, answer);
        if let Ok(answer) = &answer {
            passage.entry.answered_with(&answer.output);
        }
        // At the deadline there is no time for a second look; the sweep has one.
        if answer.is_ok() || (passage.is_in_doubt && Instant::now() < deadline) {
            self.recheck(facts, passage).await;
        }
        Ok(Success {
            status: contract::route(Operation::Pcs(action)).success,
            output: answer?.output,
        })
    }

    /// Reads what the decision needs. The record is opened at the same time, and before PCS is asked anything.
    async fn gather(&self, action: Action, call: &Call, passage: &mut Passage) -> Result<Facts, Error> {
        let arn = match guardrails::needs(action, call) {
            Needs::Nothing => return Ok(Facts::NotNeeded),
            Needs::Profile(arn) => arn,
            Needs::CurrentProfile(permit) => {
                let deadline = passage.deadline;
                let opened = self.open(passage).await?;
                let answer = pcs::call(&self.clients, &permit, opened, None, deadline).await;
                let answer = note(&mut passage.entry, permit.action(), answer)?;
                let group = answer.output.get("computeNodeGroup");
                let arn = group
                    .and_then(|group| group.get("iamInstanceProfileArn"))
                    .and_then(Value::as_str);
                arn.ok_or(Error::FactsUnavailable(
                    "the compute node group's instance profile",
                ))?
                .to_owned()
            }
        };
        let deadline = passage.deadline;
        let (opened, facts) = if passage.opened.is_some() {
            (Ok(passage.opened.take()), self.read_facts(&arn, deadline).await)
        } else {
            let open = self.audit.open(&self.clients, &passage.entry);
            let (opened, facts) = tokio::join!(open, self.read_facts(&arn, deadline));
            (opened.map(Some), facts)
        };
        passage.opened = opened?;
        let (facts, mut iam_calls) = facts;
        passage.entry.downstream.append(&mut iam_calls);
        let facts = facts?;
        passage.entry.inspected = facts.clone();
        Ok(facts)
    }

    /// Reads the profile's role from IAM; `None` when that fails or takes too long.
    pub(crate) async fn inspect(
        &self,
        profile_arn: &str,
        deadline: Instant,
    ) -> (Option<Facts>, Vec<Downstream>) {
        let (facts, iam_calls) = self.read_facts(profile_arn, deadline).await;
        (facts.ok(), iam_calls)
    }

    async fn read_facts(
        &self,
        profile_arn: &str,
        deadline: Instant,
    ) -> (Result<Facts, Error>, Vec<Downstream>) {
        let mut iam_calls = Vec::new();
        let facts = Box::pin(iam::facts::profile(
            self.clients.iam(),
            profile_arn,
            &mut iam_calls,
        ));
        let facts = timeout_at(deadline, facts).await;
        let facts = facts.unwrap_or(Err(Unavailable::Later));
        let facts = facts.map_err(|reason| unread(reason, "the instance profile's role"));
        (facts, iam_calls)
    }

    /// Check and use are two moments; what was decided on is read once more, and a difference is put on record: what
    /// is there now in the step's row, what was decided on in the closing one. The answer stays the truth about what
    /// PCS did.
    async fn recheck(&self, before: Facts, passage: &mut Passage) {
        let (Facts::Profile { requested, .. }, Some(opened)) = (&before, &passage.opened) else {
            return;
        };
        let (after, mut iam_calls) = self.inspect(requested, passage.deadline).await;
        let entry = &mut passage.entry;
        entry.downstream.append(&mut iam_calls);
        let step = match after {
            Some(after) if after == before => return,
            Some(after) => {
                entry.violations = guardrails::violations_of(&self.config.policy, &after);
                entry.inspected = after;
                Step::GuardrailDrift
            }
            None => Step::GuardrailRecheckFailed,
        };
        self.audit.step(&self.clients, entry, step, opened).await;
        entry.violations.clear();
        entry.inspected = before;
    }

    /// Opens the record once.
    async fn open<'p>(&self, passage: &'p mut Passage) -> Result<&'p Opened, Error> {
        let opened = match passage.opened.take() {
            Some(opened) => opened,
            None => self.audit.open(&self.clients, &passage.entry).await?,
        };
        Ok(passage.opened.insert(opened))
    }

    /// Ends the record. An opened call keeps its answer whatever happens here; one that was refused before it was
    /// opened gets its only row now, or no answer.
    async fn close(
        &self,
        passage: &Passage,
        result: Result<Success, Error>,
        panicked: bool,
    ) -> Result<Success, Error> {
        let entry = &passage.entry;
        let outcome = outcome(&result, entry, panicked);
        tracing::info!(
            event_id = %entry.event_id,
            request_id = entry.request_id(),
            operation = entry.operation_name(),
            principal = entry.principal().map(|principal| principal.arn.as_str()),
            decision = entry.decision.name(),
            status = outcome.status,
            code = outcome.error_code,
            // A read that succeeds has no row after its answer; this line joins it to PCS's own trail.
            downstream_request_id = entry.downstream.last().and_then(|call| call.request_id.as_deref()),
            duration_ms = u64::try_from(entry.elapsed().as_millis()).unwrap_or(u64::MAX),
            "call"
        );
        if entry.decision == Decision::Deny {
            metrics::count(Metric::Denied);
        }
        if passage.opened.is_some() {
            self.audit.close(&self.clients, entry, &outcome).await;
            return result;
        }
        if result
            .as_ref()
            .is_err_and(|error| *error == Error::AuditUnavailable)
        {
            return result;
        }
        self.audit
            .refuse(&self.clients, entry, &outcome)
            .await
            .and(result)
    }
}

/// What the caller is told when IAM could not be read: whether a retry makes sense.
fn unread(reason: Unavailable, what: &'static str) -> Error {
    match reason {
        Unavailable::Denied(lacks) => Error::IamAccessDenied(lacks),
        Unavailable::Credentials => Error::Internal,
        Unavailable::Later => Error::FactsUnavailable(what),
    }
}

/// Writes PCS's answer into the record and its failure into our terms.
fn note(entry: &mut Entry, action: Action, answer: Result<Answer, Failure>) -> Result<Answer, Error> {
    let (request_id, error_code) = match &answer {
        Ok(answer) => (answer.request_id.clone(), None),
        Err(failure) => (
            failure.request_id().map(str::to_owned),
            Some(failure.code().to_owned()),
        ),
    };
    entry.downstream.push(Downstream {
        service: "pcs",
        action: action.name(),
        request_id: request_id.map(|id| upstream::plain_request_id(&id).to_owned()),
        error_code,
    });
    answer.map_err(|failure| {
        upstream::log(action.name(), &failure);
        upstream::error(failure, action)
    })
}

/// What PCS returned, and the status that the contract gives it.
struct Success {
    status: u16,
    output: Map<String, Value>,
}

fn outcome(result: &Result<Success, Error>, entry: &Entry, panicked: bool) -> Outcome {
    match result {
        Ok(success) => Outcome {
            status: success.status,
            error_code: None,
            error_message: None,
            panicked,
        },
        Err(error) => {
            let class = error.class();
            Outcome {
                status: class.status,
                error_code: Some(class.code),
                error_message: Some(error.recorded_message(&|path| entry.recorded_path(path))),
                panicked,
            }
        }
    }
}

fn respond(result: Result<Success, Error>, entry: &Entry) -> ApiResponse {
    match result {
        Ok(Success { status: 204, .. }) => ApiResponse {
            status: 204,
            headers: Vec::new(),
            body: None,
        },
        Ok(Success { status, output }) => ApiResponse {
            status,
            headers: Vec::new(),
            body: Some(Value::Object(output)),
        },
        Err(error) => {
            let mut headers = Vec::new();
            headers.extend(
                error
                    .retry_after_seconds()
                    .map(|seconds| ("Retry-After", seconds.to_string())),
            );
            if let Error::MethodNotAllowed(methods) = &error {
                headers.push(("Allow", methods.join(", ")));
            }
            ApiResponse {
                status: error.class().status,
                headers,
                body: Some(error.body(&entry.request_id())),
            }
        }
    }
}
