//! The environment that the deployment would give the function, and what of it the person has changed.

use std::collections::BTreeMap;

use pcs_api::guardrails::allowlist;

use super::{ACCOUNT_ID, AUDIT_TABLE, Options, REGION, REST_API_ID, STAGE};

pub(super) struct Endpoints<'a> {
    pub pcs: &'a str,
    pub iam: &'a str,
    pub dynamodb: &'a str,
}

/// The environment that the deployment would give the function.
pub(super) fn variables(options: &Options, endpoints: &Endpoints) -> BTreeMap<String, String> {
    let policies = allowlist::documented("aws", ACCOUNT_ID).join(",");
    let local = [
        ("PCS_API_REGION_SCOPE", "*"),
        ("PCS_API_ACCOUNT_ID", ACCOUNT_ID),
        ("PCS_API_PARTITION", "aws"),
        ("PCS_API_REST_API_ID", REST_API_ID),
        ("PCS_API_STAGE", STAGE),
        ("PCS_API_AUDIT_TABLE", AUDIT_TABLE),
        ("PCS_API_AUDIT_RETENTION_DAYS", "365"),
        ("PCS_API_AUDIT_SIGNING_KEY", ""),
        ("PCS_API_ADDITIONAL_IAM_POLICIES", &policies),
        ("PCS_API_ALLOWED_INLINE_ACTIONS", ""),
        ("PCS_API_PERMISSIONS_BOUNDARY", ""),
        ("PCS_API_ENABLE_IAM_ADMIN_ACCESS", "false"),
        ("PCS_API_ENABLE_INSTANCE_REGISTRATION", "false"),
        ("PCS_API_LIFECYCLE_SCRIPTS", "CHECKSUM_OUTSIDE_S3"),
        ("PCS_API_LOG_LEVEL", "WARN"),
        ("AWS_REGION", REGION),
        // The function's own role, as far as the emulators can tell one from another.
        ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_ENDPOINT_URL_PCS", endpoints.pcs),
        ("AWS_ENDPOINT_URL_IAM", endpoints.iam),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoints.dynamodb),
    ];
    let mut variables: BTreeMap<String, String> = local
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // A variable that is set to nothing replaces no part.
    let given = options.variables.clone().into_iter();
    variables
        .extend(given.filter(|(name, value)| !(name.starts_with("AWS_ENDPOINT_URL_") && value.is_empty())));
    variables
}
