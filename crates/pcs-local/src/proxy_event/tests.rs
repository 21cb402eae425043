//! Events compared with captured ones (the fixtures of `aws_lambda_events`) and read by the type that functions
//! read them with.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequest;

use super::*;
use crate::credentials::Credentials;

fn route(method: &str, template: &str) -> Route {
    Route {
        method: method.to_owned(),
        template: template.to_owned(),
        operation: Some("SomeOperation".to_owned()),
    }
}

fn routes() -> Vec<Route> {
    [
        ("GET", "/v1/clusters"),
        ("POST", "/v1/clusters"),
        ("GET", "/v1/clusters/{clusterIdentifier}"),
        ("GET", "/v1/clusters/summary"),
        (
            "DELETE",
            "/v1/clusters/{clusterIdentifier}/queues/{queueIdentifier}",
        ),
    ]
    .map(|(method, template)| route(method, template))
    .to_vec()
}

fn event(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let peer = Ipv4Addr::new(192, 0, 2, 10).into();
    let request = ReceivedRequest::new(method, target, headers, body.to_vec(), peer).unwrap();
    let routes = routes();
    let matched = match_route(&routes, method, request.path()).unwrap();
    let credentials = Credentials::built_in("123456789012");
    let credential = credentials.get("AKIAIOSFODNN7EXAMPLE").unwrap();
    let now = "2026-11-21T01:15:00.417Z".parse().unwrap();
    proxy_event(
        &request,
        &matched,
        credential,
        &Api::local("us-east-1"),
        "request-id",
        now,
    )
}

#[test]
fn routes_match_by_segment() {
    let routes = routes();
    let matched = |method: &str, path: &str| {
        let matched = match_route(&routes, method, path).ok()?;
        let parameters: Vec<_> = matched.parameters.into_values().collect();
        Some((matched.route.template.as_str(), parameters.join("|")))
    };
    let found = |template, parameters: &str| Some((template, parameters.to_owned()));
    assert_eq!(matched("GET", "/v1/clusters"), found("/v1/clusters", ""));
    assert_eq!(
        matched("GET", "/v1/clusters/summary"),
        found("/v1/clusters/summary", "")
    );
    let one = "/v1/clusters/{clusterIdentifier}";
    assert_eq!(
        matched("GET", "/v1/clusters/a%2Fb%20%E1%88%B4"),
        found(one, "a/b ሴ")
    );
    assert_eq!(matched("GET", "/v1/clusters/.."), found(one, ".."));
    assert_eq!(matched("GET", "/v1/clusters/%2e%2e"), found(one, ".."));
    let two = "/v1/clusters/{clusterIdentifier}/queues/{queueIdentifier}";
    assert_eq!(matched("DELETE", "/v1/clusters/c/queues/q"), found(two, "c|q"));
    for (method, path) in [
        ("GET", "/v1/clusters/"),
        ("GET", "/v1/clusters/a/"),
        ("GET", "//v1/clusters"),
        ("GET", "/v1/Clusters"),
        ("GET", "/v1"),
        ("GET", "/"),
        ("GET", "/prod/v1/clusters"),
        ("DELETE", "/v1/clusters/c/queues/"),
        ("PUT", "/v1/clusters"),
        ("OPTIONS", "/v1/clusters"),
        ("HEAD", "/v1/clusters"),
        ("get", "/v1/clusters"),
    ] {
        let rejection = match_route(&routes, method, path).unwrap_err();
        assert_eq!(
            (rejection.status(), rejection.message()),
            (403, "Missing Authentication Token"),
            "{method} {path}"
        );
    }
}

#[test]
fn paths_stay_encoded_and_parameters_do_not() {
    let encoded = event(
        "GET",
        "/v1/clusters/a%2Fb?x=1&y=a%20b%2B+c&x=2&%E1%88%B4",
        &[],
        b"",
    );
    assert_eq!(encoded["resource"], "/v1/clusters/{clusterIdentifier}");
    assert_eq!(encoded["path"], "/v1/clusters/a%2Fb");
    assert_eq!(encoded["requestContext"]["path"], "/prod/v1/clusters/a%2Fb");
    assert_eq!(encoded["pathParameters"], json!({"clusterIdentifier": "a/b"}));
    assert_eq!(
        encoded["queryStringParameters"],
        json!({"x": "2", "y": "a b+ c", "ሴ": ""})
    );
    assert_eq!(
        encoded["multiValueQueryStringParameters"],
        json!({"x": ["1", "2"], "y": ["a b+ c"], "ሴ": [""]})
    );
    let split = event("GET", "/v1/clusters?a=1;b=2", &[], b"");
    assert_eq!(split["queryStringParameters"], json!({"a": "1", "b": "2"}));
}

#[test]
fn headers_are_the_client_s_but_for_the_connection_s() {
    let sent = event(
        "GET",
        "/v1/clusters",
        &[
            ("Host", "127.0.0.1:3000"),
            ("Authorization", "AWS4-HMAC-SHA256 Credential=..."),
            ("X-Amz-Date", "20261121T011500Z"),
            ("x-Team", "one"),
            ("x-Team", "two"),
            ("Connection", "keep-alive"),
            ("Content-Length", "0"),
            ("X-Forwarded-For", "203.0.113.7"),
            ("X-Forwarded-Proto", "http"),
            ("User-Agent", "portal/1.0"),
        ],
        b"",
    );
    let mut headers = sent["headers"].clone();
    let trace_id = headers
        .as_object_mut()
        .unwrap()
        .remove("X-Amzn-Trace-Id")
        .unwrap();
    assert_eq!(
        headers,
        json!({
            "Host": "127.0.0.1:3000",
            "X-Amz-Date": "20261121T011500Z",
            "x-Team": "two",
            "X-Forwarded-For": "203.0.113.7, 192.0.2.10",
            "X-Forwarded-Port": "443",
            "X-Forwarded-Proto": "https",
            "User-Agent": "portal/1.0",
        })
    );
    assert_eq!(sent["multiValueHeaders"]["x-Team"], json!(["one", "two"]));
    assert_eq!(sent["multiValueHeaders"]["Host"], json!(["127.0.0.1:3000"]));
    // 2026-11-21T01:15:00Z is 0x6b00f094 seconds after the epoch.
    let trace_id = trace_id.as_str().unwrap();
    assert!(
        trace_id.starts_with("Root=1-6b00f094-") && trace_id.len() == 40,
        "{trace_id}"
    );
    let other = event("GET", "/v1/clusters", &[("Authorization", "Bearer x")], b"");
    assert_eq!(
        other["headers"]["Authorization"], "Bearer x",
        "only a signature is dropped"
    );
}

#[test]
fn bodies_are_text_or_base64_or_null() {
    let body = |bytes: &[u8]| {
        let event = event("POST", "/v1/clusters", &[], bytes);
        (event["body"].clone(), event["isBase64Encoded"].clone())
    };
    assert_eq!(body(b""), (Value::Null, json!(false)));
    assert_eq!(
        body("{\"a\":\"ሴ\"}".as_bytes()),
        (json!("{\"a\":\"ሴ\"}"), json!(false))
    );
    // RFC 4648: fb ff is +/8= in base64.
    assert_eq!(body(b"\xfb\xff"), (json!("+/8="), json!(true)));
}

#[test]
fn nothing_is_null_and_not_an_empty_object() {
    let event = event("GET", "/v1/clusters", &[], b"");
    for name in [
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "body",
    ] {
        assert_eq!(event[name], Value::Null, "{name}");
    }
}

#[test]
fn the_context_says_who_and_when_and_where() {
    let listed = event("GET", "/v1/clusters", &[("User-Agent", "portal/1.0")], b"");
    let mut context = listed["requestContext"].clone();
    let random = context["extendedRequestId"].take();
    let resource_id = context["resourceId"].take();
    assert_eq!(
        context,
        json!({
            "resourceId": null,
            "resourcePath": "/v1/clusters",
            "operationName": "SomeOperation",
            "httpMethod": "GET",
            "extendedRequestId": null,
            "requestTime": "21/Nov/2026:01:15:00 +0000",
            "path": "/prod/v1/clusters",
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "prod",
            "domainPrefix": "a1b2c3d4e5",
            // date -u -d '2026-11-21 01:15:00' +%s, and the milliseconds.
            "requestTimeEpoch": 1_795_223_700_417_i64,
            "requestId": "request-id",
            "identity": {
                "cognitoIdentityPoolId": null,
                "accountId": "123456789012",
                "cognitoIdentityId": null,
                "caller": "AROADBQP57FF2AEXAMPLE:portal",
                "sourceIp": "192.0.2.10",
                "principalOrgId": "o-exampleorgid",
                "accessKey": "AKIAIOSFODNN7EXAMPLE",
                "cognitoAuthenticationType": null,
                "cognitoAuthenticationProvider": null,
                "userArn": "arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal",
                "userAgent": "portal/1.0",
                "user": "AROADBQP57FF2AEXAMPLE:portal",
            },
            "domainName": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
            "apiId": "a1b2c3d4e5",
        })
    );
    // As long as a captured one, "NvWWKEZbliAFliA=".
    assert_eq!(random.as_str().unwrap().len(), 16);
    assert_eq!(resource_id.as_str().unwrap().len(), 6);
    assert_eq!(
        resource_id,
        event("POST", "/v1/clusters", &[], b"")["requestContext"]["resourceId"]
    );
}

/// Captured in the console's test of a method, and from an API imported from OpenAPI.
const CONSOLE_TEST: &str = include_str!("../../tests-data/example-apigw-console-test-request.json");
const OPENAPI: &str = include_str!("../../tests-data/example-apigw-restapi-openapi-request.json");

/// Every key below `value` by its path; maps that clients name the keys of count as one.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let free = [
        "/headers",
        "/multiValueHeaders",
        "/queryStringParameters",
        "/multiValueQueryStringParameters",
        "/pathParameters",
        "/stageVariables",
    ];
    if free.contains(&path) {
        return;
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        found.insert(path.clone());
        keys(member, &path, found);
    }
}

#[test]
fn an_event_has_the_keys_of_a_captured_one() {
    let key_set = |value: &Value| {
        let mut found = BTreeSet::new();
        keys(value, "", &mut found);
        found
    };
    let ours = key_set(&event(
        "POST",
        "/v1/clusters",
        &[("Content-Type", "application/json")],
        b"{}",
    ));
    let captured = key_set(&serde_json::from_str(CONSOLE_TEST).unwrap());
    let missing: Vec<_> = captured.difference(&ours).collect();
    let added: Vec<_> = ours.difference(&captured).collect();
    // The captured one comes from the console's test, which stands in for an API key.
    assert_eq!(
        missing,
        [
            "/requestContext/identity/apiKey",
            "/requestContext/identity/apiKeyId"
        ]
    );
    // Only there when the API was imported from OpenAPI, as this one is.
    assert_eq!(added, ["/requestContext/operationName"]);
    assert!(key_set(&serde_json::from_str(OPENAPI).unwrap()).contains("/requestContext/operationName"));
}

#[test]
fn an_event_has_the_keys_of_those_in_the_repository() {
    let example: Value =
        serde_json::from_str(include_str!("../../../../events/create-cluster.json")).unwrap();
    let ours = event(
        "POST",
        "/v1/clusters",
        &[("Content-Type", "application/json")],
        b"{}",
    );
    let (mut expected, mut got) = (BTreeSet::new(), BTreeSet::new());
    keys(&example, "", &mut expected);
    keys(&ours, "", &mut got);
    assert_eq!(got, expected);
}

#[test]
fn functions_can_read_it() {
    let event = event(
        "DELETE",
        "/v1/clusters/c/queues/q%20r?clientToken=a&x=1&x=2",
        &[("X-A", "1")],
        b"{}",
    );
    let read: ApiGatewayProxyRequest = serde_json::from_value(event).unwrap();
    assert_eq!(
        read.resource.as_deref(),
        Some("/v1/clusters/{clusterIdentifier}/queues/{queueIdentifier}")
    );
    assert_eq!(read.path.as_deref(), Some("/v1/clusters/c/queues/q%20r"));
    assert_eq!(read.http_method, http::Method::DELETE);
    assert_eq!(read.headers["x-a"], "1");
    assert_eq!(read.multi_value_headers["x-a"], "1");
    assert_eq!(read.query_string_parameters.first("x"), Some("2"));
    assert_eq!(
        read.multi_value_query_string_parameters.all("x"),
        Some(vec!["1", "2"])
    );
    assert_eq!(read.path_parameters["queueIdentifier"], "q r");
    assert!(read.stage_variables.is_empty());
    assert_eq!(read.body.as_deref(), Some("{}"));
    assert!(!read.is_base64_encoded);
    assert!(read.other.is_empty(), "{:?}", read.other);
    let context = read.request_context;
    assert_eq!(context.operation_name.as_deref(), Some("SomeOperation"));
    assert_eq!(context.stage.as_deref(), Some("prod"));
    assert_eq!(context.apiid.as_deref(), Some("a1b2c3d4e5"));
    assert_eq!(context.account_id.as_deref(), Some("123456789012"));
    assert_eq!(
        context.domain_name.as_deref(),
        Some("a1b2c3d4e5.execute-api.us-east-1.amazonaws.com")
    );
    assert_eq!(context.domain_prefix.as_deref(), Some("a1b2c3d4e5"));
    assert_eq!(context.protocol.as_deref(), Some("HTTP/1.1"));
    assert_eq!(context.request_time_epoch, 1_795_223_700_417);
    let identity = context.identity;
    assert_eq!(
        identity.user_arn.as_deref(),
        Some("arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal")
    );
    assert_eq!(identity.caller.as_deref(), Some("AROADBQP57FF2AEXAMPLE:portal"));
    assert_eq!(identity.access_key.as_deref(), Some("AKIAIOSFODNN7EXAMPLE"));
    assert_eq!(identity.source_ip.as_deref(), Some("192.0.2.10"));
    assert_eq!(identity.api_key, None);
}
