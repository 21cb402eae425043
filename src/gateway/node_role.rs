//! The part of the road that a request with `iam` takes before and after PCS is asked: the role and the instance
//! profile are made, or the policies of a role that was made are changed, and undone if PCS refuses for good.
//!
//! What was made passes the same gathering, the same rules and the same call as a profile that was always there.
//! Only a refusal is undone, only if it is certain that PCS did not act on it, and only what the refused request made
//! itself: with what an earlier try made, another group can have come to run. Everything else stays: the same request
//! with the same token goes on where it stopped, and the sweep, which reads all groups, removes what none came to use.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Gateway, Passage, Success,
    reads::{self, Group},
    unread, unseen,
};
use crate::{
    audit::record::{Decision, Step},
    error::{Error, FieldError, Sentence},
    guardrails::{
        Denial, Permit,
        node_role::{self, AttachmentPermit, RolePermit},
    },
    iam::{
        facts::{self, Unavailable},
        roles::{Changes, Roles, Standing},
    },
    operations::Action,
    router::Call,
};

/// A role is not begun with less time left.
const TIME_TO_MAKE: Duration = Duration::from_secs(5);
/// PCS can be blind to an instance profile for so long; EC2 is known for up to two minutes.
const PROPAGATION_SECONDS: i64 = 120;

/// What was done in IAM for a request, before PCS is asked.
pub(super) enum Prepared {
    /// The request has no `iam`.
    Nothing,
    Role(Box<Made>),
    Policies(Box<Changed>),
}

/// A role on its way, and its profile.
pub(super) struct Made {
    pub(super) permit: RolePermit,
    /// A read of the compute node group that the request names.
    pub(super) group: Permit,
    role: Option<Standing>,
    profile: Option<Standing>,
    /// Seconds since the epoch, of the last thing that PCS must come to see.
    youngest: i64,
    /// What the caller named as he liked; PCS's sentences repeat it.
    names: Vec<String>,
}

impl Made {
    /// Whether PCS may still be blind to it.
    fn is_young(&self) -> bool {
        Timestamp::now().as_second() - self.youngest < PROPAGATION_SECONDS
    }

    /// Whether nothing of it stood there before this request.
    fn is_all_new(&self) -> bool {
        let all = [self.role, self.profile];
        all.into_iter().flatten().all(|standing| standing.created)
    }
}

/// A role whose policies were changed.
pub(super) struct Changed {
    permit: AttachmentPermit,
    changes: Changes,
}

impl Gateway {
    /// Does in IAM what `iam` asks for, and turns the call into one without it.
    pub(super) async fn prepare_role(
        &self,
        action: Action,
        call: &mut Call,
        token: Option<&str>,
        passage: &mut Passage,
    ) -> Result<Prepared, Error> {
        if call.additional_iam_policies.is_none() {
            return Ok(Prepared::Nothing);
        }
        let prepared = if action == Action::CreateComputeNodeGroup {
            let made = self.make_role(call, token.unwrap_or_default(), passage).await?;
            let arn = made.permit.role().profile_arn.clone();
            call.input.insert("iamInstanceProfileArn".to_owned(), arn.into());
            Prepared::Role(made)
        } else {
            Prepared::Policies(self.change_policies(action, call, passage).await?)
        };
        call.additional_iam_policies = None;
        Ok(prepared)
    }

    /// Undoes what was prepared if PCS, or a guardrail, refused for good.
    pub(super) async fn settle_role(
        &self,
        prepared: Prepared,
        result: Result<Success, Error>,
        passage: &mut Passage,
    ) -> Result<Success, Error> {
        match (prepared, result) {
            (_, Ok(success)) => Ok(success),
            (Prepared::Nothing, Err(error)) => Err(error),
            (Prepared::Role(made), Err(error)) => Err(begun(self.give_up(&made, error, passage).await)),
            (Prepared::Policies(changed), Err(error)) => {
                Err(begun(self.change_back(&changed, error, passage).await))
            }
        }
    }

    async fn make_role(&self, call: &Call, token: &str, passage: &mut Passage) -> Result<Box<Made>, Error> {
        let permit = node_role::permit_role(&self.config.policy, call, token)
            .map_err(|denial| deny(passage, denial))?;
        self.check_policies(call, passage).await?;
        passage.entry.decision = Decision::Allow;
        stop_if_dry(call, permit.passed())?;
        if passage.deadline.saturating_duration_since(Instant::now()) < TIME_TO_MAKE {
            return Err(Error::OutOfTime { sent: false });
        }
        passage.entry.node_role = Some(permit.role().role_arn.clone());
        self.open(passage).await?;
        self.find_cluster(call, passage).await?;
        let mut made = Box::new(Made {
            group: reads::of_the_group(call).ok_or(Error::Internal)?,
            permit,
            role: None,
            profile: None,
            youngest: 0,
            names: unseen::names(&call.input),
        });
        match self.take_steps(&mut made, passage).await {
            Ok(()) => Ok(made),
            Err(error) => Err(self.give_up(&made, error, passage).await),
        }
    }

    /// Every step can find its work done by an earlier try of the same request.
    async fn take_steps(&self, made: &mut Made, passage: &mut Passage) -> Result<(), Error> {
        let role = self.roles(passage)?.create_role(&made.permit).await?;
        made.role = Some(role);
        made.youngest = role.since;
        let step = if role.created {
            Step::RoleCreated
        } else {
            Step::RoleAdopted
        };
        self.record(step, passage).await;
        if !role.created {
            match self.group(made, passage).await? {
                // All was done before; what happened to the role since then is not this request's to change.
                Group::RunsWithTheRole => return Ok(()),
                Group::HasAnother | Group::IsNotThere => {}
                // A role that may be in use is not changed.
                Group::Hidden => return Err(Error::UpstreamAccessDenied(None)),
            }
            if self.is_finished(made, passage).await? {
                return Ok(());
            }
        }
        self.roles(passage)?.set_policies(&made.permit).await?;
        self.record(Step::RolePoliciesSet, passage).await;
        let profile = self.roles(passage)?.create_profile(&made.permit).await?;
        made.profile = Some(profile);
        made.youngest = profile.since;
        let step = if profile.created {
            Step::InstanceProfileCreated
        } else {
            Step::InstanceProfileAdopted
        };
        self.record(step, passage).await;
        if self.roles(passage)?.add_role(&made.permit).await? {
            made.youngest = Timestamp::now().as_second();
        }
        self.record(Step::RoleAddedToInstanceProfile, passage).await;
        Ok(())
    }

    /// Whether an earlier try came to its end. From then on another group can run with the role, so it is taken as it
    /// is or not at all.
    async fn is_finished(&self, made: &mut Made, passage: &mut Passage) -> Result<bool, Error> {
        let Some(profile) = self.roles(passage)?.finished_profile(&made.permit).await? else {
            return Ok(false);
        };
        made.profile = Some(profile);
        made.youngest = profile.since;
        self.record(Step::InstanceProfileAdopted, passage).await;
        let role = made.permit.role();
        let mut iam_calls = Vec::new();
        let read = Box::pin(facts::attached(self.clients.iam(), &role.name, &mut iam_calls));
        let attached = tokio::time::timeout_at(passage.deadline, read).await;
        passage.entry.downstream.append(&mut iam_calls);
        let attached = attached.unwrap_or(Err(Unavailable::Later));
        let attached = attached.map_err(|reason| unread(reason, "the role's policies"))?;
        let has = |arn: &String| attached.iter().any(|other| other.eq_ignore_ascii_case(arn));
        if role.policies.iter().all(has) {
            return Ok(true);
        }
        // What was attached moments ago need not be listed yet.
        Err(if made.is_young() {
            Error::RoleUnfinished
        } else {
            Error::Conflict(Sentence::Ours(format!(
                "the role `{}` was made for this request before and has other policies by now; another compute node \
                 group may run with it, so it is left as it is; use a clientToken that you have not used before",
                role.name
            )))
        })
    }

    /// Removes what was made, if the request is refused for good, nothing of it stood there before, and no group runs
    /// with it. What is told is always why the request was refused, not how the removal went.
    async fn give_up(&self, made: &Made, error: Error, passage: &mut Passage) -> Error {
        let said = error.last_word();
        let may_end = said.is_final() || matches!(said, Error::Unknown { .. });
        if made.role.is_none() || !may_end {
            return error;
        }
        let group = self.group(made, passage).await;
        if group == Ok(Group::RunsWithTheRole) {
            return error;
        }
        // What PCS does not tell just now, it may tell the next try.
        if made.is_young() && unseen::may_be_unseen(said, &made.permit.role().name, &made.names) {
            passage.entry.decision = Decision::Error;
            passage.entry.violations.clear();
            return propagating(said);
        }
        if !error.is_final() || passes_by_itself(&error, &group) {
            return error;
        }
        if !made.is_all_new() || passage.is_in_doubt {
            // It stays with what is not allowed.
            if matches!(error, Error::Guardrail(_)) {
                self.record(Step::Orphan, passage).await;
            }
            return error;
        }
        // A denied read proves nothing about an earlier try, but here there was none.
        let removed = match self.roles(passage) {
            Ok(mut roles) if group.is_ok() => roles
                .remove(&made.permit.removal(), made.profile.is_some())
                .await
                .is_ok(),
            Ok(_) | Err(_) => false,
        };
        let step = if removed { Step::RoleRemoved } else { Step::Orphan };
        self.record(step, passage).await;
        error
    }

    async fn change_policies(
        &self,
        action: Action,
        call: &Call,
        passage: &mut Passage,
    ) -> Result<Box<Changed>, Error> {
        node_role::check_request(&self.config.policy, call).map_err(|denial| deny(passage, denial))?;
        self.check_policies(call, passage).await?;
        let facts = self.gather(action, call, passage).await?;
        let permit = node_role::permit_attachments(&self.config.policy, call, &facts)
            .map_err(|denial| deny(passage, denial))?;
        passage.entry.decision = Decision::Allow;
        stop_if_dry(call, permit.passed())?;
        passage.entry.node_role = Some(permit.role_arn().to_owned());
        self.open(passage).await?;
        let mut changed = Box::new(Changed {
            permit,
            changes: Changes::default(),
        });
        let done = self
            .roles(passage)?
            .change(&changed.permit, &mut changed.changes)
            .await;
        if changed.changes != Changes::default() {
            self.record(Step::RolePoliciesChanged, passage).await;
        }
        match done {
            Ok(()) => Ok(changed),
            Err(failure) => Err(self.change_back(&changed, failure.into(), passage).await),
        }
    }

    async fn change_back(&self, changed: &Changed, error: Error, passage: &mut Passage) -> Error {
        if !error.is_final() || passage.is_in_doubt || changed.changes == Changes::default() {
            return error;
        }
        let restored = match self.roles(passage) {
            Ok(mut roles) => roles.change_back(&changed.permit, &changed.changes).await.is_ok(),
            Err(_) => false,
        };
        let step = if restored {
            Step::RolePoliciesRestored
        } else {
            Step::Orphan
        };
        self.record(step, passage).await;
        error
    }

    /// Policies that IAM could not attach are the request's mistake, and told before anything is made.
    async fn check_policies(&self, call: &Call, passage: &mut Passage) -> Result<(), Error> {
        let arns = call.additional_iam_policies.as_deref().unwrap_or_default();
        let mut iam_calls = Vec::new();
        let read = Box::pin(facts::unattachable(self.clients.iam(), arns, &mut iam_calls));
        let found = tokio::time::timeout_at(passage.deadline, read).await;
        passage.entry.downstream.append(&mut iam_calls);
        let found = found.unwrap_or(Err(Unavailable::Later));
        let found = found.map_err(|reason| unread(reason, "a policy of iam.additionalIamPolicies"))?;
        if found.is_empty() {
            return Ok(());
        }
        let errors = found.into_iter().map(|index| {
            let path = format!("iam.additionalIamPolicies[{index}]");
            FieldError::new(&path, "does not exist, or cannot be attached to a role")
        });
        Err(Error::Validation(errors.collect()))
    }

    fn roles<'p>(&'p self, passage: &'p mut Passage) -> Result<Roles<'p>, Error> {
        let opened = passage.opened.as_ref().ok_or(Error::Internal)?;
        let log = &mut passage.entry.downstream;
        Ok(Roles::new(self.clients.iam(), opened, passage.deadline, log))
    }

    async fn record(&self, step: Step, passage: &mut Passage) {
        if let Some(opened) = &passage.opened {
            self.audit
                .step(&self.clients, &mut passage.entry, step, opened)
                .await;
        }
    }
}

/// A refusal that may come from a profile that is not seen yet, with what it tells of another reason.
fn propagating(refusal: &Error) -> Error {
    let lack = if let Error::UpstreamAccessDenied(lack) = refusal {
        lack.clone()
    } else {
        None
    };
    Error::Propagating {
        quote: refusal.quote().cloned(),
        lack,
    }
}

/// Whether PCS is at odds with the state of something else than a group of that name, as with a cluster that is being
/// changed: to make and remove a role at each try until then would help nobody.
fn passes_by_itself(error: &Error, group: &Result<Group, Error>) -> bool {
    matches!(error, Error::Conflict(Sentence::Quoted(_))) && *group == Ok(Group::IsNotThere)
}

/// What says that nothing was done, in a request of which a part is done.
fn begun(error: Error) -> Error {
    if matches!(
        error,
        Error::FactsUnavailable(_) | Error::OutOfTime { sent: false }
    ) {
        Error::RoleUnfinished
    } else {
        error
    }
}

/// Puts a refusal on record.
pub(super) fn deny(passage: &mut Passage, denial: Denial) -> Error {
    passage.entry.decision = Decision::Deny;
    passage.entry.violations.clone_from(&denial.violations);
    Error::Guardrail(denial)
}

/// A dry run ends where the first write would be.
pub(super) fn stop_if_dry(call: &Call, passed: &[&'static str]) -> Result<(), Error> {
    if call.dryrun {
        return Err(Error::DryRun {
            passed: passed.to_vec(),
        });
    }
    Ok(())
}
