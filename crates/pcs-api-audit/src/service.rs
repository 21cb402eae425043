//! A service that is asked, and what to change where it does not answer.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::{
    failure::{Cause, Failure, Refused},
    text::printable,
};

/// A service's own name, and where it is.
#[derive(Debug, Clone)]
pub struct Service {
    pub name: &'static str,
    pub region: String,
    /// Instead of AWS's own.
    pub endpoint: Option<String>,
    /// What names another endpoint.
    named_by: &'static str,
}

impl Service {
    pub fn dynamodb(config: &SdkConfig, region: &str, argument: Option<String>) -> Result<Service, Failure> {
        let named_by = "--endpoint-url, AWS_ENDPOINT_URL_DYNAMODB or the profile's endpoint_url";
        Service::new("DynamoDB", named_by, config, region, argument)
    }

    pub fn cloudformation(config: &SdkConfig, region: &str) -> Result<Service, Failure> {
        let named_by = "AWS_ENDPOINT_URL_CLOUDFORMATION or the profile's endpoint_url";
        Service::new("CloudFormation", named_by, config, region, None)
    }

    /// The argument, the service's own variable, its entry in the profile, and what holds for all services: in the
    /// order of AWS's tools.
    fn new(
        name: &'static str,
        named_by: &'static str,
        config: &SdkConfig,
        region: &str,
        argument: Option<String>,
    ) -> Result<Service, Failure> {
        let key = ServiceConfigKey::builder()
            .service_id(name)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        let of_service = || config.service_config()?.load_config(key.ok()?);
        let endpoint = argument
            .or_else(of_service)
            .or_else(|| config.endpoint_url().map(str::to_owned))
            .filter(|url| !url.is_empty());
        if let Some(Err(must)) = endpoint.as_deref().map(url) {
            return Err(Failure::Input(format!(
                "the endpoint of {name} {must}; change {named_by}"
            )));
        }
        Ok(Service {
            name,
            region: region.to_owned(),
            endpoint,
            named_by,
        })
    }

    pub fn place(&self) -> String {
        match &self.endpoint {
            Some(url) => format!("at {url}"),
            None => format!("in Region {}", self.region),
        }
    }

    /// `refused` is the cause of no service in particular.
    pub fn sentence(&self, refused: &Refused) -> String {
        let (name, named_by, place) = (self.name, self.named_by, self.place());
        let told = match refused.cause {
            Cause::NotReached => {
                format!("no {name} answers {place}; change {named_by}, or look at the network")
            }
            Cause::NotHttp => format!(
                "what listens {place} does not answer in HTTP; change {named_by} (https:// where TLS is spoken)"
            ),
            Cause::NotTheService => format!("what answers {place} is no {name}; change {named_by}"),
            Cause::NoCredentials => "there are no credentials; give --profile, set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in with `aws sso login`".to_owned(),
            Cause::CredentialsRefused => {
                format!("AWS does not take the credentials {place}; renew them, or give another --profile")
            }
            Cause::NoTable | Cause::NoIndex | Cause::NoStack | Cause::Denied | Cause::Other => {
                format!("{name} {place} refused")
            }
        };
        with_detail(&told, refused)
    }
}

pub fn with_detail(told: &str, refused: &Refused) -> String {
    let detail = one_line(&refused.detail);
    if detail.is_empty() {
        return told.to_owned();
    }
    format!("{told}: {detail}")
}

/// What the SDK or a server says, which may be anything.
fn one_line(detail: &str) -> String {
    const CHARACTERS_MAX: usize = 400;
    let words: Vec<&str> = detail.split_whitespace().collect();
    printable(&words.join(" ")).chars().take(CHARACTERS_MAX).collect()
}

/// The SDK would say of another only that it could not be built.
pub fn url(text: &str) -> Result<String, String> {
    let uri = text.parse::<http::Uri>().ok();
    let is_one = uri.is_some_and(|uri| {
        let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let host = uri.host().unwrap_or_default();
        let port = authority.strip_prefix(host).unwrap_or(":");
        // A port that is none is no part of it to the parser.
        let has_fit_port = port.is_empty() || uri.port_u16().is_some();
        has_scheme && !host.is_empty() && has_fit_port && uri.query().is_none()
    });
    if is_one {
        return Ok(text.to_owned());
    }
    Err("must be a URL like http://127.0.0.1:3003".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_asked_is_an_endpoint() {
        for fit in [
            "http://127.0.0.1:3003",
            "https://dynamodb.us-east-1.amazonaws.com",
            "http://[::1]:3003/",
            "https://host/path/",
        ] {
            assert_eq!(url(fit).as_deref(), Ok(fit));
        }
        for odd in [
            "",
            "!!",
            "http://",
            "http:///x",
            "localhost:3003",
            "ftp://host",
            "http://a b",
            "http://a:99999",
            "http://a:",
            "http://a:b",
            "http://user@host",
            "http://host?x=1",
            "http://a\n",
            "host",
        ] {
            assert!(url(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn what_a_server_says_is_one_short_line() {
        let refused = Refused {
            cause: Cause::NotTheService,
            detail: format!("a\n\n b\u{1b}[2J{}", "x".repeat(1_000)),
        };
        let told = with_detail("it refused", &refused);
        assert!(told.starts_with("it refused: a b\\u{1b}[2Jxxx"), "{told}");
        assert!(told.len() < 500 && told.lines().count() == 1, "{told}");
        let refused = Refused {
            detail: String::new(),
            ..refused
        };
        assert_eq!(with_detail("it refused", &refused), "it refused");
    }
}
