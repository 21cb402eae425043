//! The actions that are answered: a closed set, so that a new one breaks the build wherever a choice is due.

/// Makes the enum, its list and its names out of one table.
macro_rules! actions {
    ($($name:ident $changes:literal,)*) => {
        /// An IAM action.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Action {
            $($name,)*
        }

        impl Action {
            #[cfg(test)]
            pub(crate) const ALL: &[Action] = &[$(Action::$name,)*];

            pub(crate) fn from_name(name: &str) -> Option<Action> {
                match name {
                    $(stringify!($name) => Some(Action::$name),)*
                    _ => None,
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Action::$name => stringify!($name),)*
                }
            }

            /// Whether the account is another after it.
            pub(crate) fn is_write(self) -> bool {
                match self {
                    $(Action::$name => $changes,)*
                }
            }
        }
    };
}

actions! {
    CreateRole true,
    GetRole false,
    ListRoles false,
    DeleteRole true,
    TagRole true,
    ListRoleTags false,
    AttachRolePolicy true,
    ListAttachedRolePolicies false,
    DetachRolePolicy true,
    PutRolePolicy true,
    GetRolePolicy false,
    ListRolePolicies false,
    DeleteRolePolicy true,
    CreateInstanceProfile true,
    GetInstanceProfile false,
    ListInstanceProfiles false,
    ListInstanceProfilesForRole false,
    DeleteInstanceProfile true,
    AddRoleToInstanceProfile true,
    RemoveRoleFromInstanceProfile true,
    TagInstanceProfile true,
    ListInstanceProfileTags false,
    CreatePolicy true,
    GetPolicy false,
    GetPolicyVersion false,
    DeletePolicy true,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_does_not_get_or_list_writes() {
        for action in Action::ALL {
            let reads = action.name().starts_with("Get") || action.name().starts_with("List");
            assert_eq!(action.is_write(), !reads, "{action:?}");
            assert_eq!(Action::from_name(action.name()), Some(*action));
        }
        assert_eq!(Action::from_name("getrole"), None);
    }
}
