//! Everything that can go wrong with a call, and the one table that says what the caller is told.
//!
//! A message alone must tell the caller what to change. What is known only to us (role ARNs of this API, upstream
//! text with secrets, Rust errors) is not representable here: it goes to the log, never into an answer.

mod field;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use self::field::FieldError;
use self::field::{SHOWN, does_not_fit};
use crate::{
    denied::{self, Lack},
    guardrails::Denial,
};

/// One rule that the request breaks (see `guardrails/`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Stable id of the rule, for example `allowlist`.
    pub rule: &'static str,
    /// What breaks it, mostly an ARN.
    pub subject: String,
    /// What is wrong and what to change.
    pub message: String,
    /// Patterns or values that would pass; empty when no list helps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
}

/// A sentence for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sentence {
    Ours(String),
    Quoted(Quote),
}

/// A sentence with the words of another service. It may repeat any value of the request, secrets too, so the caller
/// reads it, who sent them, and the record does not keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub service: Service,
    pub text: String,
}

/// Who is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Pcs,
    Iam,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Service::Pcs => "PCS",
            Service::Iam => "IAM",
        }
    }
}

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The request breaks the contract.
    Validation(Vec<FieldError>),
    /// PCS or IAM found the request invalid.
    Refused {
        quote: Quote,
        fields: Vec<FieldError>,
    },
    /// At least one guardrail is broken.
    Guardrail(Denial),
    /// The event does not come from the deployed API, or names no caller.
    Caller(&'static str),
    /// PCS refuses this API's role, which it also does for ids that do not exist; the permission, where PCS names one.
    UpstreamAccessDenied(Option<Lack>),
    UnknownRoute,
    NotFound(Sentence),
    /// The methods that the resource has.
    MethodNotAllowed(Vec<&'static str>),
    /// The header `X-HTTP-Method-Override` was sent.
    MethodOverridden,
    MediaType,
    TooLarge {
        limit: usize,
    },
    Conflict(Sentence),
    /// A dry run that passed; whether PCS would carry it out is known to PCS alone. The guardrail rules that were asked and passed.
    DryRun {
        passed: Vec<&'static str>,
    },
    Quota(Quote),
    /// PCS refuses with a code that this API does not know. `may_have_acted`: the call was one that changes something.
    Unknown {
        quote: Quote,
        may_have_acted: bool,
    },
    /// An attempt at the call was not answered, and the next one so: PCS may have carried out the call.
    InDoubt(Box<Error>),
    /// IAM refuses this API's role these permissions.
    IamAccessDenied(Vec<Lack>),
    /// PCS may not see the instance profile that was made for the request yet, as far as tell its words or the
    /// permission that it names.
    Propagating {
        quote: Option<Quote>,
        lack: Option<Lack>,
    },
    /// IAM did not carry out a step of making or changing a role, or it is not known whether it did.
    RoleUnfinished,
    /// Seconds after which a retry makes sense.
    Throttled {
        retry_after_seconds: u32,
    },
    /// A fault of this API; details are in the log under the request id.
    Internal,
    /// PCS or IAM answered something unusable, or nothing.
    BadGateway(String),
    /// The audit record could not be written, so nothing was done.
    AuditUnavailable,
    /// The audit table could not be read.
    AuditUnreadable,
    /// What a decision needs could not be read from IAM or PCS, so the call was refused.
    FactsUnavailable(&'static str),
    /// Time ran out. `sent`: whether PCS may have carried out the call all the same.
    OutOfTime {
        sent: bool,
    },
}

/// HTTP status and code of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    pub status: u16,
    pub code: &'static str,
}

impl Error {
    /// THE table: design section 4.
    pub fn class(&self) -> Class {
        let (status, code) = match self {
            Error::Validation(_) | Error::Refused { .. } => (400, "ValidationException"),
            Error::Quota(_) => (402, "ServiceQuotaExceededException"),
            Error::Guardrail(_) => (403, "GuardrailDenied"),
            Error::Caller(_) | Error::MethodOverridden => (403, "AccessDeniedException"),
            Error::UpstreamAccessDenied(_) | Error::IamAccessDenied(_) => (403, "UpstreamAccessDenied"),
            Error::UnknownRoute | Error::NotFound(_) => (404, "ResourceNotFoundException"),
            Error::MethodNotAllowed(_) => (405, "MethodNotAllowedException"),
            Error::Conflict(_) => (409, "ConflictException"),
            Error::DryRun { .. } => (412, "DryRunOperation"),
            Error::TooLarge { .. } => (413, "RequestTooLargeException"),
            Error::MediaType => (415, "UnsupportedMediaTypeException"),
            Error::Throttled { .. } => (429, "ThrottlingException"),
            Error::Internal => (500, "InternalServerException"),
            Error::BadGateway(_) | Error::Unknown { .. } | Error::InDoubt(_) => (502, "BadGatewayException"),
            Error::AuditUnavailable | Error::AuditUnreadable => (503, "AuditUnavailableException"),
            Error::Propagating { .. } => (503, "InstanceProfilePropagating"),
            Error::FactsUnavailable(_) | Error::RoleUnfinished => (503, "ServiceUnavailableException"),
            Error::OutOfTime { .. } => (504, "GatewayTimeoutException"),
        };
        Class { status, code }
    }

    /// The sentence for the caller.
    pub fn message(&self) -> String {
        match self {
            Error::Validation(fields) => does_not_fit(fields, fields.len()),
            Error::Refused { quote, .. }
            | Error::NotFound(Sentence::Quoted(quote))
            | Error::Conflict(Sentence::Quoted(quote))
            | Error::Quota(quote) => quote.text.clone(),
            Error::Unknown {
                quote,
                may_have_acted: false,
            } => format!(
                "PCS refused the request for a reason that this API does not know (PCS says: {})",
                quote.text
            ),
            Error::Unknown { quote, .. } => format!(
                "PCS refused the request for a reason that this API does not know; before you repeat it, read the \
                 resource, or repeat it with the same clientToken (PCS says: {})",
                quote.text
            ),
            Error::InDoubt(next) => in_doubt(&next.message()),
            Error::NotFound(Sentence::Ours(message))
            | Error::Conflict(Sentence::Ours(message))
            | Error::BadGateway(message) => message.clone(),
            Error::Guardrail(denial) => {
                let told: Vec<&str> = denial
                    .violations
                    .iter()
                    .map(|violation| violation.message.as_str())
                    .collect();
                format!("the guardrails refuse this request: {}", told.join("; "))
            }
            Error::Caller(reason) => format!("the caller could not be established: {reason}"),
            Error::UpstreamAccessDenied(lack) => denied::by_pcs(lack.as_ref()),
            Error::IamAccessDenied(lacks) => denied::by_iam(lacks),
            Error::Propagating { quote, lack } => {
                let said = quote.as_ref().map(|quote| format!(" (PCS says: {})", quote.text));
                let lack = lack.as_ref().map(denied::while_it_is_new);
                format!(
                    "PCS may not see the new instance profile yet, which takes up to two minutes; repeat the same \
                     request with the same clientToken{}{}",
                    said.unwrap_or_default(),
                    lack.unwrap_or_default()
                )
            }
            Error::RoleUnfinished => {
                "the role is not complete, or could not be read; repeat the same request with the same clientToken to go on"
                    .to_owned()
            }
            Error::UnknownRoute => "no such resource; the paths are in the API's OpenAPI document".to_owned(),
            Error::MethodNotAllowed(allow) => format!("this resource takes {}", allow.join(", ")),
            Error::MethodOverridden => {
                "API Gateway may have authorized this request for another method; leave out the header \
                X-HTTP-Method-Override and send the method itself"
                    .to_owned()
            }
            Error::MediaType => "send the body as `Content-Type: application/json`".to_owned(),
            Error::TooLarge { limit } => format!("the body is larger than {limit} bytes; send less"),
            Error::DryRun { .. } => {
                "the request passes every check of this API and would have been sent to PCS; leave out \
                 `dryrun=true` to carry it out"
                    .to_owned()
            }
            Error::Throttled { retry_after_seconds } => {
                format!("PCS is throttling requests; retry after {retry_after_seconds} s")
            }
            Error::Internal => "a fault of this API; report it with the requestId".to_owned(),
            Error::AuditUnavailable => {
                "the call could not be recorded, so it was not carried out; retry".to_owned()
            }
            Error::AuditUnreadable => "the audit trail could not be read; retry".to_owned(),
            Error::FactsUnavailable(what) => {
                format!("{what} could not be read, so the call was refused and nothing happened; retry")
            }
            Error::OutOfTime { sent: false } => {
                "time ran out before PCS was asked; nothing happened; retry".to_owned()
            }
            Error::OutOfTime { sent: true } => {
                "PCS did not answer in time and may still carry out the call; read the \
                resource, or repeat the request with the same clientToken"
                    .to_owned()
            }
        }
    }

    /// What another service said, where that is the whole reason.
    pub fn quote(&self) -> Option<&Quote> {
        if let Error::Refused { quote, .. }
        | Error::NotFound(Sentence::Quoted(quote))
        | Error::Conflict(Sentence::Quoted(quote))
        | Error::Quota(quote)
        | Error::Unknown { quote, .. } = self
        {
            Some(quote)
        } else {
            None
        }
    }

    /// What PCS said last, whether or not it may have acted before.
    pub fn last_word(&self) -> &Error {
        if let Error::InDoubt(next) = self {
            next
        } else {
            self
        }
    }

    /// The sentence for the record: without the words of other services, and without names that the caller made up.
    /// `field` tells which part of a field's path comes from the contract and not from the request.
    pub fn recorded_message(&self, field: &dyn Fn(&str) -> String) -> String {
        if let Error::Validation(fields) = self {
            let told = fields
                .iter()
                .take(SHOWN + 1)
                .map(|error| error.for_the_record(field));
            return does_not_fit(&told.collect::<Vec<_>>(), fields.len());
        }
        if let Error::Propagating { lack, .. } = self {
            let lack = lack.clone();
            return Error::Propagating { quote: None, lack }.message();
        }
        if let Error::InDoubt(next) = self {
            return in_doubt(&next.recorded_message(field));
        }
        let Some(quote) = self.quote() else {
            return self.message();
        };
        let paths: Vec<String> = self.fields().iter().map(|error| field(&error.path)).collect();
        let what = match self.class().status {
            402 => "found a quota reached".to_owned(),
            404 => "found nothing that the request names".to_owned(),
            409 => "found the request at odds with the state of the resource".to_owned(),
            502 => "refused the request for a reason that this API does not know".to_owned(),
            _ if paths.is_empty() => "found the request invalid".to_owned(),
            _ => format!("found the request invalid ({})", paths.join(", ")),
        };
        format!("{} {what}; the caller was told its words", quote.service.name())
    }

    /// Value of `Retry-After` in seconds, where a retry of the same request makes sense.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Error::Throttled { retry_after_seconds } => Some(*retry_after_seconds),
            // Instance profiles are seen after seconds to two minutes.
            Error::Propagating { .. } => Some(15),
            Error::InDoubt(next) => next.retry_after_seconds(),
            Error::AuditUnavailable
            | Error::AuditUnreadable
            | Error::FactsUnavailable(_)
            | Error::RoleUnfinished => Some(2),
            Error::Validation(_)
            | Error::Refused { .. }
            | Error::Guardrail(_)
            | Error::Caller(_)
            | Error::UpstreamAccessDenied(_)
            | Error::UnknownRoute
            | Error::NotFound(_)
            | Error::MethodNotAllowed(_)
            | Error::MethodOverridden
            | Error::MediaType
            | Error::TooLarge { .. }
            | Error::Conflict(_)
            | Error::DryRun { .. }
            | Error::Quota(_)
            | Error::Unknown { .. }
            | Error::IamAccessDenied(_)
            | Error::Internal
            | Error::BadGateway(_)
            | Error::OutOfTime { .. } => None,
        }
    }

    /// Whether PCS or IAM did nothing and would refuse the same request again.
    pub fn is_final(&self) -> bool {
        match self {
            Error::Validation(_)
            | Error::Refused { .. }
            | Error::Guardrail(_)
            | Error::UpstreamAccessDenied(_)
            | Error::IamAccessDenied(_)
            | Error::NotFound(_)
            | Error::Conflict(_)
            | Error::Quota(_) => true,
            Error::Caller(_)
            | Error::UnknownRoute
            | Error::MethodNotAllowed(_)
            | Error::MethodOverridden
            | Error::MediaType
            | Error::TooLarge { .. }
            | Error::DryRun { .. }
            | Error::Unknown { .. }
            | Error::InDoubt(_)
            | Error::Propagating { .. }
            | Error::RoleUnfinished
            | Error::Throttled { .. }
            | Error::Internal
            | Error::BadGateway(_)
            | Error::AuditUnavailable
            | Error::AuditUnreadable
            | Error::FactsUnavailable(_)
            | Error::OutOfTime { .. } => false,
        }
    }

    /// With the words of another service changed.
    #[must_use]
    pub fn with_quotes(mut self, change: &dyn Fn(&str) -> String) -> Error {
        if let Error::NotFound(Sentence::Quoted(quote))
        | Error::Conflict(Sentence::Quoted(quote))
        | Error::Refused { quote, .. }
        | Error::Quota(quote)
        | Error::Unknown { quote, .. }
        | Error::Propagating {
            quote: Some(quote), ..
        } = &mut self
        {
            quote.text = change(&quote.text);
        }
        if let Error::InDoubt(next) = self {
            return Error::InDoubt(Box::new(next.with_quotes(change)));
        }
        if let Error::Refused { fields, .. } = &mut self {
            for field in fields {
                *field = FieldError::new(&change(&field.path), change(&field.message));
            }
        }
        self
    }

    fn fields(&self) -> &[FieldError] {
        if let Error::Validation(fields) | Error::Refused { fields, .. } = self {
            fields
        } else {
            &[]
        }
    }

    /// The contract's `ApiError`.
    pub fn body(&self, request_id: &str) -> Value {
        let class = self.class();
        let mut body = Map::new();
        body.insert("message".to_owned(), self.message().into());
        body.insert("code".to_owned(), class.code.into());
        body.insert("requestId".to_owned(), request_id.into());
        if !self.fields().is_empty() {
            body.insert("fieldErrors".to_owned(), json!(self.fields()));
        }
        if let Error::Guardrail(denial) = self {
            body.insert("violations".to_owned(), json!(denial.violations));
        }
        if !self.passed().is_empty() {
            body.insert("passedRules".to_owned(), json!(self.passed()));
        }
        Value::Object(body)
    }

    /// The guardrail rules that were asked and passed.
    fn passed(&self) -> &[&'static str] {
        match self {
            Error::Guardrail(Denial { passed, .. }) | Error::DryRun { passed } => passed,
            Error::Validation(_)
            | Error::Refused { .. }
            | Error::Caller(_)
            | Error::UpstreamAccessDenied(_)
            | Error::UnknownRoute
            | Error::NotFound(_)
            | Error::MethodNotAllowed(_)
            | Error::MethodOverridden
            | Error::MediaType
            | Error::TooLarge { .. }
            | Error::Conflict(_)
            | Error::Quota(_)
            | Error::Unknown { .. }
            | Error::InDoubt(_)
            | Error::IamAccessDenied(_)
            | Error::Propagating { .. }
            | Error::RoleUnfinished
            | Error::Throttled { .. }
            | Error::Internal
            | Error::BadGateway(_)
            | Error::AuditUnavailable
            | Error::AuditUnreadable
            | Error::FactsUnavailable(_)
            | Error::OutOfTime { .. } => &[],
        }
    }
}

/// What says that PCS may have acted, whatever it said to the next attempt.
fn in_doubt(next: &str) -> String {
    format!(
        "an attempt at the call was not answered, and PCS may have carried it out; read the resource, or repeat the \
         request with the same clientToken (the answer to the next attempt: {next})"
    )
}
