//! The Query protocol's request: a form in the body (or the query string) with Action and Version in it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;

use crate::action::Action;
use crate::error::IamError;

/// The only version of the IAM API there is.
const API_VERSION: &str = "2010-05-08";

/// One call as it came in: parameter name to value, Action and Version among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(request: &Request<Bytes>) -> Self {
        let url = request.uri().query().unwrap_or_default();
        let pairs = form_urlencoded::parse(url.as_bytes()).chain(form_urlencoded::parse(request.body()));
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The value of `name` as sent; an empty one counts as absent, as with IAM.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// The value of `name` even if it is empty: the values of tags may be.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The action, or why there is none that could be done.
    pub(crate) fn action(&self) -> Result<Action, IamError> {
        let action = self.get("Action").ok_or_else(IamError::missing_action)?;
        match self.get("Version") {
            Some(API_VERSION) => {
                Action::from_name(action).ok_or_else(|| IamError::invalid_action(action, API_VERSION))
            }
            Some(other) => Err(IamError::invalid_action(action, other)),
            None => Err(IamError::invalid_action(action, "NO_VERSION_SPECIFIED")),
        }
    }

    /// The parameters without the two that name the call.
    pub(crate) fn into_params(mut self) -> BTreeMap<String, String> {
        self.0.remove("Action");
        self.0.remove("Version");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(body: &'static str) -> Query {
        Query::parse(&Request::new(Bytes::from_static(body.as_bytes())))
    }

    #[test]
    fn reads_a_form() {
        let query = query("Action=GetRole&Version=2010-05-08&RoleName=a%2Bb+c&Marker=");
        assert_eq!(query.action().unwrap(), Action::GetRole);
        assert_eq!(query.get("RoleName"), Some("a+b c"));
        assert_eq!((query.get("Marker"), query.raw("Marker")), (None, Some("")));
    }

    #[test]
    fn wants_action_and_version() {
        let code = |body| query(body).action().unwrap_err().code;
        assert_eq!(code("Version=2010-05-08"), "MissingAction");
        assert_eq!(code("Action=GetRole"), "InvalidAction");
        assert_eq!(code("Action=GetRole&Version=2009-01-01"), "InvalidAction");
        assert_eq!(code("Action=ListUsers&Version=2010-05-08"), "InvalidAction");
    }
}
