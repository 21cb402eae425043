//! Writes to IAM: makes the role and the instance profile of a compute node group, step by step, changes its
//! policies, and removes what was made.
//!
//! Each step can be repeated. One that finds its work done looks at what is there and takes it only if it is exactly
//! what the step would have made; anything else of that name stays untouched. No step runs without a permit, which
//! only `guardrails` makes, and an open record.

use std::future::Future;

use aws_sdk_iam::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
    types::{InstanceProfile, Role, Tag},
};
use aws_smithy_runtime_api::http::Response;
use tokio::time::{Instant, timeout_at};

use super::facts::{self, document, entry};
use crate::{
    audit::{Opened, record::Downstream},
    denied::{Lack, is_of_credentials},
    error::{Error, Quote, Sentence, Service},
    guardrails::node_role::{
        AttachmentPermit, DEPLOYMENT_TAG, NodeRole, OPERATION_TAG, PATH, RemovalPermit, RolePermit,
    },
    upstream,
};

/// Why a step did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Something of that name is there and was not made for this request.
    Foreign { what: &'static str, name: String },
    /// IAM's own sentence about the limit.
    Quota(String),
    /// IAM denies this permission to the function's role.
    Denied(Lack),
    /// IAM does not accept the function's own credentials.
    Credentials,
    /// IAM refuses the step itself; its own sentence.
    Refused(String),
    /// No answer, or one that says "later". The step may have happened.
    Unfinished,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Foreign { what, name } => Error::Conflict(Sentence::Ours(format!(
                "IAM has {what} `{name}` already, made for another request or by somebody else, and it is left as it \
                 is; use a clientToken that you have not used before"
            ))),
            Failure::Quota(message) => Error::Quota(quote(format!("IAM refuses to go on: {message}"))),
            Failure::Denied(lack) => Error::IamAccessDenied(vec![lack]),
            Failure::Credentials => Error::Internal,
            Failure::Refused(message) => Error::Refused {
                quote: quote(format!(
                    "IAM refuses a step of making or changing the role: {message}"
                )),
                fields: Vec::new(),
            },
            Failure::Unfinished => Error::RoleUnfinished,
        }
    }
}

/// Something that stands in IAM for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether this call made it; else an earlier try of the same request did.
    pub created: bool,
    /// Seconds since the epoch.
    pub since: i64,
}

/// Policies that a change attached to and detached from a role, so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub attached: Vec<String>,
    pub detached: Vec<String>,
}

/// The only writer to IAM.
pub struct Roles<'a> {
    client: &'a Client,
    deadline: Instant,
    log: &'a mut Vec<Downstream>,
}

impl<'a> Roles<'a> {
    /// `_opened` is the proof that the call is on record; what is asked is added to `log`.
    pub fn new(
        client: &'a Client,
        _opened: &'a Opened,
        deadline: Instant,
        log: &'a mut Vec<Downstream>,
    ) -> Roles<'a> {
        Roles {
            client,
            deadline,
            log,
        }
    }

    /// Creates the role with its boundary, trust policy and tags, or takes the one that an earlier try created.
    pub async fn create_role(&mut self, permit: &RolePermit) -> Result<Standing, Failure> {
        let role = permit.role();
        let request = self
            .client
            .create_role()
            .role_name(&role.name)
            .path(PATH)
            .description("Made by PCS API for the instances of a compute node group")
            .assume_role_policy_document(role.trust.to_string())
            .set_permissions_boundary(role.boundary.clone())
            .set_tags(Some(tags(role)?));
        match self.ask("CreateRole", request.send()).await {
            Ok(output) => Ok(Standing {
                created: true,
                since: output.role.ok_or(Failure::Unfinished)?.create_date.secs(),
            }),
            Err(refusal) if refusal.code == "EntityAlreadyExists" => self.adopt_role(role).await,
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn adopt_role(&mut self, wanted: &NodeRole) -> Result<Standing, Failure> {
        let request = self.client.get_role().role_name(&wanted.name);
        let found = self.ask("GetRole", request.send()).await?.role;
        let found = found.ok_or(Failure::Unfinished)?;
        if !is_ours(&found, wanted) {
            return Err(foreign("a role", wanted));
        }
        Ok(Standing {
            created: false,
            since: found.create_date.secs(),
        })
    }

    /// Gives the role its policies.
    pub async fn set_policies(&mut self, permit: &RolePermit) -> Result<(), Failure> {
        let role = permit.role();
        for arn in &role.policies {
            self.attach(&role.name, arn).await?;
        }
        Ok(())
    }

    /// Creates the instance profile, or takes the one that an earlier try created.
    pub async fn create_profile(&mut self, permit: &RolePermit) -> Result<Standing, Failure> {
        let role = permit.role();
        let request = self
            .client
            .create_instance_profile()
            .instance_profile_name(&role.name)
            .path(PATH)
            .set_tags(Some(tags(role)?));
        let (created, profile) = match self.ask("CreateInstanceProfile", request.send()).await {
            Ok(output) => (true, output.instance_profile.ok_or(Failure::Unfinished)?),
            Err(refusal) if refusal.code == "EntityAlreadyExists" => (false, self.own_profile(role).await?),
            Err(refusal) => return Err(refusal.into()),
        };
        Ok(Standing {
            created,
            since: profile.create_date.secs(),
        })
    }

    /// The profile, if an earlier try of the same request got as far as to put the role into it.
    pub async fn finished_profile(&mut self, permit: &RolePermit) -> Result<Option<Standing>, Failure> {
        let role = permit.role();
        let request = self
            .client
            .get_instance_profile()
            .instance_profile_name(&role.name);
        let found = match self.ask("GetInstanceProfile", request.send()).await {
            Ok(output) => own(output.instance_profile, role)?,
            Err(refusal) if refusal.code == "NoSuchEntity" => return Ok(None),
            Err(refusal) => return Err(refusal.into()),
        };
        Ok((!found.roles.is_empty()).then(|| Standing {
            created: false,
            since: found.create_date.secs(),
        }))
    }

    /// The profile of that name, if it was made for this request and holds no other role.
    async fn own_profile(&mut self, wanted: &NodeRole) -> Result<InstanceProfile, Failure> {
        let request = self
            .client
            .get_instance_profile()
            .instance_profile_name(&wanted.name);
        let found = self.ask("GetInstanceProfile", request.send()).await?;
        own(found.instance_profile, wanted)
    }

    /// Puts the role into the profile; `false`: it is there already.
    pub async fn add_role(&mut self, permit: &RolePermit) -> Result<bool, Failure> {
        let role = permit.role();
        let request = self
            .client
            .add_role_to_instance_profile()
            .instance_profile_name(&role.name)
            .role_name(&role.name);
        match self.ask("AddRoleToInstanceProfile", request.send()).await {
            Ok(_) => Ok(true),
            // A profile holds one role.
            Err(refusal) if refusal.code == "LimitExceeded" || refusal.code == "EntityAlreadyExists" => {
                let holds_it = !self.own_profile(role).await?.roles.is_empty();
                if holds_it { Ok(false) } else { Err(refusal.into()) }
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Removes what was made, last things first; `profile`: whether the profile stands too. What is not there is
    /// removed. A step that fails does not keep the others from being tried. Only the deletions count: IAM deletes
    /// neither profile nor role while anything hangs on it.
    pub async fn remove(&mut self, permit: &RemovalPermit, profile: bool) -> Result<(), Failure> {
        let (client, name) = (self.client, permit.name());
        let mut deleted = Ok(());
        if profile {
            let take_out = client
                .remove_role_from_instance_profile()
                .instance_profile_name(name)
                .role_name(name);
            let _ = self.undo("RemoveRoleFromInstanceProfile", take_out.send()).await;
            let delete = client.delete_instance_profile().instance_profile_name(name);
            deleted = self.undo("DeleteInstanceProfile", delete.send()).await;
        }
        for arn in permit.policies().iter().rev() {
            let _ = self.detach(name, arn).await;
        }
        for policy in permit.inline() {
            let delete = client.delete_role_policy().role_name(name).policy_name(policy);
            let _ = self.undo("DeleteRolePolicy", delete.send()).await;
        }
        let delete = client.delete_role().role_name(name);
        deleted.and(self.undo("DeleteRole", delete.send()).await)
    }

    /// Attaches what is missing, then detaches what is not listed. Where IAM's quota leaves no room for that order,
    /// a policy that goes makes room for one that comes.
    pub async fn change(&mut self, permit: &AttachmentPermit, done: &mut Changes) -> Result<(), Failure> {
        let role = permit.role_name();
        let mut going = permit.detach().iter();
        for arn in permit.attach() {
            while let Err(failure) = self.attach(role, arn).await {
                let room = match &failure {
                    Failure::Quota(_) => going.next(),
                    Failure::Foreign { .. }
                    | Failure::Denied(_)
                    | Failure::Credentials
                    | Failure::Refused(_)
                    | Failure::Unfinished => None,
                };
                let Some(gone) = room else { return Err(failure) };
                self.detach(role, gone).await?;
                done.detached.push(gone.clone());
            }
            done.attached.push(arn.clone());
        }
        for gone in going {
            self.detach(role, gone).await?;
            done.detached.push(gone.clone());
        }
        Ok(())
    }

    /// Takes a change back, except that a policy which is no longer allowed stays away.
    pub async fn change_back(&mut self, permit: &AttachmentPermit, done: &Changes) -> Result<(), Failure> {
        let role = permit.role_name();
        for arn in &done.attached {
            self.detach(role, arn).await?;
        }
        for arn in done.detached.iter().filter(|arn| permit.restore().contains(arn)) {
            self.attach(role, arn).await?;
        }
        Ok(())
    }

    async fn attach(&mut self, role: &str, arn: &str) -> Result<(), Failure> {
        let request = self.client.attach_role_policy().role_name(role).policy_arn(arn);
        self.ask("AttachRolePolicy", request.send()).await?;
        Ok(())
    }

    async fn detach(&mut self, role: &str, arn: &str) -> Result<(), Failure> {
        let request = self.client.detach_role_policy().role_name(role).policy_arn(arn);
        self.undo("DetachRolePolicy", request.send()).await
    }

    /// A step whose work is done when there is nothing to do it on.
    async fn undo<T, E>(
        &mut self,
        action: &'static str,
        sent: impl Future<Output = Result<T, SdkError<E, Response>>>,
    ) -> Result<(), Failure>
    where
        T: RequestId,
        E: ProvideErrorMetadata,
    {
        match self.ask(action, sent).await {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.code == "NoSuchEntity" => Ok(()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn ask<T, E>(
        &mut self,
        action: &'static str,
        sent: impl Future<Output = Result<T, SdkError<E, Response>>>,
    ) -> Result<T, Refusal>
    where
        T: RequestId,
        E: ProvideErrorMetadata,
    {
        let answer = if Instant::now() < self.deadline {
            // Boxed: the SDK's futures are large.
            timeout_at(self.deadline, Box::pin(sent)).await.ok()
        } else {
            None
        };
        let refusal = match answer {
            Some(Ok(output)) => {
                self.log.push(entry(action, output.request_id(), None));
                return Ok(output);
            }
            Some(Err(error)) => {
                let code = upstream::plain_code(error.code().unwrap_or("Unreachable")).to_owned();
                let said = error.message().unwrap_or_default();
                self.log.push(entry(action, error.request_id(), Some(&code)));
                Refusal {
                    lack: Lack::of_iam(action, said),
                    code,
                    message: upstream::public(said),
                }
            }
            None => {
                self.log.push(entry(action, None, Some("OutOfTime")));
                Refusal {
                    lack: Lack::of_iam(action, ""),
                    code: "OutOfTime".to_owned(),
                    message: String::new(),
                }
            }
        };
        let permission = facts::is_denial(&refusal.code).then(|| refusal.lack.permission());
        tracing::info!(action, code = refusal.code, permission, "IAM_REFUSED");
        Err(refusal)
    }
}

/// IAM's refusal, by its code (IAM API reference, errors of each action), or ours when there was no answer.
struct Refusal {
    /// What is missing, if the code says that something is.
    lack: Lack,
    code: String,
    message: String,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal.code.as_str() {
            "LimitExceeded" => Failure::Quota(refusal.message),
            code if facts::is_denial(code) => Failure::Denied(refusal.lack),
            code if is_of_credentials(code) => Failure::Credentials,
            "DeleteConflict"
            | "InvalidInput"
            | "MalformedPolicyDocument"
            | "PolicyNotAttachable"
            | "UnmodifiableEntity"
            | "ValidationError" => Failure::Refused(refusal.message),
            // Among them `NoSuchEntity`: what an earlier step made is not seen everywhere yet, or was just removed.
            _ => Failure::Unfinished,
        }
    }
}

fn quote(text: String) -> Quote {
    Quote {
        service: Service::Iam,
        text,
    }
}

fn foreign(what: &'static str, wanted: &NodeRole) -> Failure {
    Failure::Foreign {
        what,
        name: wanted.name.clone(),
    }
}

/// Whether the role is the one that this request makes. IAM finds names in any case; the ARN tells case and path.
fn is_ours(found: &Role, wanted: &NodeRole) -> bool {
    let boundary = found.permissions_boundary.as_ref();
    let boundary = boundary.and_then(|boundary| boundary.permissions_boundary_arn.as_deref());
    found.arn == wanted.role_arn
        && has_tags(found.tags.as_deref(), wanted)
        && boundary == wanted.boundary.as_deref()
        && document(found.assume_role_policy_document.as_deref().unwrap_or_default()) == wanted.trust
}

/// The profile, if it is the one that this request makes and holds no other role.
fn own(found: Option<InstanceProfile>, wanted: &NodeRole) -> Result<InstanceProfile, Failure> {
    let found = found.ok_or(Failure::Unfinished)?;
    let ours = found.arn == wanted.profile_arn
        && has_tags(found.tags.as_deref(), wanted)
        && found.roles.iter().all(|role| role.role_name == wanted.name);
    if ours {
        Ok(found)
    } else {
        Err(foreign("an instance profile", wanted))
    }
}

fn has_tags(found: Option<&[Tag]>, wanted: &NodeRole) -> bool {
    [DEPLOYMENT_TAG, OPERATION_TAG].into_iter().all(|key| {
        let mut values = found.unwrap_or_default().iter().filter(|tag| tag.key == key);
        values.next().map(|tag| tag.value.as_str()) == wanted.tag(key)
    })
}

fn tags(role: &NodeRole) -> Result<Vec<Tag>, Failure> {
    let tags = role.tags.iter();
    tags.map(|(key, value)| Tag::builder().key(*key).value(value).build())
        .collect::<Result<_, _>>()
        .map_err(|_| Failure::Unfinished)
}
