//! What the refused are told.

use super::*;

fn told(vector: &Vector, now: Timestamp) -> Rejection {
    let credentials = vector.credentials();
    let (request, scope) = (vector.request(), Scope::execute_api("us-east-1"));
    let refusal = verify(&request, &credentials, &scope, now).unwrap_err();
    rejection(&refusal, &request, &credentials, &scope, Some(3000))
}

/// The strings are those that others signed: whoever computes the signature from them gets theirs.
#[test]
fn the_strings_of_every_request_are_those_that_it_was_judged_by() {
    for vector in Vector::all() {
        let request = vector.request();
        let authorization = Authorization::read(&request).unwrap();
        let credentials = vector.credentials();
        let credential = credentials.get(ACCESS_KEY).unwrap();
        let scope = Scope::execute_api("us-east-1");
        let strings = explain::strings(&request, &authorization, credential, &scope);
        let (canonical, to_sign) = strings.unwrap_or_else(|| panic!("{} {}", vector.name, vector.form));
        assert!(to_sign.ends_with(&hex_digest(canonical.as_bytes())));
    }
}

/// The form of API Gateway's text is that of <https://github.com/mhart/aws4/issues/33>.
#[test]
fn a_mismatch_is_told_with_the_strings_as_api_gateway_tells_it() {
    let mut vector = Vector::named("list", "header");
    let now = vector.time();
    vector.edit("x-amz-date", "T090039Z", "T090040Z");
    let rejection = told(&vector, now);
    assert_eq!(
        (rejection.status(), rejection.error_type()),
        (403, "InvalidSignatureException")
    );
    let host = vector.header("host").clone();
    let canonical = format!(
        "GET\n{}\n\nhost:{host}\nx-amz-date:20261120T090040Z\n\nhost;x-amz-date\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        vector.target
    );
    let expected = format!(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request \
         should have been\n'{canonical}'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20261120T090040Z\n\
         20261120/us-east-1/execute-api/aws4_request\n{}'\n",
        hex_digest(canonical.as_bytes())
    );
    assert_eq!(rejection.message(), expected);
}

/// The commonest mistake on this machine: signers take the host's name and clients add the port.
#[test]
fn a_host_signed_in_another_form_than_it_was_sent_is_told() {
    for form in ["header", "query"] {
        let signed = Vector::named("list", form).header("host").clone();
        assert_eq!(signed, "127.0.0.1:3000");
        for sent in [
            "127.0.0.1",
            "localhost:3000",
            "localhost",
            "127.0.0.1:8080",
            "gateway:3000",
        ] {
            let mut vector = Vector::named("list", form);
            let now = vector.time();
            sent.clone_into(vector.header("host"));
            let rejection = told(&vector, now);
            let expected = format!(
                "The signature is over the host '{signed}', and the request was sent with 'Host: {sent}'"
            );
            assert!(
                rejection.message().contains(&expected),
                "{form} {sent}: {}",
                rejection.message()
            );
        }
    }
    let mut vector = Vector::named("list", "header");
    let now = vector.time();
    vector.edit("x-amz-date", "T090039Z", "T090040Z");
    assert!(!told(&vector, now).message().contains("over the host"));
}

#[test]
fn other_refusals_say_what_aws_says_and_repeat_nothing() {
    let now = at("2026-11-20T09:00:39Z");
    let mut missing = Vector::named("list", "header");
    missing.headers.retain(|(name, _)| name != "Authorization");
    let missing = told(&missing, now);
    assert_eq!(
        (missing.error_type(), missing.message()),
        (
            "MissingAuthenticationTokenException",
            "Missing Authentication Token"
        )
    );
    let mut unknown = Vector::named("list", "header");
    unknown.edit("authorization", ACCESS_KEY, "AKIAUNKNOWN");
    let unknown = told(&unknown, now);
    assert_eq!(
        (unknown.status(), unknown.error_type(), unknown.message()),
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid."
        )
    );
    let mut bearer = Vector::named("list", "header");
    *bearer.header("authorization") = "Bearer hunter2".to_owned();
    assert!(!told(&bearer, now).message().contains("hunter2"));
}
