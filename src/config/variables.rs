//! The names of all variables, in one place: what the function reads, and what `cargo local` lets a person set.

use super::{ConfigError, values};
use crate::validate;

/// The API's own.
pub const OWN: [&str; 15] = [
    "PCS_API_REGION_SCOPE",
    "PCS_API_ACCOUNT_ID",
    "PCS_API_PARTITION",
    "PCS_API_REST_API_ID",
    "PCS_API_STAGE",
    "PCS_API_AUDIT_TABLE",
    "PCS_API_AUDIT_RETENTION_DAYS",
    "PCS_API_AUDIT_SIGNING_KEY",
    "PCS_API_ADDITIONAL_IAM_POLICIES",
    "PCS_API_PERMISSIONS_BOUNDARY",
    "PCS_API_ENABLE_IAM_ADMIN_ACCESS",
    "PCS_API_ENABLE_INSTANCE_REGISTRATION",
    "PCS_API_ALLOWED_INLINE_ACTIONS",
    "PCS_API_LIFECYCLE_SCRIPTS",
    "PCS_API_LOG_LEVEL",
];

/// Other endpoints than AWS's.
pub const ENDPOINTS: [&str; 4] = [
    "AWS_ENDPOINT_URL_PCS",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_KMS",
];

/// Whose certificates are trusted.
pub const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What Lambda, or the deployment in AWS's name, says about the function itself.
pub const LAMBDA: [&str; 5] = [
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    FIPS,
];

/// Whether AWS is called at its FIPS endpoints.
pub const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";

/// What [`FIPS`] says.
pub fn fips(value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(format!("{FIPS} must be `true` or `false`")),
    }
}

/// The variables of this process, taken once: the C library looks for each by going through all of them, and that was a
/// quarter of the start. Bytes that are no text come as U+FFFD, so that whoever checks the value refuses it by name; as a
/// variable that is not set it would pass for its default.
pub fn of_this_process() -> impl Fn(&str) -> Option<String> {
    let all: Vec<_> = std::env::vars_os().collect();
    move |name| {
        let (_, value) = all.iter().find(|(other, _)| other == name)?;
        let text = value.to_str().map(str::to_owned);
        Some(text.unwrap_or_else(|| value.to_string_lossy().into_owned()))
    }
}

/// What the runtime's library reads, which ends with a panic where it is missing or wrong.
pub fn check_lambda(variable: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    /// Name, what it must be, and whether a value is that.
    type Check<'a> = (&'a str, &'a str, &'a dyn Fn(&str) -> bool);

    let is_address = |text: &str| values::is_endpoint(&format!("http://{text}"));
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_size = |text: &str| text.parse().is_ok_and(|size: i32| size > 0);
    let checks: [Check; 4] = [
        (
            "AWS_LAMBDA_RUNTIME_API",
            "HOST:PORT of Lambda's runtime",
            &is_address,
        ),
        ("AWS_LAMBDA_FUNCTION_NAME", "the function's name", &is_name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "the function's version", &is_name),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "a number of megabytes",
            &is_size,
        ),
    ];
    let faults = checks.into_iter().filter_map(|(name, what, is_good)| {
        let is_good = variable(name).is_some_and(|text| is_good(&text));
        (!is_good).then(|| format!("{name} must be {what}; Lambda sets it"))
    });
    let faults: Vec<String> = faults.collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ConfigError(faults))
    }
}

/// What to tell a person whose variable looks like one of the API's and is none.
pub fn mistaken(name: &str) -> Option<String> {
    if OWN.contains(&name) {
        return None;
    }
    let meant = validate::meant(name, &OWN);
    (name.starts_with("PCS_API_") || !meant.is_empty()).then(|| {
        format!(
            "{} is no variable of this program and is not read{meant}",
            name.escape_debug()
        )
    })
}
