//! The actions: each a function from the account and a call to the content of its result element.
//!
//! Another action is a line in `action`, an arm in [`answer`] and a function in one of the files below. One
//! that changes the account takes it mutably, and checks everything before the first change.

mod elements;
mod instance_profiles;
mod page;
mod policies;
mod role_policies;
mod roles;

use jiff::Timestamp;

use crate::action::Action;
use crate::emulator::Options;
use crate::error::IamError;
use crate::query::Query;
use crate::seed::{InstanceProfile, Policy, Role};
use crate::state::{Account, Stored};
use crate::validate;
use crate::xml::Xml;

/// A request, and what decides the answer besides the account.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) query: &'a Query,
    pub(crate) options: &'a Options,
    pub(crate) now: Timestamp,
}

/// Answers one call, or says why not. `None` when the action has no result. After an error the account may be
/// changed in part: callers work on a copy.
pub(crate) fn answer(
    account: &mut Account,
    action: Action,
    call: &Call<'_>,
) -> Result<Option<Xml>, IamError> {
    let nothing = |()| None;
    match action {
        Action::CreateRole => roles::create(account, call).map(Some),
        Action::GetRole => roles::get(account, call).map(Some),
        Action::ListRoles => roles::list(account, call).map(Some),
        Action::DeleteRole => roles::delete(account, call).map(nothing),
        Action::TagRole => roles::tag(account, call).map(nothing),
        Action::ListRoleTags => roles::list_tags(account, call).map(Some),
        Action::AttachRolePolicy => role_policies::attach(account, call).map(nothing),
        Action::ListAttachedRolePolicies => role_policies::list_attached(account, call).map(Some),
        Action::DetachRolePolicy => role_policies::detach(account, call).map(nothing),
        Action::PutRolePolicy => role_policies::put(account, call).map(nothing),
        Action::GetRolePolicy => role_policies::get(account, call).map(Some),
        Action::ListRolePolicies => role_policies::list(account, call).map(Some),
        Action::DeleteRolePolicy => role_policies::delete(account, call).map(nothing),
        Action::CreateInstanceProfile => instance_profiles::create(account, call).map(Some),
        Action::GetInstanceProfile => instance_profiles::get(account, call).map(Some),
        Action::ListInstanceProfiles => instance_profiles::list(account, call).map(Some),
        Action::ListInstanceProfilesForRole => instance_profiles::list_for_role(account, call).map(Some),
        Action::DeleteInstanceProfile => instance_profiles::delete(account, call).map(nothing),
        Action::AddRoleToInstanceProfile => instance_profiles::add_role(account, call).map(nothing),
        Action::RemoveRoleFromInstanceProfile => instance_profiles::remove_role(account, call).map(nothing),
        Action::TagInstanceProfile => instance_profiles::tag(account, call).map(nothing),
        Action::ListInstanceProfileTags => instance_profiles::list_tags(account, call).map(Some),
        Action::CreatePolicy => policies::create(account, call).map(Some),
        Action::GetPolicy => policies::get(account, call).map(Some),
        Action::GetPolicyVersion => policies::get_version(account, call).map(Some),
        Action::DeletePolicy => policies::delete(account, call).map(nothing),
    }
}

fn find_role<'a>(account: &'a Account, query: &Query) -> Result<&'a Stored<Role>, IamError> {
    let name = validate::role_name(query)?;
    account.role(name).ok_or_else(|| no_such_role(name))
}

/// The role that the call is to change: service-linked ones only AWS changes.
fn find_role_to_change<'a>(
    account: &'a mut Account,
    query: &Query,
) -> Result<&'a mut Stored<Role>, IamError> {
    let name = validate::role_name(query)?;
    let role = account.role_mut(name).ok_or_else(|| no_such_role(name))?;
    if roles::is_service_linked(&role.entity) {
        return Err(IamError::unmodifiable_entity(&role.entity.name));
    }
    Ok(role)
}

fn find_profile<'a>(account: &'a Account, query: &Query) -> Result<&'a Stored<InstanceProfile>, IamError> {
    let name = validate::instance_profile_name(query)?;
    account.profile(name).ok_or_else(|| no_such_profile(name))
}

fn find_profile_to_change<'a>(
    account: &'a mut Account,
    query: &Query,
) -> Result<&'a mut Stored<InstanceProfile>, IamError> {
    let name = validate::instance_profile_name(query)?;
    account.profile_mut(name).ok_or_else(|| no_such_profile(name))
}

fn find_policy<'a>(account: &'a Account, query: &Query) -> Result<&'a Stored<Policy>, IamError> {
    let arn = validate::policy_arn(query, "PolicyArn", &account.partition)?;
    account.policy(arn).ok_or_else(|| {
        if policies::exists(account, arn) {
            let message = format!("{arn} exists, but what is in it is not known here: seed it.");
            return IamError::not_emulated(message);
        }
        IamError::no_such_entity(format!("Policy {arn} was not found."))
    })
}

fn no_such_role(name: &str) -> IamError {
    IamError::no_such_entity(format!("The role with name {name} cannot be found."))
}

fn no_such_profile(name: &str) -> IamError {
    IamError::no_such_entity(format!("Instance Profile {name} cannot be found."))
}
