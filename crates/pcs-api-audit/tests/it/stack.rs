//! `--stack`: the table is found by the name of its `CloudFormation` stack. The answers are those of AWS's API reference.

use std::{convert::Infallible, net::Ipv4Addr};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{
    commands::{ended, program, used},
    table::TABLE,
};

/// A stand-in for `CloudFormation`; returns its URL.
async fn cloudformation() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer)),
            );
        }
    });
    url
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/"));
    assert_eq!(
        request.headers()["content-type"],
        "application/x-www-form-urlencoded"
    );
    let signed = request.headers()["authorization"].to_str().unwrap().to_owned();
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=test/"),
        "{signed}"
    );
    assert!(
        signed.contains("/us-east-1/cloudformation/aws4_request"),
        "{signed}"
    );
    assert!(
        signed.contains("SignedHeaders=content-type;host;x-amz-date"),
        "{signed}"
    );
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = std::str::from_utf8(&body).unwrap();
    let stack = body
        .strip_prefix("Action=DescribeStacks&Version=2010-05-15&StackName=")
        .unwrap();
    let (status, form, text) = match stack {
        "pcs-api" | "arn%3Aaws%3Acloudformation%3Aus-east-1%3A123456789012%3Astack%2Fpcs-api%2Faaf549a0" => {
            (200, "text/xml", described("CREATE_COMPLETE", OUTPUTS))
        }
        "another" => (200, "text/xml", described("CREATE_IN_PROGRESS", "")),
        "denied" => (
            403,
            "text/xml",
            refused(
                "AccessDenied",
                "User: arn:aws:iam::123456789012:user/a is not authorized to perform: cloudformation:DescribeStacks",
            ),
        ),
        "expired" => (
            403,
            "text/xml",
            refused(
                "ExpiredToken",
                "The security token included in the request is expired",
            ),
        ),
        "html" => (200, "text/html", "<html><p>hello".to_owned()),
        "page" => (404, "text/html", "not found".to_owned()),
        _ => (
            400,
            "text/xml",
            refused(
                "ValidationError",
                &format!("Stack with id {stack} does not exist"),
            ),
        ),
    };
    let response = Response::builder().status(status).header("content-type", form);
    Ok(response.body(Full::new(Bytes::from(text))).unwrap())
}

const OUTPUTS: &str = "<Outputs>
        <member><OutputKey>ParallelClusterLambdaArn</OutputKey><OutputValue>arn:aws:lambda:us-east-1:123456789012:function:f</OutputValue><Description>ARN of the function.</Description></member>
        <member><Description>Name of the audit table.</Description><OutputKey>AuditTableName</OutputKey><OutputValue>pcs-api-audit</OutputValue></member>
      </Outputs>";

/// As in the example of the API reference, with members that nobody asked for.
fn described(status: &str, outputs: &str) -> String {
    format!(
        r#"<?xml version="1.0"?>
<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <DescribeStacksResult>
    <Stacks>
      <member>
        <StackName>MyStack</StackName>
        <StackId>arn:aws:cloudformation:us-east-1:123456789012:stack/MyStack/aaf549a0-a413-11df-adb3-5081b3858e83</StackId>
        <CreationTime>2010-07-27T22:28:28Z</CreationTime>
        <StackStatus>{status}</StackStatus>
        <DisableRollback>false</DisableRollback>
        <Parameters><member><ParameterKey>AuditTableName</ParameterKey><ParameterValue>no</ParameterValue></member></Parameters>
        {outputs}
        <Tags/>
      </member>
    </Stacks>
  </DescribeStacksResult>
  <ResponseMetadata><RequestId>b9b4b068-3a41-11e5-94eb-example</RequestId></ResponseMetadata>
</DescribeStacksResponse>"#
    )
}

fn refused(code: &str, message: &str) -> String {
    format!(
        r#"<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>
  <RequestId>b9b4b068-3a41-11e5-94eb-example</RequestId>
</ErrorResponse>"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_a_stack_is_found() {
    let stack = used().await;
    let cloudformation = cloudformation().await;
    let arn = "arn:aws:cloudformation:us-east-1:123456789012:stack/pcs-api/aaf549a0";
    for name in ["pcs-api", arn] {
        let mut command = program(None, &["query", "--stack", name]);
        command
            .env("AWS_ENDPOINT_URL_DYNAMODB", &stack.dynamodb)
            .env("AWS_ENDPOINT_URL_CLOUDFORMATION", &cloudformation)
            // The argument counts.
            .env("PCS_API_AUDIT_TABLE", "another");
        let (status, told) = ended(command).await;
        assert_eq!((status, told.lines().count()), (Some(0), 4), "{told}");
    }
    // One address for all services, with a path that ends in a slash.
    let mut command = program(
        None,
        &["query", "--stack", "pcs-api", "--endpoint-url", &stack.dynamodb],
    );
    command.env("AWS_ENDPOINT_URL", format!("{cloudformation}/"));
    let (status, told) = ended(command).await;
    assert_eq!((status, told.lines().count()), (Some(0), 4), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_gives_no_table_is_told_apart_by_what_to_change() {
    let cloudformation = cloudformation().await;
    for (stack, endpoint, expected) in [
        (
            "absent",
            cloudformation.as_str(),
            "the stack could not be read: there is no stack `absent` in Region us-east-1; give another --stack or --region",
        ),
        (
            "another",
            &cloudformation,
            "`another` (CREATE_IN_PROGRESS) in Region us-east-1 has no output AuditTableName",
        ),
        (
            "denied",
            &cloudformation,
            "may not describe `denied` (cloudformation:DescribeStacks); allow it, or name the table with --table: User: ",
        ),
        ("expired", &cloudformation, "AWS does not take the credentials"),
        (
            "html",
            &cloudformation,
            "is no CloudFormation; change AWS_ENDPOINT_URL_CLOUDFORMATION",
        ),
        (
            "page",
            &cloudformation,
            "it answers with HTTP status 404 and text/html",
        ),
        (
            "pcs-api",
            "http://127.0.0.1:9",
            "no CloudFormation answers at http://127.0.0.1:9; change AWS_ENDPOINT_URL_CLOUDFORMATION",
        ),
        ("pcs-api", "!!", "AWS_ENDPOINT_URL_CLOUDFORMATION must be a URL"),
        ("a b", &cloudformation, "must be the name of a stack"),
    ] {
        let mut command = program(None, &["query", "--stack", stack]);
        command
            .env("AWS_ENDPOINT_URL_CLOUDFORMATION", endpoint)
            .env("AWS_MAX_ATTEMPTS", "1");
        let (status, told) = ended(command).await;
        assert_eq!((status, told.lines().count()), (Some(2), 1), "{stack}: {told}");
        assert!(told.contains(expected), "{stack}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_and_a_table_are_not_named_at_once() {
    for arguments in [
        &["query", "--stack", "pcs-api", "--table", TABLE][..],
        &["verify", "--stack", "pcs-api", "--file", "rows.jsonl"],
    ] {
        let (status, told) = ended(program(None, arguments)).await;
        assert_eq!((status, told.lines().count()), (Some(2), 1), "{told}");
        assert!(
            told.contains("--stack <NAME>") && told.contains("cannot be used with"),
            "{told}"
        );
    }
}
