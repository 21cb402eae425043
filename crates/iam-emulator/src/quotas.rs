//! IAM's quotas, as far as they can be reached here.

/// How much an account may hold. Defaults: "IAM and AWS STS quotas" of the IAM User Guide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Roles in the account.
    pub roles: usize,
    /// Instance profiles in the account.
    pub instance_profiles: usize,
    /// Managed policies that the account has made.
    pub policies: usize,
    /// Managed policies attached to a role.
    pub managed_policies_per_role: usize,
    /// Characters of all inline policies of a role together, white space not counted.
    pub inline_policy_characters_per_role: usize,
    /// Characters of a trust policy, white space not counted.
    pub trust_policy_characters: usize,
    /// Characters of a managed policy, white space not counted.
    pub managed_policy_characters: usize,
    /// Tags on a role, an instance profile or a policy.
    pub tags: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            roles: 1000,
            instance_profiles: 1000,
            policies: 1500,
            managed_policies_per_role: 10,
            inline_policy_characters_per_role: 10_240,
            trust_policy_characters: 2048,
            managed_policy_characters: 6144,
            tags: 50,
        }
    }
}
