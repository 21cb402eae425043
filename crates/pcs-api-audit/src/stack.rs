//! The audit table of a `CloudFormation` stack. It takes one call, for which the SDK of a service of ninety operations
//! would be built: this is the SDK's own road with the call's request and answer written out.

use std::{error::Error, fmt, time::SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    config::{
        endpoint::{DefaultResolver, Params, ResolveEndpoint},
        http::{HttpRequest, HttpResponse},
        retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::ProvideErrorMetadata,
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime::client::{
    orchestrator::operation::Operation,
    retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier},
};
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::OrchestratorError};
use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};
use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};

use crate::{
    failure::{Cause, Failure, Refused},
    service::{Service, with_detail},
};

/// Output of `template.yaml`.
const OUTPUT: &str = "AuditTableName";
const FORM: &str = "application/x-www-form-urlencoded";

/// The name of the table that the stack made.
pub async fn table_of(
    stack: &str,
    config: &SdkConfig,
    region: &str,
    credentials: Credentials,
) -> Result<String, Failure> {
    let service = Service::cloudformation(config, region)?;
    let failed = |sentence: &str| Failure::Input(format!("the stack could not be read: {sentence}"));
    let url = match &service.endpoint {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => aws_endpoint(config, region)
            .await
            .map_err(|error| failed(&error.to_string()))?,
    };
    let described = describe(stack, config, region, credentials, url).await;
    let described = described.map_err(|refused| failed(&sentence(stack, &service, &refused)))?;
    described.table.ok_or_else(|| {
        let status = described.status.map_or_else(String::new, |status| format!(" ({status})"));
        failed(&format!(
            "`{stack}`{status} in Region {region} has no output {OUTPUT}, so it is no stack of PCS API, or not made yet; give another --stack or --region"
        ))
    })
}

fn sentence(stack: &str, service: &Service, refused: &Refused) -> String {
    let region = &service.region;
    let told = match refused.cause {
        Cause::NoStack => {
            return format!(
                "there is no stack `{stack}` in Region {region}; give another --stack or --region"
            );
        }
        Cause::Denied => format!(
            "the credentials may not describe `{stack}` (cloudformation:DescribeStacks); allow it, or name the table with --table"
        ),
        Cause::NoTable | Cause::NoIndex | Cause::Other => format!("`{stack}` {}", service.place()),
        Cause::NotReached
        | Cause::NotHttp
        | Cause::NotTheService
        | Cause::NoCredentials
        | Cause::CredentialsRefused => return service.sentence(refused),
    };
    with_detail(&told, refused)
}

/// AWS names the endpoints of both services alike, in every partition and form; the SDK has the list.
async fn aws_endpoint(config: &SdkConfig, region: &str) -> Result<String, BoxError> {
    let params = Params::builder()
        .region(region)
        .use_fips(config.use_fips().unwrap_or_default())
        .use_dual_stack(config.use_dual_stack().unwrap_or_default())
        .build()?;
    let endpoint = DefaultResolver::new().resolve_endpoint(&params).await?;
    Ok(endpoint.url().replacen("dynamodb", "cloudformation", 1))
}

async fn describe(
    stack: &str,
    config: &SdkConfig,
    region: &str,
    credentials: Credentials,
    url: String,
) -> Result<Described, Refused> {
    let body: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "DescribeStacks")
        .append_pair("Version", "2010-05-15")
        .append_pair("StackName", stack)
        .finish();
    let (endpoint, region) = (url.clone(), region.to_owned());
    let mut builder = Operation::builder()
        .service_name("CloudFormation")
        .operation_name("DescribeStacks")
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&url)
        // Signed below: the road's own signer comes with the runtime of a generated client.
        .no_auth()
        .standard_retry(config.retry_config().unwrap_or(&RetryConfig::standard()))
        .retry_classifier(TransientErrorClassifier::<NotDescribed>::new())
        .retry_classifier(HttpStatusCodeClassifier::default())
        .timeout_config(
            config
                .timeout_config()
                .cloned()
                .unwrap_or_else(TimeoutConfig::disabled),
        );
    if let Some(http) = config.http_client() {
        builder = builder.http_client(http);
    }
    let operation = builder
        .serializer(move |body: String| request(&endpoint, &region, &credentials, body))
        .deserializer(answered)
        .build();
    operation.invoke(body).await.map_err(|error| Refused::of(&error))
}

fn request(
    endpoint: &str,
    region: &str,
    credentials: &Credentials,
    body: String,
) -> Result<HttpRequest, BoxError> {
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("cloudformation")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let url = format!("{endpoint}/");
    let signed = SignableRequest::new(
        "POST",
        &url,
        [("content-type", FORM)].into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    )?;
    let (instructions, _) = sign(signed, &params)?.into_parts();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    headers.try_insert("content-type", FORM)?;
    for (name, value) in instructions.headers() {
        headers.try_insert(name.to_owned(), value.to_owned())?;
    }
    Ok(request)
}

/// What is of use in an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Described {
    status: Option<String>,
    table: Option<String>,
}

/// An answer of another status than 200.
#[derive(Debug)]
struct NotDescribed(ErrorMetadata);

impl fmt::Display for NotDescribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Error for NotDescribed {}

impl ProvideErrorMetadata for NotDescribed {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

fn answered(answer: &HttpResponse) -> Result<Described, OrchestratorError<NotDescribed>> {
    let body = answer.body().bytes().unwrap_or_default();
    if answer.status().is_success() {
        return described(body).map_err(OrchestratorError::other);
    }
    // Without code it is the answer of another service.
    let refusal = refusal(body).unwrap_or_default();
    Err(OrchestratorError::operation(NotDescribed(refusal)))
}

fn described(body: &[u8]) -> Result<Described, XmlDecodeError> {
    let mut document = Document::try_from(body)?;
    let mut root = document.root_element()?;
    if !root.start_el().matches("DescribeStacksResponse") {
        return Err(XmlDecodeError::custom("the answer is not that of DescribeStacks"));
    }
    let mut described = Described::default();
    each(&mut root, &mut |result| {
        each(result, &mut |stacks| {
            each(stacks, &mut |stack| {
                each(stack, &mut |member| {
                    match member.start_el().local() {
                        "StackStatus" => described.status = Some(try_data(member)?.into_owned()),
                        "Outputs" => each(member, &mut |output| {
                            let pair = pair(output, "OutputKey", "OutputValue")?;
                            if let (Some(OUTPUT), Some(value)) = (pair.0.as_deref(), pair.1) {
                                described.table = Some(value);
                            }
                            Ok(())
                        })?,
                        _ => {}
                    }
                    Ok(())
                })
            })
        })
    })?;
    Ok(described)
}

fn refusal(body: &[u8]) -> Result<ErrorMetadata, XmlDecodeError> {
    let mut document = Document::try_from(body)?;
    let mut root = document.root_element()?;
    let mut found = (None, None);
    each(&mut root, &mut |error| {
        if error.start_el().matches("Error") {
            found = pair(error, "Code", "Message")?;
        }
        Ok(())
    })?;
    let mut refusal = ErrorMetadata::builder();
    if let Some(code) = found.0 {
        refusal = refusal.code(code);
    }
    if let Some(message) = found.1 {
        refusal = refusal.message(message);
    }
    Ok(refusal.build())
}

type Take<'t> = &'t mut dyn FnMut(&mut ScopedDecoder<'_, '_>) -> Result<(), XmlDecodeError>;

fn each(element: &mut ScopedDecoder<'_, '_>, take: Take<'_>) -> Result<(), XmlDecodeError> {
    while let Some(mut child) = element.next_tag() {
        take(&mut child)?;
    }
    Ok(())
}

/// The texts of two of an element's children.
fn pair(
    element: &mut ScopedDecoder<'_, '_>,
    one: &str,
    other: &str,
) -> Result<(Option<String>, Option<String>), XmlDecodeError> {
    let mut found = (None, None);
    each(element, &mut |child| {
        let is_one = child.start_el().matches(one);
        if is_one || child.start_el().matches(other) {
            let text = Some(try_data(child)?.into_owned());
            if is_one {
                found.0 = text;
            } else {
                found.1 = text;
            }
        }
        Ok(())
    })?;
    Ok(found)
}
