//! AWS's own signing test suite, as far as HTTP/1.1 and execute-api can carry it.

use serde_json::Value;

use super::*;

/// Paths in these are signed without normalizing, which execute-api does not do.
const UNNORMALIZED: &str = "-unnormalized";
/// What HTTP/1.1 cannot carry: a space in the request line, a folded header.
const NOT_HTTP: [&str; 3] = [
    "get-space-normalized",
    "get-space-unnormalized",
    "get-header-value-multiline",
];
/// The token is added after signing, so that anybody could change it. execute-api signs it.
const UNSIGNED_TOKEN: &str = "post-sts-header-after";

/// Name of a directory of the suite to what is in it.
fn vectors() -> serde_json::Map<String, Value> {
    let text = include_str!("../../../tests-data/aws-signing-test-suite.json");
    let mut document: Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(document["vectors"].take()).unwrap()
}

/// A request as the suite writes it: `Name:value` lines, an empty line, the body.
fn parse(text: &str) -> ReceivedRequest {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1");
    let (method, target) = line.split_once(' ').unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim_start().to_owned())
    });
    request(method, target, headers.collect(), body.as_bytes())
}

fn verdict(text: &str, context: &Value) -> Result<(), Refusal> {
    let text_of = |pointer: &str| context.pointer(pointer).and_then(Value::as_str);
    let credentials = key(
        text_of("/credentials/access_key_id").unwrap(),
        text_of("/credentials/secret_access_key").unwrap(),
        text_of("/credentials/token"),
    );
    let scope = Scope {
        region: text_of("/region").unwrap().to_owned(),
        service: text_of("/service").unwrap().to_owned(),
    };
    let now = text_of("/timestamp").unwrap().parse().unwrap();
    verify(&parse(text), &credentials, &scope, now).map(|_| ())
}

#[test]
fn every_vector_that_execute_api_would_take() {
    let mut accepted = 0;
    let mut refused = 0;
    for (name, vector) in vectors() {
        // The two double-encoding vectors have no context; one follows below.
        let Some(context) = vector.get("context") else {
            continue;
        };
        if NOT_HTTP.contains(&name.as_str()) {
            continue;
        }
        for form in ["header", "query"] {
            let verdict = verdict(vector[form].as_str().unwrap(), context);
            if name.ends_with(UNNORMALIZED) {
                assert_eq!(verdict, Err(Refusal::SignatureMismatch), "{name} {form}");
                refused += 1;
            } else if name == UNSIGNED_TOKEN {
                assert!(verdict.is_err(), "{name} {form}");
                refused += 1;
            } else {
                assert_eq!(verdict, Ok(()), "{name} {form}");
                accepted += 1;
            }
        }
    }
    // 38 directories with a context, less 3 that HTTP cannot carry, in two forms.
    assert_eq!((accepted, refused), (56, 14));
}

/// The other vector without a context, `double-encode-path`, has a signature that is not of its request.
#[test]
fn a_path_is_encoded_twice() {
    let vectors = vectors();
    let request = parse(vectors["double-url-encode"]["header"].as_str().unwrap());
    let scope = Scope {
        region: "us-east-2".to_owned(),
        service: "lambda".to_owned(),
    };
    let credentials = key("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None);
    let verdict = verify(&request, &credentials, &scope, at("2021-05-11T15:40:45Z"));
    assert!(verdict.is_ok(), "{verdict:?}");
}
