//! The path as it was sent, against what API Gateway made of it.
//!
//! API Gateway asks the caller's policies about the path and hands the decoded parameters on, and AWS does not say in
//! which form it compares. A path that can be written in one way only leaves nothing to find out: a rule that denies
//! `/v1/clusters/demo` is not got round by `/v1/clusters/%64emo`. No valid parameter needs an escape.

use crate::{error::FieldError, request::ApiRequest};

/// What is wrong with any other path than the resource with its parameters put in, after the base path of a custom
/// domain.
pub fn fault(request: &ApiRequest) -> Option<FieldError> {
    let plain = plain(request);
    let path = request.path.as_deref();
    let base = path.and_then(|path| path.strip_suffix(plain.as_str()));
    let message = "the path is not written in the form that access rules are written in; send it without escapes, \
                   without empty or dot segments and without a slash at its end";
    (!base.is_some_and(is_base)).then(|| FieldError::new("", message))
}

fn plain(request: &ApiRequest) -> String {
    let parameters = request.path_parameters.iter();
    parameters.fold(request.resource.clone(), |path, (name, value)| {
        path.replace(&format!("{{{name}}}"), value)
    })
}

/// Nothing, or segments of the characters that a base path mapping takes.
fn is_base(base: &str) -> bool {
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_.+!*'()".contains(&byte);
    let mut segments = base.split('/');
    segments.next() == Some("")
        && segments.all(|segment| {
            !segment.is_empty() && segment.bytes().any(|byte| byte != b'.') && segment.bytes().all(is_taken)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(path: Option<&str>) -> bool {
        let request = ApiRequest {
            resource: "/v1/clusters/{clusterIdentifier}/queues/{queueIdentifier}".to_owned(),
            path: path.map(str::to_owned),
            path_parameters: vec![
                ("clusterIdentifier".to_owned(), "demo".to_owned()),
                ("queueIdentifier".to_owned(), "main".to_owned()),
            ],
            ..ApiRequest::default()
        };
        fault(&request).is_none()
    }

    #[test]
    fn a_path_has_one_form() {
        assert!(is_taken(Some("/v1/clusters/demo/queues/main")));
        for path in [
            "/v1/clusters/%64emo/queues/main",
            "/v1/clusters/demo/queues/m%61in",
            "/v1/clusters/demo/queues/%6D%61%69%6E",
            "/v1/%63lusters/demo/queues/main",
            "/v1/clusters%2Fdemo/queues/main",
            "/v1/clusters/demo/queues/main/",
            "/v1/clusters/demo/queues//main",
            "//v1/clusters/demo/queues/main",
            "/v1/./clusters/demo/queues/main",
            "/./v1/clusters/demo/queues/main",
            "/../v1/clusters/demo/queues/main",
            "/v1/clusters/other/../demo/queues/main",
            "/v1/clusters/demo/queues/main?x=1",
            "/v1/clusters/demo/queues/main#x",
            "/v1/clusters/demo;v=1/queues/main",
            "/v1/clusters/demo/queues/MAIN",
            "/V1/clusters/demo/queues/main",
            "/v1/clusters/demo/queues/other",
            "/v1/clusters/demo/queues/main ",
            "/v1/clusters/demo/queues/main%00",
            "/v1/clusters/demo/queues",
            "v1/clusters/demo/queues/main",
            "https://host/v1/clusters/demo/queues/main",
            "",
        ] {
            assert!(!is_taken(Some(path)), "{path}");
        }
        assert!(!is_taken(None));
    }

    /// "Base path mappings" take letters, digits and `$-_.+!*'()/` (`CreateBasePathMapping`, API mappings).
    #[test]
    fn the_base_path_of_a_custom_domain_goes_before() {
        for base in ["/hpc", "/hpc/prod", "/team_a/v1.2", "/$-_.+!*'()"] {
            assert!(
                is_taken(Some(&format!("{base}/v1/clusters/demo/queues/main"))),
                "{base}"
            );
        }
        for base in [
            "hpc", "/hpc/", "//hpc", "/h%70c", "/..", "/hpc/.", "/hpc\\", "/hpc;x", "/a b", "/ü",
        ] {
            assert!(
                !is_taken(Some(&format!("{base}/v1/clusters/demo/queues/main"))),
                "{base}"
            );
        }
    }
}
